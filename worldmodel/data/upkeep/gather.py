"""Episodes of one dataset or of several, gathered into a new one without touching their pictures.

A data file whose rows stay what they are is copied as it is. In any other, the columns that number the rows are written
anew and the rest, PNG bytes included, passes through; video files are always copied.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from worldmodel.data.format.features import CHUNK_FILES, DATA_PATH, EPISODES_PATH, VIDEO_PATH
from worldmodel.data.format.files import inside, publish, read_rows, reading
from worldmodel.data.format.footers import footer
from worldmodel.data.format.numbering import numbered, place_of, with_numbers
from worldmodel.errors import DataError
from worldmodel.progress import NoProgress, Progress

Copy = Callable[[Path, Path], Any]
"""How a file that stays as it is comes to its new place: `shutil.copyfile`, or a hard link."""


@dataclass(frozen=True)
class Part:
    """Episodes of one dataset that go into the new one."""

    root: Path
    """Folder of their dataset."""
    rows: pa.Table
    """Their episode rows in order, with every column."""
    files: list[Path]
    """Data file of each."""
    offsets: list[int]
    """Number of its first row in that file."""


def gather(
    parts: list[Part], out: Path, copy: Copy = shutil.copyfile, progress: Progress | None = None
) -> tuple[pa.Table, dict[str, int]]:
    """Write the data and video files of a new dataset in the folder `out`, and its episode rows.

    Args:
        parts: what it shall hold, in order.
        out: an empty folder of its own: nothing here is protected against a reader.
        copy: for files that stay as they are.
        progress: told the number of episodes done.

    Returns:
        The episode rows, and task in words -> its number.

    Raises:
        DataError: a file is missing or damaged, or the disk is full.
    """
    progress = progress or NoProgress()
    tasks: dict[str, int] = {}
    tables: list[pa.Table] = []
    total, done, first, number = sum(len(part.rows) for part in parts), 0, 0, 0
    for part in parts:
        lengths = part.rows.column("length").to_numpy()
        starts = first + np.cumsum(lengths) - lengths
        words = [names[0] for names in part.rows.column("tasks").to_pylist()]
        for word in words:
            tasks.setdefault(word, len(tasks))
        task_indices = [tasks[word] for word in words]
        file_numbers = []
        for file, group in groupby(range(len(words)), key=lambda place: part.files[place]):
            places = list(group)
            spans = [_Span(part.offsets[i], int(lengths[i]), done + i, int(starts[i]), task_indices[i]) for i in places]
            with reading(file):
                _take_file(file, out / numbered(DATA_PATH, number), spans, copy)
            file_numbers += [number] * len(places)
            number += 1
            progress.update(done + places[-1] + 1, total)
        rows = with_numbers(part.rows, "episode_index", done + np.arange(len(words)))
        rows = with_numbers(rows, "dataset_from_index", starts)
        rows = with_numbers(rows, "dataset_to_index", starts + lengths)
        rows = _place(rows, "data", np.array(file_numbers))
        rows = _place(rows, "meta/episodes", np.zeros(len(words), np.int64))
        tables.append(_take_videos(part, rows, out, tables, copy))
        done, first = done + len(words), int(starts[-1] + lengths[-1])
    try:
        rows = pa.concat_tables([table.replace_schema_metadata(None) for table in tables], promote_options="default")
    except pa.ArrowException as error:
        raise DataError(f"the episode rows do not fit each other: {' '.join(str(error).split())}") from error
    publish(out / numbered(EPISODES_PATH, 0), lambda path: pq.write_table(rows, path))
    return rows, tasks


@dataclass(frozen=True)
class _Span:
    """Rows of one episode in a data file, and the numbers that they get."""

    offset: int
    length: int
    episode_index: int
    first_frame: int
    task_index: int


def _take_file(source: Path, target: Path, spans: list[_Span], copy: Copy) -> None:
    """One data file with these episodes of another, copied as it is when nothing in it changes."""
    if _stays(source, spans):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            copy(source, target)
        except OSError as error:
            raise DataError(f"cannot write {target}: {error}; free space or choose another folder") from error
        return

    def tables() -> Iterator[pa.Table]:
        for span in spans:
            table = read_rows(source, span.offset, span.length)
            table = with_numbers(table, "episode_index", np.full(span.length, span.episode_index))
            table = with_numbers(table, "index", span.first_frame + np.arange(span.length))
            yield with_numbers(table, "task_index", np.full(span.length, span.task_index))

    def write(path: Path) -> None:
        with pq.ParquetWriter(path, pq.read_schema(source), use_dictionary=False) as file:  # type: ignore[arg-type]
            for table in tables():
                file.write_table(table)  # a row group an episode

    publish(target, write)


def _stays(source: Path, spans: list[_Span]) -> bool:
    """Whether the file holds exactly these rows, under the same numbers."""
    if footer(source).num_rows != sum(span.length for span in spans):
        return False
    table = pq.read_table(source, columns=["episode_index", "index", "task_index"])
    expected = {
        "episode_index": np.concatenate([np.full(span.length, span.episode_index) for span in spans]),
        "index": np.concatenate([span.first_frame + np.arange(span.length) for span in spans]),
        "task_index": np.concatenate([np.full(span.length, span.task_index) for span in spans]),
    }
    in_order = np.cumsum([0, *(span.length for span in spans)])[:-1].tolist() == [span.offset for span in spans]
    return in_order and all(np.array_equal(table.column(name).to_numpy(), values) for name, values in expected.items())


def _take_videos(part: Part, rows: pa.Table, out: Path, before: list[pa.Table], copy: Copy) -> pa.Table:
    """Copy the video files that these episodes are in, behind those of the parts before; the rows with their places."""
    places = [name for name in rows.column_names if name.startswith("videos/") and name.endswith("/file_index")]
    for key in (name.removeprefix("videos/").removesuffix("/file_index") for name in places):
        folder = f"videos/{key}"
        number = max((int(_places(table, folder).max()) for table in before), default=-1)
        numbers = []
        for old, group in groupby(_places(rows, folder).tolist()):
            number += 1  # numbers never fall, so that the last episode is in the last file
            source = inside(part.root, numbered(VIDEO_PATH, old, video_key=key))
            with reading(source):
                target = out / numbered(VIDEO_PATH, number, video_key=key)
                target.parent.mkdir(parents=True, exist_ok=True)
                copy(source, target)
            numbers += [number] * len(list(group))
        rows = _place(rows, folder, np.array(numbers))
    return rows


def _places(rows: pa.Table, folder: str) -> np.ndarray:
    """(E,) number of each episode's file in a folder."""
    return rows.column(f"{folder}/chunk_index").to_numpy() * CHUNK_FILES + rows.column(f"{folder}/file_index").to_numpy()


def _place(rows: pa.Table, folder: str, numbers: np.ndarray) -> pa.Table:
    for name, values in place_of(folder, numbers).items():
        rows = with_numbers(rows, name, values)
    return rows
