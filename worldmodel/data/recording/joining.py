"""The episodes of many shards, joined into the few data and video files of a dataset."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from worldmodel.data.format.features import DATA_PATH, VIDEO_PATH
from worldmodel.data.format.files import publish, reading
from worldmodel.data.format.numbering import numbered, place_of, with_numbers
from worldmodel.data.format.video import ClipJoiner
from worldmodel.data.recording.shards import clips_of, frames_of, write_row_groups
from worldmodel.errors import DataError
from worldmodel.progress import Progress


@dataclass(frozen=True)
class Recorded:
    """One episode in a shard."""

    shard: Path
    """File of the shard's episode rows."""
    row_group: int
    """Its place in the shard."""
    row: int
    """Its place among the episode rows of all shards."""
    length: int
    """Number of frames."""
    task: str
    """The task in words."""
    sha256: str
    """Digest of everything in it."""


class Finishing:
    """Tells somebody of the episodes that are joined, each in the tables and in every video; short work is not mentioned.

    Args:
        progress: who is told.
        total: episodes times tables and videos.
    """

    def __init__(self, progress: Progress, total: int):
        self._progress, self._total, self._done = progress, total, 0
        self._from = time.monotonic() + 2.0

    def step(self) -> None:
        """One more episode is in the tables, or in a video."""
        self._done += 1
        if time.monotonic() >= self._from:
            self._progress.update(self._done, self._total, finishing="files")


def write_data(
    root: Path,
    recorded: list[Recorded],
    starts: np.ndarray,
    tasks: dict[str, int],
    next_file: int,
    limit: float,
    finishing: Finishing,
) -> np.ndarray:
    """Copy the frames into data files of the dataset; the file index of each episode.

    A file is closed once its rows take `limit` bytes.
    """
    shard = _shards()

    def tables() -> Iterator[pa.Table]:
        for episode, start in zip(recorded, starts, strict=True):
            path = frames_of(episode.shard)
            with reading(path):
                table = shard(path).read_row_group(episode.row_group)
                if len(table) != episode.length:
                    raise DataError(f"{path} is damaged: {len(table)} frames; expected {episode.length}")
                table = with_numbers(table, "index", start + np.arange(episode.length))
                yield with_numbers(table, "task_index", np.full(episode.length, tasks[episode.task]))
            finishing.step()

    file_indices: list[int] = []
    batch: list[pa.Table] = []
    size = 0
    for table in tables():
        batch.append(table)
        file_indices.append(next_file)
        size += table.nbytes
        if size >= limit:
            _write_file(root, next_file, batch)
            batch, size, next_file = [], 0, next_file + 1
    if batch:
        _write_file(root, next_file, batch)
    return np.array(file_indices)


def _shards() -> Callable[[Path], pq.ParquetFile]:
    """Opens files of shards, and keeps some open: writers take turns, so neighbouring episodes lie in different shards."""
    return lru_cache(maxsize=32)(pq.ParquetFile)


def write_videos(
    root: Path, column: str, recorded: list[Recorded], fps: float, number: int, limit: float, finishing: Finishing
) -> dict[str, np.ndarray]:
    """Join the clips of a video column into video files from `number` on; the columns of the episode rows that say where.

    A file is closed once it takes `limit` bytes.
    """
    shard = _shards()

    def clips() -> Iterator[tuple[int, bytes]]:
        for episode in recorded:
            path = clips_of(episode.shard)
            with reading(path):
                clip = shard(path).read_row_group(episode.row_group, [column]).column(column)[0].as_py()
            yield episode.length, clip
            finishing.step()

    joiner, times, numbers = ClipJoiner(clips(), fps, limit), [], []
    while joiner.more():
        written: list[tuple[float, float]] = []
        publish(root / numbered(VIDEO_PATH, number, column), lambda path, to=written: to.extend(joiner.write(path)))
        times += written
        numbers += [number] * len(written)
        number += 1
    starts, stops = np.array(times).T
    return {
        **place_of(f"videos/{column}", np.array(numbers)),
        f"videos/{column}/from_timestamp": starts,
        f"videos/{column}/to_timestamp": stops,
    }


def _write_file(root: Path, number: int, tables: list[pa.Table]) -> None:
    publish(root / numbered(DATA_PATH, number), lambda path: write_row_groups(path, tables))
