"""TableClear: every object that stands on the table must come to rest in the bin."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from envs.objects import TableObject
from envs.scene import BIN_DEPTH, BIN_FLOOR_Z, FLOOR_Z, TABLE_HALF

INSTRUCTION = "clear the table"

SPAWN_LOW, SPAWN_HIGH = np.array([-0.19, -0.20]), np.array([0.19, 0.20])
"""Corners of the part of the table on which objects start, (x, y) [m]."""
MIN_GAP = 0.015
"""Least distance between the footprints of two objects at the start [m]."""
GOAL_DROP = 0.10
"""Height above the bin's floor from which the objects of a goal state fall [m]."""

BIN_TOP = 0.03
"""An object whose centre is higher leans on the rim, or hangs over the edge, and is not in the bin [m]."""


class Status(IntEnum):
    """Where an object is."""

    ABSENT = 0
    TABLE = 1
    BIN = 2
    FLOOR = 3


def start_layout(objects: list[TableObject], rng: np.random.Generator) -> np.ndarray:
    """Poses (n, 4) of upright objects on the table that do not touch: x, y, z [m] and yaw [rad]."""
    while True:
        poses = np.empty((0, 4))
        for thing in objects:
            for _ in range(100):
                xy = rng.uniform(SPAWN_LOW, SPAWN_HIGH)
                gaps = [np.hypot(*(xy - p[:2])) - thing.radius - o.radius for p, o in zip(poses, objects, strict=False)]
                if all(gap > MIN_GAP for gap in gaps):
                    poses = np.vstack([poses, [*xy, thing.height + 1e-4, rng.uniform(-np.pi, np.pi)]])
                    break
        if len(poses) == len(objects):
            return poses


def goal_layout(objects: list[TableObject], rng: np.random.Generator) -> np.ndarray:
    """Poses (n, 4) from which every object falls into the bin: side by side along it, in a random order."""
    order = rng.permutation(len(objects))
    x = (order + 0.5) / len(objects) * 2 * (TABLE_HALF - 0.05) - (TABLE_HALF - 0.05)
    y = TABLE_HALF + BIN_DEPTH / 2 + rng.uniform(-0.01, 0.01, len(objects))
    z = np.full(len(objects), BIN_FLOOR_Z + GOAL_DROP)
    return np.column_stack([x, y, z, rng.uniform(-np.pi, np.pi, len(objects))])


def classify(position: np.ndarray) -> Status:
    """Where an object at rest is, from its centre (x, y, z) [m]."""
    x, y, z = position
    if z < (BIN_FLOOR_Z + FLOOR_Z) / 2:
        return Status.FLOOR
    if abs(x) < TABLE_HALF and TABLE_HALF < y < TABLE_HALF + BIN_DEPTH and z < BIN_TOP:
        return Status.BIN
    return Status.TABLE
