"""The low-level expert for LoadRack: where the gripper should go next, and how far open, read off the state alone."""

from __future__ import annotations

import numpy as np

from envs.controls.low_level import LowLevelControl
from envs.experts.fetching import WayPoint, retreat
from envs.experts.loading import CUP_YAW, free_slot, hold
from envs.table.dishes import axis_of, is_plate, resting
from envs.table.objects import TableObject
from envs.table.world import World

CARRY = 0.135
"""Height over its rest at which a dish is carried, above everything that stands [m]."""
NEAR, ALIGNED = 0.005, 0.05
"""So near to the line above its place, and to its yaw, a dish goes down [m, rad]."""
STRAY = 0.012
"""Further than this from that line it goes up again [m]."""
DROP = 0.011
"""Height over its rest at which a dish is let go [m]."""


def load_by_hand(world: World, control: LowLevelControl, waiting: list[TableObject]) -> WayPoint:
    """Take the dish that is held, or else the one nearest to the gripper, to a free slot."""
    tip = world.tool_position
    held = world.held()
    mine = [dish for dish in waiting if held[dish.slot]]
    if mine and control.motion.holds(world.data):
        return _carry(world, control, mine[0])
    if not waiting:
        return retreat(world)
    return _approach(world, control, min(waiting, key=lambda dish: float(np.hypot(*(world.poses[dish.slot, :2] - tip[:2])))))


def _carry(world: World, control: LowLevelControl, dish: TableObject) -> WayPoint:
    """The held dish to above its slot, down, and let go."""
    tip, yaw, pose = world.tool_position, world.tool_yaw, world.poses[dish.slot]
    slot = free_slot(world, dish)
    axis = axis_of(pose[3:])
    wanted = yaw - np.arctan2(axis[1], axis[0]) if is_plate(dish) else CUP_YAW
    turn = _turn(yaw, wanted)
    offset, rest = slot - pose[:2], resting(dish, slot, 0.0)[2]
    above, away = pose[2] - rest, float(np.hypot(*offset))
    goal = tip[:2] + offset
    if (away < NEAR and abs(turn) < ALIGNED) or (above < CARRY / 2 and away < STRAY):
        if above < DROP:
            opening = control.motion.opening(world.data) + control.motion.config.release_by
            return WayPoint(np.array([*tip, yaw]), opening)
        return WayPoint(np.array([*goal, tip[2] - above + DROP - 0.003, yaw + turn]), 0.0)
    if above < CARRY - 0.03:
        return WayPoint(np.array([*tip[:2], tip[2] - above + CARRY, yaw]), 0.0)
    return WayPoint(np.array([*goal, tip[2] - above + CARRY, yaw + turn]), 0.0)


def _turn(yaw: float, wanted: float) -> float:
    """The turn towards a yaw modulo pi that keeps the wrist away from its ends [rad]: into half a turn around zero."""
    nearest = (wanted - yaw + np.pi / 2) % np.pi - np.pi / 2
    middle = (wanted + np.pi / 2) % np.pi - np.pi / 2 - yaw
    return float(nearest if abs(nearest) < 0.2 else np.clip(middle, -0.3, 0.3))


def _approach(world: World, control: LowLevelControl, dish: TableObject) -> WayPoint:
    """Above the dish, down, and close; from between other dishes straight up first."""
    config, tip, yaw = control.motion.config, world.tool_position, world.tool_yaw
    opening = control.motion.opening(world.data)
    x, y, turn = hold(world, dish)
    away = float(np.hypot(x - tip[0], y - tip[1]))
    turn = yaw + _turn(yaw, turn)
    twist = abs(turn - yaw)
    if away < STRAY and twist < 2 * ALIGNED and (tip[2] > config.travel_height - 0.02 or opening > config.opening - 0.01):
        if tip[2] < config.grasp_height + 0.006:
            return WayPoint(np.array([x, y, config.grasp_height, turn]), 0.0)
        fine = (away < NEAR and twist < ALIGNED) or tip[2] < config.travel_height - 0.03
        return WayPoint(np.array([x, y, config.grasp_height if fine else tip[2], turn]), config.opening)
    if away < STRAY and tip[2] < config.grasp_height + 0.01 and opening < config.opening - 0.01:
        return WayPoint(np.array([x, y, config.grasp_height, turn]), 0.0)  # closing
    if tip[2] < config.travel_height - 0.02:
        return WayPoint(np.array([*tip[:2], config.travel_height, yaw]), opening)
    return WayPoint(np.array([x, y, config.travel_height, turn]), config.opening)
