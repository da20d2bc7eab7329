"""What is measured of an episode's frames and actions, one episode after the other, in little memory."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa

from worldmodel.types import WorldSpec

BLACK = 8
"""A frame without any value above this (of 255) is black; sensor noise stays below."""

SCHEMA = pa.schema(
    [
        ("episode_index", pa.int64()),
        ("frames", pa.int64()),
        ("frozen_share", pa.float64()),
        ("black_share", pa.float64()),
        ("action_jump", pa.float64()),
        ("out_of_range", pa.bool_()),
        ("constant", pa.list_(pa.string())),
        ("duplicate_of", pa.int64()),
    ]
)
"""A row an episode:

    frames        number of frames
    frozen_share  share of consecutive frames that are the same picture, of the camera where it is largest
    black_share   share of black frames, of the camera where it is largest
    action_jump   largest change between two actions, in standard deviations above the mean change; 0 at least
    out_of_range  an action lies outside the bounds of the world's action
    constant      sensors that are no pictures and have the same value in every frame
    duplicate_of  number of the first episode that begins with the same pictures and acts in the same way; -1 for none
"""


class Measurer:
    """Takes episodes in order and knows all their measures at the end."""

    def __init__(self, spec: WorldSpec):
        self.images = [key for key, sensor in spec.sensors.items() if sensor.kind == "image"]
        self.vectors = [key for key, sensor in spec.sensors.items() if sensor.kind != "image"]
        self.low, self.high = np.array(spec.action.low), np.array(spec.action.high)
        self._columns: dict[str, list[Any]] = {name: [] for name in SCHEMA.names}
        self._seen: dict[bytes, int] = {}
        self._largest: list[np.ndarray] = []
        # of the sizes of all changes between consecutive actions, for each element: number, mean, sum of squared deviations
        self._count, self._mean, self._squares = 0, np.zeros(len(self.low)), np.zeros(len(self.low))

    def add(self, number: int, arrays: dict[str, np.ndarray]) -> None:
        """Measure the episode `number`: sensor key -> (T + 1, ...), and `action` (T + 1, A) whose last row is padding."""
        actions = arrays["action"][:-1].astype(np.float64)
        self._take_changes(np.abs(np.diff(actions, axis=0)))
        slack = 1e-6 * (self.high - self.low)
        values = {
            "episode_index": number,
            "frames": len(arrays["action"]),
            "frozen_share": max((_still_share(arrays[key]) for key in self.images), default=0.0),
            "black_share": max((_black_share(arrays[key]) for key in self.images), default=0.0),
            "out_of_range": bool(((actions < self.low - slack) | (actions > self.high + slack)).any()),
            "constant": [key for key in self.vectors if (arrays[key] == arrays[key][:1]).all()],
            "duplicate_of": self._first_like(number, arrays),
        }
        for name, value in values.items():
            self._columns[name].append(value)

    def finish(self) -> dict[str, list[Any]]:
        """Column name -> value of each episode, for `SCHEMA`."""
        std = np.sqrt(self._squares / max(self._count, 1))
        # an element that never changes cannot jump
        scale = np.where(std > 0, std, np.inf)
        jumps = [float(((largest - self._mean) / scale).max(initial=0.0)) for largest in self._largest]
        return self._columns | {"action_jump": jumps}

    def _take_changes(self, changes: np.ndarray) -> None:
        """(T - 1, A) sizes of the changes between consecutive actions (Chan et al., 1979, for the running moments)."""
        self._largest.append(changes.max(axis=0) if len(changes) else np.zeros(len(self.low)))
        if not len(changes):
            return
        count, mean = len(changes), changes.mean(axis=0)
        total = self._count + count
        gap = mean - self._mean
        self._squares += ((changes - mean) ** 2).sum(axis=0) + gap**2 * self._count * count / total
        self._mean = self._mean + gap * count / total
        self._count = total

    def _first_like(self, number: int, arrays: dict[str, np.ndarray]) -> int:
        """Number of the first episode with the same first pictures (or sensors, where there are none) and actions; or -1."""
        total = hashlib.sha256(np.ascontiguousarray(arrays["action"]).data)
        for key in self.images or self.vectors:
            total.update(np.ascontiguousarray(arrays[key][0]).data)
        first = self._seen.setdefault(total.digest(), number)
        return -1 if first == number else first


def _still_share(frames: np.ndarray) -> float:
    """Share of the pairs of consecutive frames (T, ...) that are equal."""
    if len(frames) < 2:
        return 0.0
    return float((frames[1:] == frames[:-1]).reshape(len(frames) - 1, -1).all(axis=1).mean())


def _black_share(frames: np.ndarray) -> float:
    """Share of frames (T, ...) without any value above `BLACK`."""
    return float((frames.reshape(len(frames), -1).max(axis=1) <= BLACK).mean())
