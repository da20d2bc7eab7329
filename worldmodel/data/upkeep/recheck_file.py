"""Which episodes of one data file read back as they were written.

A file whose checksum holds is believed, but for its numbers. Of any other, every episode is read and its digest compared;
where more than the checksum is wrong, the good ones are written into a new file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from worldmodel.data.dataset import Dataset
from worldmodel.data.format.episode_row import EpisodeRow
from worldmodel.data.format.features import PICTURES, arrow_schema
from worldmodel.data.format.files import LocalFolder, inside, one_line, read_rows, reading, sha256_of
from worldmodel.data.format.footers import footer
from worldmodel.data.format.frames import columns_of, digest, from_arrow, to_table
from worldmodel.errors import DataError


@dataclass
class Verdict:
    """What is good, and where it is."""

    places: list[int] = field(default_factory=list)
    """Places of the good episodes in `Remains.rows`."""
    files: list[Path] = field(default_factory=list)
    """Data file of each: one of the dataset, or one made anew in the scratch folder."""
    offsets: list[int] = field(default_factory=list)
    """Number of its first row in that file."""
    dropped: list[tuple[int, str]] = field(default_factory=list)
    """Episodes that are damaged, and why."""
    notes: list[str] = field(default_factory=list)
    """A line for each file that is not what was written."""
    damaged: list[Path] = field(default_factory=list)
    """The dataset's files that are not whole."""
    sums: dict[str, str] = field(default_factory=dict)
    """File -> its SHA-256 as it is now; of files that can be read."""

    def sum_of(self, root: Path, name: str) -> str:
        """SHA-256 of a file, computed once; empty when it cannot be read."""
        if name not in self.sums:
            try:
                self.sums[name] = sha256_of(inside(root, name))
            except DataError:
                return ""
        return self.sums[name]


class PatchedFolder(LocalFolder):
    """The dataset's folder, in which some files are replaced by others."""

    def __init__(self, root: Path):
        super().__init__(root)
        self.instead: dict[str, Path] = {}

    def path(self, relative: str) -> Path:
        return self.instead.get(relative) or super().path(relative)


