"""Which windows there are: every place in an episode of one split at which a whole window fits.

It follows from the episodes' lengths and seeds alone, so that windows read from a cache and windows read from the shards are
the same ones, under the same numbers.

T frames in a window   k frame skip   W windows   E episodes
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Literal

import numpy as np

from worldmodel.errors import ConfigError, DataError

Split = Literal["train", "val", "all"]
SPLITS = ("train", "val", "all")


def in_validation(seed: int, val_fraction: float) -> bool:
    """Whether the episode of this seed belongs to the validation split.

    It depends on the seed alone, so that an episode never changes sides when a dataset grows or is recorded again.
    """
    digest = hashlib.sha256(f"validation split {seed}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < val_fraction * 2**64


def in_split(seeds: Iterable[int], split: Split, val_fraction: float) -> np.ndarray:
    """Which of the episodes of these seeds belong to a split, (E,) bool."""
    return np.array([split == "all" or in_validation(seed, val_fraction) == (split == "val") for seed in seeds], bool)


class WindowIndex:
    """The windows of one split of a dataset, numbered from 0 in the order of the episodes.

    Args:
        lengths: (E,) int64, frames of each episode.
        seeds: (E,) int64.
        num_frames: T, frames in a window.
        frame_skip: k, steps between two frames of a window.
        stride: distance between the first frames of neighbouring windows of an episode.
        split: "train", "val", or "all".
        val_fraction: share of episodes in "val", chosen by a hash of their seeds.
        source: the dataset that the episodes are of, for errors.
        setting: the setting that T comes from, for errors.

    Attributes:
        episode: (W,) int64, number of each window's episode.
        offset: (W,) int64, place of its first frame in that episode.
        span: steps from its first frame to its last, (T - 1) k.

    Raises:
        ConfigError: a setting that makes no sense.
        DataError: the split has no window, because episodes are too few or too short.
    """

    def __init__(
        self,
        lengths: np.ndarray,
        seeds: np.ndarray,
        num_frames: int,
        *,
        frame_skip: int = 1,
        stride: int = 1,
        split: Split = "train",
        val_fraction: float = 0.05,
        source: str = "the dataset",
        setting: str = "the window's length",
    ):
        if num_frames < 1 or stride < 1 or frame_skip < 1:
            raise ConfigError(f"num_frames is {num_frames}, stride {stride} and frame_skip {frame_skip}; expected 1 or more")
        if split not in SPLITS:
            raise ConfigError(f"split is {split!r}; expected one of {', '.join(SPLITS)}")
        if not 0 <= val_fraction < 1:
            raise ConfigError(f"val_fraction is {val_fraction}; expected 0 or more and less than 1")
        self.num_frames, self.frame_skip = num_frames, frame_skip
        self.span = (num_frames - 1) * frame_skip
        chosen = in_split(seeds.tolist(), split, val_fraction)
        counts = np.where(chosen, np.maximum(0, -(-(lengths - self.span) // stride)), 0)  # windows of each episode
        self.episode = np.repeat(np.arange(len(lengths)), counts)
        self.offset = (np.arange(len(self.episode)) - np.repeat(np.cumsum(counts) - counts, counts)) * stride
        if not len(self.episode):
            skipping = f", every {frame_skip} steps," if frame_skip > 1 else ""
            longest = int(lengths[chosen].max(initial=0))
            remedy = f"lower {setting}" if longest else "change data.val_fraction"
            raise DataError(
                f"{source}: no window of {num_frames} frames{skipping} in the {split} split: {chosen.sum()} of {len(lengths)} "
                f"episodes (val_fraction {val_fraction:g}), the longest of {longest} frames; {remedy}, or record more episodes"
            )

    def __len__(self) -> int:
        """W."""
        return len(self.episode)
