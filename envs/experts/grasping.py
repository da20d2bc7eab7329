"""How to take hold of an object: the line across which the fingers close, chosen from its shape and its neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from envs.robots.gripper import FINGER_HALF
from envs.table.objects import TableObject
from envs.table.scene import CYLINDER
from envs.table.world import World

NUM_YAWS = 36
"""Lines through an object that are tried."""
PLAY = 0.012
"""Least way of each finger to what it closes on [m]."""
MIN_CLEARANCE = 0.004
"""Least distance between a finger and another object [m]."""
YAW_COST = 0.002
"""What a turn of the wrist by one radian is worth, in metres of width."""


@dataclass(frozen=True)
class Grasp:
    """Where the gripper closes on an object."""

    pose: np.ndarray
    """(3,) x, y [m] and yaw [rad]."""
    width: float
    """Of the object between the fingers [m]."""
    clearance: float
    """Between the opened fingers and what else stands there; negative when they would come down on it [m]."""


def widths(world: World, thing: TableObject, directions: np.ndarray) -> np.ndarray:
    """How wide an object is along horizontal directions (N, 2), as it lies: (N,) [m]."""
    rotation = np.empty(9)
    mujoco.mju_quat2Mat(rotation, world.poses[thing.slot, 3:])
    share = np.abs(directions @ rotation.reshape(3, 3)[:2])  # (N, 3), along the object's own axes
    if thing.shape.geom == CYLINDER:
        return 2 * (share[:, 2] * thing.half[1] + thing.half[0] * np.sqrt(np.clip(1 - share[:, 2] ** 2, 0, 1)))
    return 2 * share @ thing.half


def find_grasp(world: World, slot: int, opening: float | None = None, near: float = 0.0) -> Grasp:
    """The best grasp of the object in a slot, with the fingers `opening` apart before, or as little as the object needs [m].

    `near` is the yaw from which the wrist would have to turn [rad].
    """
    thing = next(thing for thing in world.objects if thing.slot == slot)
    xy = world.poses[slot, :2]
    yaws = np.arange(NUM_YAWS) * np.pi / NUM_YAWS
    along = np.stack([np.cos(yaws), np.sin(yaws)], axis=1)
    wide = widths(world, thing, along)
    apart = np.minimum(wide + 2 * PLAY, world.robot.tool.max_opening) if opening is None else np.full(NUM_YAWS, opening)
    clear = np.full(NUM_YAWS, 0.1)
    for other in world.objects:
        if other.slot != slot:
            clear = np.minimum(clear, _clearance(world, other, xy, along, apart))
    tight = np.clip(MIN_CLEARANCE - clear, 0, None) * 20 + np.clip(wide + 0.006 - apart, 0, None) * 100
    turn = np.abs((yaws - near + np.pi / 2) % np.pi - np.pi / 2)
    best = int(np.argmin(wide + tight + YAW_COST * turn))
    return Grasp(np.array([*xy, yaws[best]]), float(wide[best]), float(clear[best]))


def _clearance(world: World, other: TableObject, xy: np.ndarray, along: np.ndarray, apart: np.ndarray) -> np.ndarray:
    """Distances (N,) between fingers on lines (N, 2) through `xy` and another object's footprint [m]."""
    radius = other.radius if world.is_upright(other.slot) else max(other.radius, other.height)
    offset = world.poses[other.slot, :2] - xy
    forward, aside = along @ offset, np.abs(along[:, 0] * offset[1] - along[:, 1] * offset[0])
    beside = np.clip(aside - FINGER_HALF[1], 0, None)
    ahead = np.clip(np.abs(np.abs(forward) - apart / 2 - FINGER_HALF[0]) - FINGER_HALF[0], 0, None)
    return np.hypot(ahead, beside) - radius