class FileCheck:
    """One data file and its episodes."""

    def __init__(self, dataset: Dataset, folder: PatchedFolder, file: str, places: list[int], scratch: Path):
        self.dataset, self.folder, self.file, self.places = dataset, folder, file, places
        self.scratch = scratch
        self.rows = [dataset.episodes[place] for place in places]
        self.schema = arrow_schema(dataset.features)

    def check(self, trusted: dict[str, str], videos: dict[str, bool], verdict: Verdict, tell: Callable[[int], None]) -> None:
        """Add what is good of it, and what is not, to the verdict; `tell` is told the number of episodes looked at."""
        try:
            path = self.folder.path(self.file)
            with reading(path):
                num_rows = footer(path).num_rows
            self.start = self._start(path, num_rows)
            self.dataset.data_files[self.file] = range(self.start, self.start + num_rows)
            known = self.file in trusted and verdict.sum_of(self.dataset.root, self.file) == trusted[self.file]
            if (
                known
                and all(videos[place.file] for row in self.rows for place in row.videos.values())
                and self._numbers_hold(path)
            ):
                self._keep(verdict, path, [row.first_frame - self.start for row in self.rows])
                return
            source = self._with_right_types(path)
        except DataError as error:
            why = f"{self.file}: {_short(error, self.file)}"
            verdict.dropped += [(row.episode_index, why) for row in self.rows]
            verdict.notes.append(why)
            verdict.damaged.append(self.dataset.root / self.file)
            return
        self._check_each(path, source, num_rows, verdict, tell)

    def _check_each(self, path: Path, source: Path, num_rows: int, verdict: Verdict, tell: Callable[[int], None]) -> None:
        """Read every episode; when they are not all good, or more than pictures differs, the good ones go into a new file."""
        good: list[int] = []
        exact = source == path and num_rows == sum(row.length for row in self.rows)
        for done, (place, row) in enumerate(zip(self.places, self.rows, strict=True)):
            tell(done)
            try:
                numbers = self._rows_of(place, self._numbers())
                exact = exact and self._is_exact(path, row, numbers)
                good.append(place)
            except DataError as error:
                verdict.dropped.append((row.episode_index, _short(error, self.file)))
        if exact and len(good) == len(self.places):
            self._keep(verdict, path, [row.first_frame - self.start for row in self.rows])
            return
        verdict.notes.append(f"{self.file} is made anew of the {len(good)} of its {len(self.places)} episodes that are whole")
        verdict.damaged.append(self.dataset.root / self.file)
        new = self.scratch / f"{self.places[0]:09d}.parquet"
        self.places = good
        with pq.ParquetWriter(new, self.schema, use_dictionary=False) as writer:  # type: ignore[arg-type]
            for place in good:
                writer.write_table(self._rows_of(place, list(self.dataset.features)))
        lengths = np.array([self.dataset.episodes[place].length for place in good], np.int64)
        self._keep(verdict, new, (np.cumsum(lengths) - lengths).tolist())

    def _rows_of(self, place: int, columns: list[str]) -> pa.Table:
        """These columns of an episode as they were written. DataError when it does not read back so."""
        row, dataset = self.dataset.episodes[place], self.dataset
        episode = dataset.read_episode(place)
        if digest(episode) != row.sha256:
            raise DataError("it reads back otherwise than it was written")
        features = {name: dataset.features[name] for name in columns}
        table = to_table(columns_of(episode, dataset.spec), features, row.episode_index, dataset.fps)
        index = pa.array(row.first_frame + np.arange(row.length))
        return table.set_column(table.schema.get_field_index("index"), table.schema.field("index"), index)

    def _is_exact(self, path: Path, row: EpisodeRow, expected: pa.Table) -> bool:
        """Whether the file holds these very numbers; tasks are numbered anew when need be."""
        numbers = [name for name in expected.column_names if name != "task_index"]
        there = read_rows(path, row.first_frame - self.start, row.length, numbers)
        return all(there.column(name).combine_chunks().equals(expected.column(name).combine_chunks()) for name in numbers)

    def _numbers_hold(self, path: Path) -> bool:
        """Whether every number of a believed file is what its column says, and in its place."""
        features, numbers = self.dataset.features, self._numbers()
        found: dict[str, list[np.ndarray]] = {"index": [], "episode_index": []}
        try:
            with reading(path), pq.ParquetFile(path, metadata=footer(path).metadata) as file:
                for batch in file.iter_batches(4096, columns=numbers):
                    table = pa.Table.from_batches([batch])
                    for name in numbers:
                        values = from_arrow(table.column(name), features[name], name)
                        if name in found:
                            found[name].append(values)
        except DataError:
            return False
        index = np.concatenate([row.first_frame + np.arange(row.length) for row in self.rows])
        episode = np.repeat([row.episode_index for row in self.rows], [row.length for row in self.rows])
        return np.array_equal(np.concatenate(found["index"]), index) and np.array_equal(
            np.concatenate(found["episode_index"]), episode
        )

    def _numbers(self) -> list[str]:
        return [name for name, feature in self.dataset.features.items() if feature["dtype"] not in PICTURES]

    def _start(self, path: Path, num_rows: int) -> int:
        """Index in the dataset of the file's first row."""
        first = min(row.first_frame for row in self.rows)
        if num_rows == sum(row.length for row in self.rows):
            return first
        index = read_rows(path, 0, 1, ["index"]).column("index")[0].as_py()  # the row of its first episode may be lost
        return index if isinstance(index, int) and 0 <= index <= first else first

    def _with_right_types(self, path: Path) -> Path:
        """The file, or a copy in which columns of other types are cast: the digests tell whether that was right."""
        with reading(path):
            file = pq.ParquetFile(path)
            missing = sorted(set(self.schema.names) - set(file.schema_arrow.names))
            if missing:
                raise DataError(f"it has no column {missing[0]!r}")
            if all(file.schema_arrow.field(name).type == self.schema.field(name).type for name in self.schema.names):
                return path
            cast = self.scratch / f"{self.places[0]:09d}-cast.parquet"
            cast.parent.mkdir(parents=True, exist_ok=True)
            with pq.ParquetWriter(cast, self.schema, use_dictionary=False) as writer:  # type: ignore[arg-type]
                for group in range(file.num_row_groups):
                    writer.write_table(file.read_row_group(group).select(self.schema.names).cast(self.schema))
        self.folder.instead[self.file] = cast
        return cast

    def _keep(self, verdict: Verdict, path: Path, offsets: list[int]) -> None:
        verdict.places += self.places
        verdict.files += [path] * len(self.places)
        verdict.offsets += offsets


def _short(error: DataError, file: str) -> str:
    """What an error says, without the path that it begins with."""
    text = one_line(error)
    _, found, rest = text.partition(file)
    return (rest if found else text).strip(": ").removeprefix("is damaged: ") or text
