"""What an observation space holds, sorted: pictures, one vector of everything else, and the two goals of the goal API.

P numbers of proprio   G numbers of a goal
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box

GOALS = ("achieved_goal", "desired_goal")
"""Entries of a multi-goal observation (Plappert et al. 2018, arXiv:1802.09464)."""
WHOLE = ""
"""Name of the only entry of an observation that is no dict."""


@dataclass(frozen=True)
class Senses:
    """Which entries of an observation are what."""

    pictures: tuple[str, ...]
    """Entries that are pictures (height, width, 3) uint8."""
    vectors: tuple[str, ...]
    """Entries whose numbers make up proprio, one after the other."""
    goals: tuple[str, ...]
    """`GOALS` where there are both, or nothing."""
    sizes: dict[str, int]
    """Vector entry or goal -> how many numbers it has."""
    ignored: tuple[str, ...]
    """Entries that are neither, such as a Discrete one."""

    @property
    def proprio(self) -> int:
        """P."""
        return sum(self.sizes[key] for key in self.vectors)


def senses_of(space: gym.Space) -> Senses:
    """The entries of an observation space, sorted."""
    entries = dict(space.spaces) if isinstance(space, gym.spaces.Dict) else {WHOLE: space}
    flat = {key: box for key, box in entries.items() if isinstance(box, Box)}
    pictures = tuple(key for key, box in flat.items() if _is_picture(box))
    sizes = {key: int(np.prod(box.shape)) for key, box in flat.items() if key not in pictures}
    goals = GOALS if all(key in sizes for key in GOALS) and sizes[GOALS[0]] == sizes[GOALS[1]] else ()
    vectors = tuple(key for key in sizes if key not in goals)
    ignored = tuple(key or type(space).__name__ for key in entries if key not in flat)
    return Senses(pictures, vectors, goals, sizes, ignored)


def numbers(observation: Any, keys: tuple[str, ...]) -> np.ndarray:
    """The numbers of some entries of an observation, one after the other, float32 (n,)."""
    entries = observation if isinstance(observation, dict) else {WHOLE: observation}
    parts = [np.asarray(entries[key], np.float32).reshape(-1) for key in keys]
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def entry(observation: Any, key: str) -> Any:
    """One entry of an observation."""
    return observation[key] if isinstance(observation, dict) else observation


def bounds(space: gym.Space, keys: tuple[str, ...]) -> Box:
    """The Box of `numbers`."""
    entries: dict[str, Any] = dict(space.spaces) if isinstance(space, gym.spaces.Dict) else {WHOLE: space}
    low, high = (
        np.concatenate([np.asarray(getattr(entries[key], end), np.float32).reshape(-1) for key in keys])
        for end in ("low", "high")
    )
    return Box(low, high, dtype=np.float32)


def _is_picture(box: Box) -> bool:
    return box.dtype == np.uint8 and len(box.shape) == 3 and box.shape[2] == 3
