"""Windows of frames that never cross an episode, gathered from a cache in batches.

B batch   T frames in a window   k frame skip   W windows   A action dimension
"""

from __future__ import annotations

import numpy as np
import torch

from worldmodel.data.format.features import LABEL
from worldmodel.data.loading.cache import FrameCache
from worldmodel.data.loading.index import Split, WindowIndex
from worldmodel.types import Window


class Windows:
    """All windows of `num_frames` frames of one split, read from a cache.

    Args:
        cache: where the frames are.
        num_frames: T, frames in a window.
        stride: distance between the first frames of neighbouring windows of an episode.
        split: "train", "val", or "all".
        val_fraction: share of episodes in "val", chosen by a hash of their seeds.
        labels: whether batches carry the labels.
        frame_skip: k, steps between two frames of a window; the k actions between them are one block of k * A numbers.

    Attributes:
        start: (W,) int64, index of each window's first frame in the cache.
        episode: (W,) int64, index of its episode.

    Raises:
        ConfigError: a setting that makes no sense.
        DataError: the split has no window, because episodes are too few or too short.
    """

    def __init__(
        self,
        cache: FrameCache,
        num_frames: int,
        stride: int = 1,
        split: Split = "train",
        val_fraction: float = 0.05,
        labels: bool = False,
        frame_skip: int = 1,
    ):
        index = WindowIndex(
            cache.episode_length,
            cache.episode_seed,
            num_frames,
            frame_skip=frame_skip,
            stride=stride,
            split=split,
            val_fraction=val_fraction,
            source=str(cache.root),
        )
        self.cache = cache
        self.num_frames = num_frames
        self.frame_skip = frame_skip
        self.split = split
        self.labels = labels
        self.start, self.episode = cache.episode_start[index.episode] + index.offset, index.episode

    @property
    def num_windows(self) -> int:
        """W."""
        return len(self.start)

    def batch(self, indices: np.ndarray) -> Window:
        """The windows at `indices` (B,), copied out of the cache: pixels stay uint8, actions are (B, T - 1, k * A)."""
        start, episode = self.start[indices], self.episode[indices]
        frames = start[:, None] + np.arange(self.num_frames) * self.frame_skip  # (B, T)
        arrays = self.cache.arrays
        names = self.cache.label_names if self.labels else ()
        return Window(
            observations={key: torch.from_numpy(arrays[key][frames]) for key in self.cache.keys},
            actions=torch.from_numpy(self._actions(frames)),
            labels={name: torch.from_numpy(arrays[LABEL + name][frames]) for name in names},
            episode_index=torch.from_numpy(episode),
            frame_index=torch.from_numpy(start - self.cache.episode_start[episode]),
            frame_skip=self.frame_skip,
        )

    def _actions(self, frames: np.ndarray) -> np.ndarray:
        """The actions between frames (B, T) of the cache, (B, T - 1, k * A) in the order in which they happened."""
        if self.frame_skip == 1:
            return self.cache.arrays["action"][frames[:, :-1]]
        steps = frames[:, :-1, None] + np.arange(self.frame_skip)  # (B, T - 1, k)
        width = self.frame_skip * self.cache.arrays["action"].shape[1]
        return self.cache.arrays["action"][steps].reshape(*steps.shape[:2], width)
