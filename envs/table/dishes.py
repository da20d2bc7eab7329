"""Plates and cups: how an episode of LoadRack draws them, sets them on the table and in the rack, and finds them there."""

from __future__ import annotations

import numpy as np

from envs.table.objects import TableObject, draw_object
from envs.table.rack import CUP_SLOTS, PLATE, PLATE_SLOTS, Limits, cup_slot, plate_rest_height, plate_slot
from envs.table.scene import HUES, SHAPES

CUP = SHAPES[0]
SPAWN_LOW, SPAWN_HIGH = np.array([-0.20, -0.25]), np.array([0.20, -0.01])
"""Corners of the part of the table on which dishes start, (x, y) [m]."""
MIN_GAP = 0.025
"""Least distance between the footprints of two dishes at the start: room for a hand and its fingers [m]."""
PLATE_ROOM = 0.065
"""Radius of the footprint of a plate in its stand [m]."""
LIFT = 2e-4
"""Height above its support at which a dish is let go when it is placed [m]."""


def is_plate(dish: TableObject) -> bool:
    """Whether it stands on edge."""
    return dish.shape.name == PLATE.name


def draw_dishes(num: int, rng: np.random.Generator) -> list[TableObject]:
    """`num` dishes in slots drawn without replacement; from two on, there is a plate and a cup."""
    slots = np.sort(rng.permutation(len(HUES))[:num])
    kinds = np.concatenate([rng.permutation(2), rng.integers(0, 2, max(num - 2, 0))])[:num]
    kinds = rng.permutation(kinds)
    return [draw_object(int(slot), PLATE if kind == 0 else CUP, rng) for slot, kind in zip(slots, kinds, strict=True)]


def resting(dish: TableObject, xy: np.ndarray, yaw: float) -> np.ndarray:
    """Pose (7,) of a dish at (x, y) [m]: an upright cup on the table, or a plate on the rails under it, facing `yaw` [rad]."""
    cos, sin = np.cos(yaw / 2), np.sin(yaw / 2)
    if not is_plate(dish):
        return np.array([*xy, dish.height + LIFT, cos, 0, 0, sin])
    # Turned so that its axis lies along x, then by the yaw: the product of (cos, 0, 0, sin) and (1, 1, 1, 1) / 2.
    turned = np.array([cos - sin, cos - sin, cos + sin, cos + sin]) / 2
    return np.array([*xy, plate_rest_height(dish.radius) + LIFT, *turned])


def axis_of(quaternion: np.ndarray) -> np.ndarray:
    """Direction (3,) of a dish's axis: up for a cup that stands, level for a plate on edge."""
    w, x, y, z = quaternion
    return np.array([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x**2 + y**2)])


def spread(dishes: list[TableObject], rng: np.random.Generator) -> np.ndarray:
    """Places (n, 3) on the table with room around them: x, y [m] and yaw [rad]."""
    room = np.array([PLATE_ROOM if is_plate(dish) else dish.radius for dish in dishes])
    while True:
        places = np.empty((0, 3))
        for i in range(len(dishes)):
            for _ in range(60):
                xy = rng.uniform(SPAWN_LOW, SPAWN_HIGH)
                if all(np.hypot(*(places[:, :2] - xy).T) - room[:i] - room[i] > MIN_GAP):
                    places = np.vstack([places, [*xy, rng.uniform(-np.pi / 2, np.pi / 2)]])
                    break
            else:
                break
        if len(places) == len(dishes):
            return places


def shelve(dishes: list[TableObject], rng: np.random.Generator) -> np.ndarray:
    """Places (n, 3) in the rack, drawn without replacement: x, y [m] and yaw [rad]."""
    free = {True: list(rng.permutation(PLATE_SLOTS)), False: list(rng.permutation(CUP_SLOTS))}
    return np.array([[*free[is_plate(dish)].pop(), np.pi * rng.integers(2)] for dish in dishes])


def slot_of(dish: TableObject, pose: np.ndarray, limits: Limits) -> int | None:
    """The rack's slot in which a dish with this pose (7,) is, or None; plates and cups have slots of their own."""
    if is_plate(dish):
        return plate_slot(pose[:3], axis_of(pose[3:]), dish.radius, limits)
    return cup_slot(pose[:3], axis_of(pose[3:]), dish.height, limits)
