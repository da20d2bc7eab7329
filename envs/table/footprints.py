"""How an object is turned on the table, as far as its footprint tells: a box's shows, what is round is the same all round."""

from __future__ import annotations

import mujoco
import numpy as np

from envs.table.objects import TableObject
from envs.table.scene import BOX

OBLONG = 1.2
"""A box with one side at least so many times the other is oblong: half a turn brings it back; any other counts as square."""


def fold_of(thing: TableObject) -> int:
    """How many times in a full turn the footprint looks the same: 2 for an oblong box, 4 for a square one, 0 for the rest."""
    if thing.shape.geom != BOX:
        return 0
    short, long = np.sort(thing.half[:2])
    return 2 if long >= OBLONG * short else 4


def sides_of(thing: TableObject) -> np.ndarray:
    """(2,) half sides of an upright box's footprint [m]: a square's alike."""
    return thing.half[:2] if fold_of(thing) != 4 else np.full(2, thing.half[:2].max())


def yaw_of(quaternion: np.ndarray) -> float:
    """Direction of the x axis of what stands upright, or upside down, about the vertical [rad]."""
    rotation = np.empty(9)
    mujoco.mju_quat2Mat(rotation, quaternion)
    return float(np.arctan2(rotation[3], rotation[0]))


def turn_left(yaw: float, wanted: float, fold: int) -> float:
    """The smallest turn that makes a footprint look as it should [rad], at most pi / fold; 0 for what is round."""
    if fold == 0:
        return 0.0
    half = np.pi / fold
    return float((wanted - yaw + half) % (2 * half) - half)
