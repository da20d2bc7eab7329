"""Scripted experts for LoadRack: which dish is taken next, how it is held, and which slot it goes to."""

from __future__ import annotations

import numpy as np

from envs.table.dishes import SPAWN_HIGH, SPAWN_LOW, axis_of, is_plate
from envs.table.objects import TableObject
from envs.table.rack import CUP_SLOTS, PLATE_SLOTS
from envs.table.world import World

REACH = 0.052
"""How far from the middle an open finger is [m]."""
CUP_YAW = np.pi / 4
"""Angle at which a cup is let go in its cell: the fingers open towards the corners, where nothing stands [rad]."""

Poses = tuple[np.ndarray, np.ndarray]
"""Where the hand closes and where it opens: (x, y, yaw) each [m, rad]."""


def load_next(world: World, waiting: list[TableObject], rng: np.random.Generator) -> Poses:
    """Take a dish that stands, plates before cups, to the free slot that is furthest from what stands in the rack already."""
    if not waiting:
        return np.array([0.0, -0.2, 0.0]), np.array([0.0, -0.2, 0.0])
    dish = min(waiting, key=lambda dish: (not _can_be_taken(world, dish), not is_plate(dish), rng.uniform()))
    slot = free_slot(world, dish)
    return hold(world, dish), np.array([*slot, 0.0 if is_plate(dish) else CUP_YAW])


def load_roughly(world: World, waiting: list[TableObject], rng: np.random.Generator) -> Poses:
    """Take a random dish, not quite where it is, to a random slot or anywhere on the table."""
    if not waiting:
        return _anywhere(rng), _anywhere(rng)
    dish = waiting[rng.integers(len(waiting))]
    pick = hold(world, dish) + rng.normal(0, [0.006, 0.006, 0.10])
    if rng.uniform() < 0.35:
        return pick, _anywhere(rng)
    slots = PLATE_SLOTS if is_plate(dish) else CUP_SLOTS
    place = np.array([*slots[rng.integers(len(slots))], 0.0 if is_plate(dish) else CUP_YAW])
    return pick, place + rng.normal(0, [0.004, 0.010, 0.06])


def hold(world: World, dish: TableObject) -> np.ndarray:
    """How a dish is taken, (x, y, yaw): a plate by its sides, a cup with the fingers where there is most room."""
    pose = world.poses[dish.slot]
    axis = axis_of(pose[3:])
    if np.hypot(*axis[:2]) > 0.5:  # on edge, or tipped over
        yaw = np.arctan2(axis[1], axis[0]) + (0.0 if is_plate(dish) else np.pi / 2)
        return np.array([*pose[:2], yaw])
    others = np.array([world.poses[other.slot, :2] for other in world.objects if other is not dish]).reshape(-1, 2)
    yaws = np.linspace(-np.pi / 2, np.pi / 2, 12, endpoint=False)
    fingers = REACH * np.stack([np.cos(yaws), np.sin(yaws)], axis=1)
    room = [min(np.hypot(*(others - pose[:2] - side * finger).T).min(initial=1.0) for side in (-1, 1)) for finger in fingers]
    return np.array([*pose[:2], yaws[int(np.argmax(room))]])


def free_slot(world: World, dish: TableObject) -> np.ndarray:
    """(2,) the slot for a dish that is furthest from where the others are [m]."""
    slots = PLATE_SLOTS if is_plate(dish) else CUP_SLOTS
    others = np.array([world.poses[other.slot, :2] for other in world.objects if other is not dish]).reshape(-1, 2)
    room = [np.hypot(*(others - slot).T).min(initial=0.3) for slot in slots]
    return slots[int(np.argmax(np.array(room) - 0.004 * np.arange(len(slots))))]  # no two alike, or the hand would waver


def _can_be_taken(world: World, dish: TableObject) -> bool:
    return not is_plate(dish) or abs(axis_of(world.poses[dish.slot, 3:])[2]) < 0.5


def _anywhere(rng: np.random.Generator) -> np.ndarray:
    return np.array([*rng.uniform(SPAWN_LOW, SPAWN_HIGH), rng.uniform(-np.pi / 2, np.pi / 2)])
