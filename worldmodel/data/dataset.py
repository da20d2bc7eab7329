"""A finalized dataset, opened: what is in it, its episodes, and some of them selected."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from worldmodel.data.format.episode_row import EpisodeRow
from worldmodel.data.format.features import LABEL, Feature, sensor_columns
from worldmodel.data.format.files import Folder, LocalFolder
from worldmodel.data.format.frame_reader import FrameReader, Layout
from worldmodel.data.format.opening import load
from worldmodel.data.format.statistics import Stats
from worldmodel.data.format.video import cut_clip
from worldmodel.data.remote import RemoteFolder, url_of
from worldmodel.data.summary import stats_of, summary
from worldmodel.data.verify import verify
from worldmodel.data.view import read_view
from worldmodel.errors import DataError
from worldmodel.progress import NoProgress, Progress
from worldmodel.types import Episode


class Dataset:
    """A dataset in the LeRobotDataset v3.0 layout, or some episodes of one; `Dataset.open` makes one.

    Attributes:
        folder: its files.
        root: its folder on this machine; of a remote one, where its files are kept once they are fetched.
        info: the contents of meta/info.json.
        layout: how its columns are stored.
        spec: the world that was recorded.
        fps: frames per second.
        episodes: a row for each episode that is selected, in order; `read_episode(i)` reads the i-th of them.
        indices: (E,) int64, their numbers in the whole dataset.
        whole: the dataset of which these are selected; itself when nothing is.
    """

    def __init__(self, folder: Folder, info: dict[str, Any], layout: Layout, episodes: tuple[EpisodeRow, ...]):
        self.folder = folder
        self.root = folder.root
        self.info = info
        self.layout = layout
        self.spec = layout.spec
        self.fps = layout.fps
        self.episodes = episodes
        self.indices = np.arange(len(episodes))
        self.whole = self

    @classmethod
    def open(cls, root: Path | str, *, local: Path | None = None) -> Dataset:
        """Open a finalized dataset, or a view of one; only its meta folder is read.

        Args:
            root: folder of a dataset of ours or of a plain LeRobot v3.0 one (foreign.py says how that is read), a view file
                (.json), or the URL of a dataset's folder, such as s3://bucket/data (remote.py).
            local: where the files of a remote dataset are kept; None is a folder of the user's cache.

        Raises:
            DataError: no dataset, not finalized yet, or damaged; or a view of a dataset that has changed since.
        """
        url = url_of(root)
        if url is not None:
            return cls(*load(RemoteFolder(url, local)))
        root = Path(root)
        if root.suffix == ".json" and not root.is_dir():
            return cls._open_view(root, local)
        return cls(*load(LocalFolder(root)))

    @classmethod
    def _open_view(cls, path: Path, local: Path | None) -> Dataset:
        view = read_view(path)
        if view.dataset.endswith(".json") and not Path(view.dataset).is_dir():
            raise DataError(f"{path} names another view, {view.dataset}; expected the folder or the URL of a whole dataset")
        whole = cls.open(view.dataset, local=local)
        if whole.fingerprint != view.fingerprint:
            raise DataError(f"{path} is stale: {view.dataset} has changed since the view was made; make the view again")
        return whole.select(view.episodes)

    def select(self, indices: Sequence[int] | np.ndarray) -> Dataset:
        """The same dataset with these episodes only, in this order; nothing is copied.

        Args:
            indices: (E,) which of this dataset's episodes, each once.

        Raises:
            DataError: none, no such episode, or one named twice.
        """
        chosen = np.asarray(indices)
        if chosen.ndim != 1 or not len(chosen) or chosen.dtype.kind not in "iu":
            raise DataError(f"expected a list of the numbers of one episode or more, got {chosen.dtype} {chosen.shape}")
        outside = chosen[(chosen < 0) | (chosen >= self.num_episodes)]
        if len(outside):
            raise DataError(f"{self.root} has no episode {outside[0]}; it has 0 to {self.num_episodes - 1}")
        if len(np.unique(chosen)) < len(chosen):
            raise DataError(f"an episode of {self.root} is selected twice; expected each once")
        selection = Dataset(self.folder, self.info, self.layout, tuple(self.episodes[i] for i in chosen))
        selection.indices = self.indices[chosen]
        selection.whole = self.whole
        return selection

    @property
    def num_episodes(self) -> int:
        """Number of episodes."""
        return len(self.episodes)

    @property
    def num_frames(self) -> int:
        """Number of frames: an episode of T actions has T + 1."""
        return sum(row.length for row in self.episodes)

    @property
    def seeds(self) -> set[int]:
        """Seeds of all the episodes: evaluation keeps away from them."""
        return {row.seed for row in self.episodes}

    @property
    def features(self) -> dict[str, Feature]:
        """Column name -> dtype, shape and names."""
        return self.layout.features

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the labels."""
        return tuple(name.removeprefix(LABEL) for name in self.features if name.startswith(LABEL))

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the world and of every episode in order: the same content has the same one, in whatever files it lies."""
        total = hashlib.sha256(json.dumps(self.spec.to_dict(), sort_keys=True).encode())
        for row in self.episodes:
            total.update(bytes.fromhex(row.sha256))
        return total.hexdigest()

    @cached_property
    def stats(self) -> dict[str, Stats]:
        """Feature -> min, max, mean, std, count; images by channel in [0, 1], actions without padding."""
        return stats_of(self)

    def read_episode(self, i: int) -> Episode:
        """Episode `i`, exactly as it was recorded.

        Raises:
            DataError: no such episode, or its file is missing or damaged.
        """
        row, columns = self._row(i), self.read_columns(i, list(self.features))
        return Episode(
            observations={key: columns[column] for key, column in sensor_columns(self.spec).items()},
            actions=columns["action"][:-1],
            rewards=columns["next.reward"][:-1],
            terminated=row.terminated,
            truncated=row.truncated,
            success=row.success,
            seed=row.seed,
            instruction=row.instruction,
            labels={name: columns[LABEL + name] for name in self.label_names},
            variation=row.variation,
        )

    def read_columns(self, i: int, columns: Sequence[str]) -> dict[str, np.ndarray]:
        """Column -> (T + 1, ...) values of episode `i`; files of other columns are not looked at.

        Raises:
            DataError: no such episode, or its file is missing or damaged.
        """
        row, place = self._row(i), ("episode_index", "frame_index")
        with self._reader() as reader:
            values = reader.read(row, list(dict.fromkeys((*columns, *place))), 0, row.length)
        if (values["episode_index"] != row.episode_index).any() or (values["frame_index"] != np.arange(row.length)).any():
            raise DataError(
                f"{self.root / row.file} is damaged: the rows of episode {row.episode_index} are not in their place"
            )
        return values

    def clips(self, i: int, columns: Collection[str] | None = None) -> dict[str, bytes]:
        """Video column -> mp4 of episode `i`, copied without loss, for `DatasetWriter.add`; empty when there is no video,
        or when another program made it, which may have cut it in another way. `columns` are all unless told.

        Raises:
            DataError: no such episode, or a file is missing or damaged.
        """
        row = self._row(i)
        if not self.layout.ours:
            return {}
        places = [(name, place) for name, place in row.videos.items() if columns is None or name in columns]
        return {name: cut_clip(self.folder.path(place.file), place.start, row.length, self.fps) for name, place in places}

    def frames(self, columns: list[str], batch_size: int = 512) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        """All frames in order, a batch at a time: (index of the first one, column name -> (frames, ...) values).

        In a selection the frames are counted within the selection.

        Raises:
            DataError: a data file is missing, damaged, or holds another number of frames than its episodes have.
        """
        start = 0
        for values in self._batches(columns, batch_size):
            yield start, values
            start += len(next(iter(values.values())))

    def _batches(self, columns: list[str], batch_size: int) -> Iterator[dict[str, np.ndarray]]:
        with self._reader() as reader:
            if self is self.whole:
                yield from reader.whole_files(self.episodes, columns, batch_size)
                return
            yield from reader.some(self.episodes, columns, batch_size)

    def _reader(self) -> FrameReader:
        return FrameReader(self.folder, self.layout, self.whole.data_files)

    def _row(self, i: int) -> EpisodeRow:
        if not 0 <= i < self.num_episodes:
            raise DataError(f"{self.root} has no episode {i}; it has 0 to {self.num_episodes - 1}")
        return self.episodes[i]

    def verify(self, progress: Progress | None = None) -> list[str]:
        """One line for each thing that is wrong: checksums, missing files, rows out of place, values that do not fit.

        The whole dataset is verified, whatever is selected of it.
        """
        return verify(self.whole, progress or NoProgress())

    def summary(self) -> dict[str, Any]:
        """What is in it, as plain values: for the card and for whoever inspects it."""
        return summary(self)

    def shape_of(self, column: str) -> tuple[int, ...]:
        """Shape of one row of a column as it was recorded: () for one number, (1,) for a vector of one number."""
        return self.layout.shape_of(column)

    @cached_property
    def data_files(self) -> dict[str, range]:
        """Data file -> the frames of these episodes in it, in order; in a whole dataset, all of its frames."""
        files: dict[str, range] = {}
        for row in self.episodes:
            start = files[row.file].start if row.file in files else row.first_frame
            files[row.file] = range(start, row.first_frame + row.length)
        return files

    @cached_property
    def video_files(self) -> dict[str, float]:
        """Video file -> time at which the last of these episodes in it ends [s]."""
        files: dict[str, float] = {}
        for row in self.episodes:
            for place in row.videos.values():
                files[place.file] = max(files.get(place.file, 0.0), place.stop)
        return files
