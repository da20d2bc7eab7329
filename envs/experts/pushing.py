"""Pushes of one object onto a mark: by sweeps of the paddle, or by two fingers a little apart, which it cannot slip off."""

from __future__ import annotations

import numpy as np

from envs.controls.sweep import SWEEP_HIGH, SWEEP_LOW
from envs.experts.fetching import TRAVEL_Z, WayPoint
from envs.experts.grasping import widths
from envs.experts.sweeping import CLEARANCE
from envs.gripper import FINGER_HALF
from envs.objects import TableObject
from envs.tools import PADDLE_CAP, PADDLE_HALF
from envs.world import World

PUSH_Z = 0.012
"""Height of the fingertips while they push [m]."""
FORK = 0.045
"""Distance between the fingers while they push [m]."""
MAX_PUSH = 0.03
"""How far ahead of the object's place it is pushed in one action [m]."""
BEHIND = 0.035
"""How far behind the object the fingers come down [m]."""


def push_by_sweep(world: World, thing: TableObject, mark: np.ndarray) -> np.ndarray:
    """A sweep (2, 2), start and end [m], along the line through the object and the mark."""
    xy = world.poses[thing.slot, :2]
    way = mark - xy
    along = way / max(float(np.hypot(*way)), 1e-6)
    back = float(widths(world, thing, along[None])[0]) / 2
    start = xy - along * (back + PADDLE_CAP + CLEARANCE)
    end = mark - along * (back + PADDLE_HALF[1])
    return np.clip(np.stack([start, end]), SWEEP_LOW, SWEEP_HIGH)


def push_by_hand(world: World, thing: TableObject, mark: np.ndarray) -> WayPoint:
    """Where the gripper should go next to push an object onto a mark."""
    tip, xy = world.tool_position, world.poses[thing.slot, :2]
    way = mark - xy
    left = float(np.hypot(*way))
    along = way / max(left, 1e-6)
    across = np.array([-along[1], along[0]])
    back = float(widths(world, thing, along[None])[0]) / 2 + FINGER_HALF[1]
    yaw = np.arctan2(across[1], across[0])
    offset = tip[:2] - xy
    behind, aside = -float(offset @ along), float(offset @ across)
    if tip[2] > 0.06:  # above: to behind the object, then down
        wanted = xy - along * (back + BEHIND)
        there = np.hypot(*(tip[:2] - wanted)) < 0.012
        return WayPoint(np.array([*wanted, PUSH_Z if there else TRAVEL_Z, yaw]), FORK)
    if behind < back - 0.012 or abs(aside) > 0.025:  # down, and not behind it
        return WayPoint(np.array([*tip[:2], TRAVEL_Z, world.tool_yaw]), FORK)
    if tip[2] > PUSH_Z + 0.01:
        return WayPoint(np.array([*tip[:2], PUSH_Z, yaw]), FORK)
    # On, slower near the mark, so that it does not slide beyond.
    return WayPoint(np.array([*(xy + along * (min(left, MAX_PUSH) - back)), PUSH_Z, yaw]), FORK)
