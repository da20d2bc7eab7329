"""Windows of consecutive frames that never cross an episode, gathered from a cache in batches.

B batch   T frames in a window   W windows   A action dimension
"""

from __future__ import annotations

import hashlib
from typing import Literal

import numpy as np
import torch

from worldmodel.data.cache import FrameCache
from worldmodel.data.features import LABEL
from worldmodel.errors import ConfigError, DataError
from worldmodel.types import Window

SPLITS = ("train", "val", "all")


def in_validation(seed: int, val_fraction: float) -> bool:
    """Whether the episode of this seed belongs to the validation split.

    It depends on the seed alone, so that an episode never changes sides when a dataset grows or is recorded again.
    """
    digest = hashlib.sha256(f"validation split {seed}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < val_fraction * 2**64


class Windows:
    """All windows of `num_frames` consecutive frames of one split.

    Args:
        cache: where the frames are.
        num_frames: T, frames in a window; T - 1 actions lie between them.
        stride: distance between the first frames of neighbouring windows of an episode.
        split: "train", "val", or "all".
        val_fraction: share of episodes in "val", chosen by a hash of their seeds.
        labels: whether batches carry the labels.

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
        split: Literal["train", "val", "all"] = "train",
        val_fraction: float = 0.05,
        labels: bool = False,
    ):
        if num_frames < 1 or stride < 1:
            raise ConfigError(f"num_frames is {num_frames} and stride is {stride}; expected 1 or more")
        if split not in SPLITS:
            raise ConfigError(f"split is {split!r}; expected one of {', '.join(SPLITS)}")
        if not 0 <= val_fraction < 1:
            raise ConfigError(f"val_fraction is {val_fraction}; expected 0 or more and less than 1")
        self.cache = cache
        self.num_frames = num_frames
        self.split = split
        self.labels = labels
        self.start, self.episode = self._find(stride, val_fraction)
        if not len(self.start):
            raise DataError(
                f"{cache.path}: no window of {num_frames} frames in the {split} split of {cache.num_episodes} episodes "
                f"(val_fraction {val_fraction:g}); record more episodes, or change val_fraction or the window's length"
            )

    @property
    def num_windows(self) -> int:
        """W."""
        return len(self.start)

    def batch(self, indices: np.ndarray) -> Window:
        """The windows at `indices` (B,), copied out of the cache: pixels stay uint8."""
        start, episode = self.start[indices], self.episode[indices]
        frames = start[:, None] + np.arange(self.num_frames)  # (B, T)
        arrays = self.cache.arrays
        names = self.cache.label_names if self.labels else ()
        return Window(
            observations={key: torch.from_numpy(arrays[key][frames]) for key in self.cache.keys},
            actions=torch.from_numpy(arrays["action"][frames[:, :-1]]),
            labels={name: torch.from_numpy(arrays[LABEL + name][frames]) for name in names},
            episode_index=torch.from_numpy(episode),
            frame_index=torch.from_numpy(start - self.cache.episode_start[episode]),
        )

    def _find(self, stride: int, val_fraction: float) -> tuple[np.ndarray, np.ndarray]:
        starts, episodes = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for i, (first, length, seed) in enumerate(
            zip(self.cache.episode_start, self.cache.episode_length, self.cache.episode_seed.tolist(), strict=True)
        ):
            if self.split != "all" and in_validation(seed, val_fraction) != (self.split == "val"):
                continue
            offsets = np.arange(0, length - self.num_frames + 1, stride)
            starts.append(first + offsets)
            episodes.append(np.full(len(offsets), i))
        return np.concatenate(starts), np.concatenate(episodes)
