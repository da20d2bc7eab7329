"""Low-level experts: where the gripper should go next, and how far open, read off the state alone.

They remember nothing: what was done so far shows in where the gripper is and what it holds, so that an object that slips is
simply taken again.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from envs.controls.low_level import LowLevelControl
from envs.experts.grasping import PLAY, find_grasp
from envs.experts.picking import place_in_bin
from envs.table.scene import TABLE_HALF
from envs.table.world import World

TRAVEL_Z = 0.135
"""Height of the fingertips above everything that stands [m]."""
CARRY_Z = 0.15
"""Height of the fingertips while they hold something [m]."""
GRASP_Z = 0.010
"""Height of the fingertips over what an object stands on when they close [m]."""
DROP_Z = 0.06
"""Height from which things are let fall into the bin [m]."""
NEAR = 0.008
"""So near to the line above a place, the gripper goes down [m]."""
ALIGNED = 0.12
"""So near to a yaw, the gripper goes down [rad]."""


class WayPoint(NamedTuple):
    """Where the gripper should go next."""

    pose: np.ndarray
    """(4,) x, y, z [m] and yaw [rad]."""
    opening: float
    """Distance between the fingers [m]."""


def fetch(world: World, control: LowLevelControl, slot: int, place: np.ndarray, surface: float) -> WayPoint:
    """Take the object in a slot to `place` (2,) and let it go there, `surface` high [m]."""
    tip, yaw = world.tool_position, world.tool_yaw
    opening = control.motion.opening(world.data)
    thing = next(thing for thing in world.objects if thing.slot == slot)
    if world.held()[slot] and control.motion.holds(world.data):
        offset = place - world.poses[slot, :2]
        goal = tip[:2] + offset
        put_z = surface + GRASP_Z + 0.004
        if np.hypot(*offset) < NEAR:
            if tip[2] < put_z + 0.006:
                return WayPoint(np.array([*tip[:2], tip[2], yaw]), world.robot.tool.max_opening)
            return WayPoint(np.array([*goal, put_z, yaw]), 0.0)
        if tip[2] < CARRY_Z - 0.03:
            return WayPoint(np.array([*tip[:2], CARRY_Z, yaw]), 0.0)
        return WayPoint(np.array([*goal, CARRY_Z, yaw]), 0.0)

    grasp = find_grasp(world, slot, near=yaw)
    wide = min(grasp.width + 2 * PLAY, world.robot.tool.max_opening)
    x, y, turn = grasp.pose
    off = np.hypot(*(grasp.pose[:2] - tip[:2]))
    twist = abs((turn - yaw + np.pi / 2) % np.pi - np.pi / 2)
    low = max(world.poses[slot, 2] - thing.height, 0.0) + GRASP_Z
    if off < NEAR and twist < ALIGNED:
        if tip[2] < low + 0.008:
            return WayPoint(np.array([x, y, low, turn]), 0.0)
        ready = tip[2] < TRAVEL_Z - 0.03 or abs(opening - wide) < 0.01
        return WayPoint(np.array([x, y, low if ready else tip[2], turn]), wide)
    if tip[2] < TRAVEL_Z - 0.03:
        closed_on = tip[2] < low + 0.03 and opening < wide - 0.01  # let go of what it is on before it goes up
        return WayPoint(np.array([*tip[:2], tip[2] if closed_on else TRAVEL_Z, yaw]), wide)
    return WayPoint(np.array([x, y, TRAVEL_Z, turn]), wide)


def clear_by_hand(world: World, control: LowLevelControl, slots: list[int]) -> WayPoint:
    """Take some objects into the bin, the one that is held first, then the one nearest to the gripper."""
    held = [slot for slot in slots if world.held()[slot]]
    left = held or [slot for slot in slots if world.poses[slot, 1] < TABLE_HALF + 0.02] or slots
    if not left:
        return retreat(world)
    tip = world.tool_position
    slot = min(left, key=lambda slot: float(np.hypot(*(world.poses[slot, :2] - tip[:2]))))
    place = place_in_bin(world, tip[0])
    return fetch(world, control, slot, place, DROP_Z)


def retreat(world: World) -> WayPoint:
    """Open and go up."""
    return WayPoint(np.array([*world.tool_position[:2], CARRY_Z, world.tool_yaw]), world.robot.tool.max_opening)
