"""Windows read from the shards, for data that is larger than a cache may be: shuffled through a bounded buffer of episodes.

They are the same windows under the same numbers as those of `Windows`. What differs is the order in which an epoch takes
them: files are shuffled, episodes within each file, and windows within what the buffer holds, so that an episode is read
once an epoch and dropped when its last window is taken. That order follows from the seed and the epoch's number alone. A
run is resumed from one number; what it costs is to read the episodes of one buffer again.

B batch   T frames in a window   k frame skip   W windows   E episodes
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch

from worldmodel.data.cache_build import columns_of, read_frames
from worldmodel.data.dataset import Dataset
from worldmodel.data.features import LABEL
from worldmodel.data.index import Split, WindowIndex
from worldmodel.errors import ConfigError
from worldmodel.framing import Framing
from worldmodel.types import Window

Frames = dict[str, np.ndarray]
"""Array, named as in a cache -> (frames of the episode, ...)."""


class StreamedWindows:
    """All windows of `num_frames` frames of one split, read from the shards when they are asked for.

    Any windows may be asked for, but only in the order of `order` is each episode read once.

    Args:
        ds: the dataset.
        keys: sensors that batches carry.
        num_frames: T, frames in a window.
        stride: distance between the first frames of neighbouring windows of an episode.
        split: "train", "val", or "all".
        val_fraction: share of episodes in "val", chosen by a hash of their seeds.
        labels: whether batches carry the labels.
        frame_skip: k, steps between two frames of a window; the k actions between them are one block of k * A numbers.
        image_size: height and width of the pictures [px], averaged by area; None keeps them as recorded.
        buffer_windows: windows whose episodes are kept in memory at once.
        num_threads: threads that read and decode.

    Attributes:
        spec: the world that was recorded, with its pictures at the size that they have here.
        num_reads: episodes read so far, those read again included.

    Raises:
        ConfigError: a setting that makes no sense.
        DataError: the split has no window, or there is no such sensor.
    """

    def __init__(
        self,
        ds: Dataset,
        keys: tuple[str, ...],
        num_frames: int,
        stride: int = 1,
        split: Split = "train",
        val_fraction: float = 0.05,
        labels: bool = False,
        frame_skip: int = 1,
        *,
        image_size: int | None = None,
        buffer_windows: int = 16384,
        num_threads: int = 2,
    ):
        if buffer_windows < 2 or num_threads < 1:
            raise ConfigError(f"buffer_windows is {buffer_windows} and num_threads {num_threads}; expected at least 2 and 1")
        columns = columns_of(ds, keys)
        if not labels:
            columns = {name: column for name, column in columns.items() if not name.startswith(LABEL)}
        self.ds, self.keys, self.labels = ds, tuple(sorted(set(keys))), labels
        self.num_frames, self.frame_skip, self.split = num_frames, frame_skip, split
        self.spec = Framing(image_size=image_size).spec(ds.spec)
        self.index = WindowIndex(
            np.array([row.length for row in ds.episodes]),
            np.array([row.seed for row in ds.episodes]),
            num_frames,
            frame_skip=frame_skip,
            stride=stride,
            split=split,
            val_fraction=val_fraction,
            source=str(ds.root),
        )
        self.num_reads = 0
        self._columns, self._image_size = columns, image_size
        self._counts = np.bincount(self.index.episode, minlength=ds.num_episodes)  # (E,) windows of each episode
        self._buffer = buffer_windows
        self._held: OrderedDict[int, Future[Frames]] = OrderedDict()
        self._num_held = 0
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(num_threads, thread_name_prefix="stream")

    @property
    def num_windows(self) -> int:
        """W."""
        return len(self.index)

    def order(self, seed: int, epoch: int) -> np.ndarray:
        """Every window once, (W,), so that at no place the episodes of more than `buffer_windows` windows are in use."""
        rng = np.random.default_rng([seed, epoch])
        used = np.flatnonzero(self._counts)
        files = np.unique([self.ds.episodes[i].file for i in used], return_inverse=True)[1]
        episodes = used[np.lexsort((rng.permutation(len(used)), rng.permutation(files.max() + 1)[files]))]
        # Each episode begins to be used at a place, and its windows come within half a buffer after that. The first half
        # buffer's episodes all begin at once.
        half = self._buffer // 2
        begin = np.empty(self.ds.num_episodes)
        begin[episodes] = np.maximum(np.cumsum(self._counts[episodes]) - self._counts[episodes] - half, 0)
        return np.argsort(begin[self.index.episode] + rng.uniform(0, half, self.num_windows), kind="stable")

    def prepare(self, indices: np.ndarray) -> None:
        """Begin to read the episodes of the windows at `indices`, (B,), in the background."""
        for episode in dict.fromkeys(self.index.episode[indices].tolist()):
            self._frames(episode)

    def batch(self, indices: np.ndarray) -> Window:
        """The windows at `indices` (B,): pixels stay uint8, actions are (B, T - 1, k * A)."""
        episode, offset = self.index.episode[indices], self.index.offset[indices]
        futures = {number: self._frames(number) for number in dict.fromkeys(episode.tolist())}
        parts = [futures[number].result() for number in episode.tolist()]
        frames = offset[:, None] + np.arange(self.num_frames) * self.frame_skip  # (B, T)

        def gathered(name: str) -> torch.Tensor:
            return torch.from_numpy(np.stack([part[name][rows] for part, rows in zip(parts, frames, strict=True)]))

        steps = offset[:, None] + np.arange(self.index.span)  # (B, (T - 1) k)
        actions = np.stack([part["action"][rows] for part, rows in zip(parts, steps, strict=True)])
        width = self.frame_skip * actions.shape[-1]
        return Window(
            observations={key: gathered(key) for key in self.keys},
            actions=torch.from_numpy(actions.reshape(len(actions), self.num_frames - 1, width)),
            labels={name.removeprefix(LABEL): gathered(name) for name in self._columns if name.startswith(LABEL)},
            episode_index=torch.from_numpy(episode),
            frame_index=torch.from_numpy(offset),
        )

    def close(self) -> None:
        """Stop reading. Closing twice is harmless."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _frames(self, episode: int) -> Future[Frames]:
        """The frames of an episode, read or being read; the longest unused ones make room for it."""
        with self._lock:
            if episode in self._held:
                self._held.move_to_end(episode)
                return self._held[episode]
            self._num_held += int(self._counts[episode])
            while self._held and self._num_held > self._buffer:
                dropped, _ = self._held.popitem(last=False)
                self._num_held -= int(self._counts[dropped])
            self._held[episode] = self._pool.submit(self._read, episode)
            self.num_reads += 1
            return self._held[episode]

    def _read(self, episode: int) -> Frames:
        pieces = [values for _, values in read_frames(self.ds.select([episode]), self._columns, self._image_size)]
        return pieces[0] if len(pieces) == 1 else {name: np.concatenate([p[name] for p in pieces]) for name in pieces[0]}
