"""Values of columns, frame by frame, whether they lie in tables or in videos."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from worldmodel.data.format.episode_row import EpisodeRow
from worldmodel.data.format.features import PICTURES, Feature, sensor_columns
from worldmodel.data.format.files import Folder, read_rows, reading
from worldmodel.data.format.frames import from_arrow
from worldmodel.data.format.video_reader import VideoReader
from worldmodel.errors import DataError
from worldmodel.types import WorldSpec


@dataclass(frozen=True)
class Layout:
    """How the columns that this program knows lie in the files of a dataset."""

    spec: WorldSpec
    """The world."""
    fps: float
    """Frames per second."""
    features: dict[str, Feature]
    """Column -> what this program makes of it."""
    stored: dict[str, tuple[str, Feature]]
    """Column -> its name and feature in the files. A column that is not in it is all zeros."""
    ours: bool = True
    """Whether this program wrote it: with checksums, and videos made of clips."""

    def shape_of(self, column: str) -> tuple[int, ...]:
        """Shape of one row of a column as it was recorded: () for one number, (1,) for a vector of one number."""
        vectors = {name: self.spec.sensors[key].shape for key, name in sensor_columns(self.spec).items()}
        vectors["action"] = (self.spec.action.dim,)
        shape = tuple(self.features[column]["shape"])
        return tuple(vectors.get(column, () if shape == (1,) else shape))

    def in_tables(self, columns: Sequence[str]) -> list[str]:
        """Names in the data files of those columns that lie in them."""
        stored = (self.stored[column] for column in columns if column in self.stored)
        return [name for name, feature in stored if feature["dtype"] != "video"]


def runs(episodes: Sequence[EpisodeRow], num_frames: int) -> Iterator[list[EpisodeRow]]:
    """The episodes in order, those together that follow each other in one file; of several, at most so many frames."""
    run: list[EpisodeRow] = []
    total = 0
    for row in episodes:
        follows = run and row.file == run[-1].file and row.first_frame == run[-1].first_frame + run[-1].length
        if run and (not follows or total + row.length > num_frames):
            yield run
            run, total = [], 0
        run.append(row)
        total += row.length
    if run:
        yield run


class FrameReader:
    """Reads frames of episodes of one dataset; a context manager that keeps the video files that it reads open.

    Args:
        folder: the dataset's files.
        layout: how its columns are stored.
        files: data file -> the frames that are in it.
    """

    def __init__(self, folder: Folder, layout: Layout, files: dict[str, range]):
        self._folder = folder
        self._layout = layout
        self._files = files
        self._videos: dict[str, tuple[str, VideoReader]] = {}

    def __enter__(self) -> FrameReader:
        return self

    def __exit__(self, *_: object) -> None:
        for _file, reader in self._videos.values():
            reader.close()

    def read(self, row: EpisodeRow, columns: Sequence[str], begin: int, end: int) -> dict[str, np.ndarray]:
        """Frames [begin, end) of an episode: column -> (frames, ...)."""
        offset = row.first_frame - self._files[row.file].start
        path = self._folder.path(row.file)
        table = read_rows(path, offset + begin, end - begin, self._layout.in_tables(columns))
        return self._values(table, path, columns, [(row, begin, end)])

    def read_run(self, rows: Sequence[EpisodeRow], columns: Sequence[str]) -> dict[str, np.ndarray]:
        """All frames of episodes that follow each other in one file, in one go: column -> (frames, ...)."""
        path = self._folder.path(rows[0].file)
        offset = rows[0].first_frame - self._files[rows[0].file].start
        table = read_rows(path, offset, sum(row.length for row in rows), self._layout.in_tables(columns))
        return self._values(table, path, columns, [(row, 0, row.length) for row in rows])

    def some(self, episodes: Sequence[EpisodeRow], columns: Sequence[str], batch_size: int) -> Iterator[dict[str, np.ndarray]]:
        """All frames of these episodes in order, at most `batch_size` at a time: neighbours together, long ones in parts."""
        for run in runs(episodes, batch_size):
            if len(run) > 1:
                yield self.read_run(run, columns)
                continue
            for begin in range(0, run[0].length, batch_size):
                yield self.read(run[0], columns, begin, min(begin + batch_size, run[0].length))

    def whole_files(
        self, episodes: Sequence[EpisodeRow], columns: Sequence[str], batch_size: int
    ) -> Iterator[dict[str, np.ndarray]]:
        """All frames of all files in order, at most `batch_size` at a time; `episodes` are all episodes of the dataset."""
        starts, done = np.array([row.first_frame for row in episodes]), 0
        # a table needs a column to have a length: this one is in every dataset
        stored = sorted({*self._layout.in_tables(columns), "index"})
        for relative, place in self._files.items():
            path = self._folder.path(relative)
            with reading(path), pq.ParquetFile(path) as file:
                if file.metadata.num_rows != len(place):
                    raise DataError(f"{path} is damaged: {file.metadata.num_rows} frames; expected {len(place)}")
                missing = sorted(set(stored) - set(file.schema_arrow.names))
                if missing:
                    raise DataError(f"{path} has no column {missing[0]!r}")
                for batch in file.iter_batches(batch_size, columns=stored):
                    first, end = done, done + len(batch)
                    low, high = int(np.searchsorted(starts, first, "right")) - 1, int(np.searchsorted(starts, end))
                    parts = [
                        (row, max(first - row.first_frame, 0), min(end - row.first_frame, row.length))
                        for row in episodes[low:high]
                    ]
                    yield self._values(pa.Table.from_batches([batch]), path, columns, parts)
                    done = end
            if done != place.stop:
                raise DataError(f"{path} is damaged: it ends at frame {done}; expected {place.stop}")

    def _values(
        self, table: pa.Table, path: Path, columns: Sequence[str], parts: list[tuple[EpisodeRow, int, int]]
    ) -> dict[str, np.ndarray]:
        """Values of the rows of `table`, which are the `parts`: (episode, first frame, frame after the last)."""
        layout, values = self._layout, {}
        for column in columns:
            shape = (len(table), *layout.shape_of(column))
            dtype = np.dtype("uint8" if layout.features[column]["dtype"] in PICTURES else layout.features[column]["dtype"])
            if column not in layout.stored:
                values[column] = np.zeros(shape, dtype)
                continue
            name, feature = layout.stored[column]
            if feature["dtype"] == "video":
                values[column] = np.concatenate([self._read_video(name, shape[1:], *part) for part in parts])
            elif name not in table.column_names:
                raise DataError(f"{path} has no column {name!r}")
            else:
                read = from_arrow(table.column(name), feature, f"{path}: column {name!r}")
                values[column] = read.astype(dtype, copy=False).reshape(shape)
        return values

    def _read_video(self, name: str, shape: tuple[int, ...], row: EpisodeRow, begin: int, end: int) -> np.ndarray:
        place = row.videos[name]
        file, reader = self._videos.get(name, ("", None))
        if reader is None or file != place.file:
            if reader is not None:
                reader.close()
            path = self._folder.path(place.file)
            reader = VideoReader(path, shape, self._layout.fps, str(path))
            self._videos[name] = (place.file, reader)
        return reader.read(place.start + np.arange(begin, end) / self._layout.fps)
