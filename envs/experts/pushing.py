"""Pushes of one object onto a mark: by sweeps of the paddle, or by the closed fingers."""

from __future__ import annotations

import numpy as np

from envs.controls.sweep import SWEEP_HIGH, SWEEP_LOW
from envs.experts.fetching import TRAVEL_Z, WayPoint
from envs.experts.grasping import widths
from envs.robots.gripper import FINGER_HALF
from envs.robots.tools import PADDLE_CAP, PADDLE_HALF
from envs.table.objects import TableObject
from envs.table.world import World

ROOM = 0.03
"""Distance behind the object at which the paddle comes down: a fast robot still sways there [m]."""
PUSH_Z = 0.012
"""Height of the fingertips while they push [m]."""
MAX_PUSH = 0.03
"""How far ahead of the object's place it is pushed in one action [m]."""
SLIPPED = 0.012
"""So far aside of the middle between the fingers, an object is not pushed on [m]."""
MAX_ASIDE = 0.06
"""So far aside, the fingers go up and come down behind it again [m]."""
BEHIND = 0.035
"""How far behind the object the fingers come down [m]."""


def push_by_sweep(world: World, thing: TableObject, mark: np.ndarray) -> np.ndarray:
    """A sweep (2, 2), start and end [m], along the line through the object and the mark."""
    xy = world.poses[thing.slot, :2]
    way = mark - xy
    along = way / max(float(np.hypot(*way)), 1e-6)
    back = float(widths(world, thing, along[None])[0]) / 2
    start = xy - along * (back + PADDLE_CAP + ROOM)
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
        return WayPoint(np.array([*wanted, PUSH_Z if there else TRAVEL_Z, yaw]), 0.0)
    yaws = np.linspace(0, np.pi, 12, endpoint=False)
    least = float(widths(world, thing, np.stack([np.cos(yaws), np.sin(yaws)], axis=1)).min()) / 2
    if behind < least - 0.008 or abs(aside) > MAX_ASIDE:  # down, and not behind it
        return WayPoint(np.array([*tip[:2], TRAVEL_Z, world.tool_yaw]), 0.0)
    if tip[2] > PUSH_Z + 0.01:
        return WayPoint(np.array([*tip[:2], PUSH_Z, yaw]), 0.0)
    # On: slower near the mark, so that it does not slide beyond, and back a little from what has slipped aside.
    forward = max(behind - back, 0.0) + min(left, MAX_PUSH) * np.clip(1 - abs(aside) / SLIPPED, -0.5, 1)
    return WayPoint(np.array([*(tip[:2] + along * forward - across * aside), PUSH_Z, yaw]), 0.0)
