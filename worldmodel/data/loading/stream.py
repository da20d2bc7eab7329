"""Windows read from the shards, for data that is larger than a cache may be: shuffled through a bounded buffer of pieces.

A piece is an episode, or a part of a long one. They are the same windows under the same numbers as those of `Windows`. What
differs is the order in which an epoch takes them: files are shuffled, pieces within each file, and windows within what the
buffer holds, so that a piece is read once an epoch and dropped when its last window is taken. That order follows from the
seed and the epoch's number alone. A run is resumed from one number; what it costs is to read one buffer again, piece by piece
as they are needed.

B batch   T frames in a window   k frame skip   W windows   P pieces
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch

from worldmodel.data.dataset import Dataset
from worldmodel.data.format.features import LABEL
from worldmodel.data.format.frame_reader import FrameReader
from worldmodel.data.loading.cache_build import columns_of
from worldmodel.data.loading.index import Split, WindowIndex
from worldmodel.errors import ConfigError
from worldmodel.framing import Framing
from worldmodel.types import Window

PIECE_FRAMES = 512
"""Frames of a piece, about: a longer episode is read in parts."""

Frames = dict[str, np.ndarray]
"""Array, named as in a cache -> (frames of the piece, ...)."""


class StreamedWindows:
    """All windows of `num_frames` frames of one split, read from the shards when they are asked for.

    Any windows may be asked for, but only in the order of `order` is each piece read once.

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
        buffer_windows: windows whose pieces are kept in memory at once.
        num_threads: threads that read and decode.

    Attributes:
        spec: the world that was recorded, with its pictures at the size that they have here.
        num_reads: pieces read so far, those read again included.

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
        self._columns, self._framing = columns, Framing(image_size=image_size)
        before = np.searchsorted(self.index.episode, self.index.episode)  # (W,) first window of the same episode
        begins = (np.arange(self.num_windows) - before) % max(1, PIECE_FRAMES // stride) == 0
        self._piece = np.cumsum(begins) - 1  # (W,)
        self._counts = np.bincount(self._piece)  # (P,) windows of each piece
        self._first = np.flatnonzero(begins)  # (P,) its first window
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
        """Every window once, (W,), so that at no place the pieces of more than `buffer_windows` windows are in use."""
        rng = np.random.default_rng([seed, epoch])
        files = np.unique([self.ds.episodes[i].file for i in self.index.episode[self._first]], return_inverse=True)[1]
        pieces = np.lexsort((rng.permutation(len(files)), rng.permutation(files.max() + 1)[files]))
        # Each piece begins to be used at a place, and its windows come within half a buffer after that. The pieces of the
        # first half buffer all begin at once.
        half = self._buffer // 2
        begin = np.empty(len(pieces))
        begin[pieces] = np.maximum(np.cumsum(self._counts[pieces]) - self._counts[pieces] - half, 0)
        return np.argsort(begin[self._piece] + rng.uniform(0, half, self.num_windows), kind="stable")

    def prepare(self, indices: np.ndarray) -> None:
        """Begin to read the pieces of the windows at `indices`, (B,), in the background."""
        for piece in dict.fromkeys(self._piece[indices].tolist()):
            self._frames(piece)

    def batch(self, indices: np.ndarray) -> Window:
        """The windows at `indices` (B,): pixels stay uint8, actions are (B, T - 1, k * A)."""
        pieces = self._piece[indices]
        futures = {number: self._frames(number) for number in dict.fromkeys(pieces.tolist())}
        parts = [futures[number].result() for number in pieces.tolist()]
        offset = self.index.offset[indices] - self.index.offset[self._first[pieces]]  # within the piece
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
            episode_index=torch.from_numpy(self.index.episode[indices]),
            frame_index=torch.from_numpy(self.index.offset[indices]),
            frame_skip=self.frame_skip,
        )

    def close(self) -> None:
        """Stop reading. Closing twice is harmless."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _frames(self, piece: int) -> Future[Frames]:
        """The frames of a piece, read or being read; the longest unused ones make room for it."""
        with self._lock:
            if piece in self._held:
                self._held.move_to_end(piece)
                return self._held[piece]
            self._num_held += int(self._counts[piece])
            while self._held and self._num_held > self._buffer:
                dropped, _ = self._held.popitem(last=False)
                self._num_held -= int(self._counts[dropped])
            self._held[piece] = self._pool.submit(self._read, piece)
            self.num_reads += 1
            return self._held[piece]

    def _read(self, piece: int) -> Frames:
        first = self._first[piece]
        last = first + self._counts[piece] - 1
        row = self.ds.episodes[self.index.episode[first]]
        begin, end = int(self.index.offset[first]), int(self.index.offset[last]) + self.index.span + 1
        with FrameReader(self.ds.folder, self.ds.layout, self.ds.whole.data_files) as reader:
            values = reader.read(row, list(dict.fromkeys(self._columns.values())), begin, end)
        named = {name: values[column] for name, column in self._columns.items()}
        return self._framing.pictures(named, self.ds.spec)
