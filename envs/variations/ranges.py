"""What a factor of variation draws: numbers and choices whose held-out values training never sees.

A quantity of a factor has two supports, `train` and `held_out`; that they do not meet is checked when it is made.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Interval = tuple[float, float]
Split = Literal["train", "held_out"]
SPLITS: tuple[Split, ...] = ("train", "held_out")
Per = Literal["episode", "slot", "camera", "distractor"]
"""How often a quantity is drawn: once an episode, or a list of one value for each slot of an object, camera or distractor."""


@dataclass(frozen=True)
class Range:
    """A number, drawn uniformly from the union of some intervals."""

    unit: str
    """Such as m; empty for a factor by which something nominal is multiplied."""
    train: tuple[Interval, ...]
    """What training sees."""
    held_out: tuple[Interval, ...]
    """What it never sees; ValueError where the two meet."""
    per: Per = "episode"
    """How often it is drawn."""
    whole: bool = False
    """A whole number, both ends of an interval included."""

    def __post_init__(self) -> None:
        """Raise ValueError for an empty interval, or supports that meet."""
        if not self.train or not self.held_out or any(low > high for low, high in self.train + self.held_out):
            raise ValueError(f"expected intervals (low, high) in both splits, got {self.train} and {self.held_out}")
        for a, b in itertools.product(self.train, self.held_out):
            if max(a[0], b[0]) <= min(a[1], b[1]):
                raise ValueError(f"the held-out interval {b} meets {a}, which training sees")

    def contains(self, value: float, split: Split) -> bool:
        """Whether a split can draw this value."""
        return any(low <= value <= high for low, high in getattr(self, split))

    def draw(self, rng: np.random.Generator, split: Split, count: int | None) -> float | list[float]:
        """A value, or a list of `count` of them."""
        return _draw(self._one, rng, getattr(self, split), count)

    def _one(self, rng: np.random.Generator, intervals: tuple[Interval, ...]) -> float:
        if self.whole:
            return int(rng.choice(np.concatenate([np.arange(low, high + 1) for low, high in intervals])))
        length = np.array([high - low for low, high in intervals])
        low, high = intervals[rng.choice(len(intervals), p=length / length.sum())]
        return float(rng.uniform(low, high))


@dataclass(frozen=True)
class Choice:
    """One of some names, each as likely as the others."""

    train: tuple[str, ...]
    """What training sees."""
    held_out: tuple[str, ...]
    """What it never sees; ValueError where the two meet."""
    per: Per = "episode"
    """How often it is drawn."""
    unit: str = ""
    """Names have none."""

    def __post_init__(self) -> None:
        """Raise ValueError for nothing to choose from, or supports that meet."""
        if not self.train or not self.held_out:
            raise ValueError(f"expected names in both splits, got {self.train} and {self.held_out}")
        if both := set(self.train) & set(self.held_out):
            raise ValueError(f"{sorted(both)} would be held out and seen in training")

    def contains(self, value: str, split: Split) -> bool:
        """Whether a split can draw this value."""
        return value in getattr(self, split)

    def draw(self, rng: np.random.Generator, split: Split, count: int | None) -> str | list[str]:
        """A name, or a list of `count` of them."""
        return _draw(lambda rng, names: str(names[rng.integers(len(names))]), rng, getattr(self, split), count)


def _draw(one: Any, rng: np.random.Generator, support: Sequence[Any], count: int | None) -> Any:
    return one(rng, support) if count is None else [one(rng, support) for _ in range(count)]


Quantity = Range | Choice
