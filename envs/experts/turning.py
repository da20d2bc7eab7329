"""Pushes of a box onto a mark, turned as the mark is: by sweeps of the paddle, or by the fingers.

What the paddle pushes turns until a face lies flat against it. So a box arrives as it should when the last sweep comes along
one of the mark's axes, behind the face that belongs there; sweeps before it bring the box onto such an axis and turn it by
what is more than one sweep can do.
"""

from __future__ import annotations

import numpy as np

from envs.controls.low_level import LowLevelControl, turned
from envs.controls.sweep import SWEEP_HIGH, SWEEP_LOW
from envs.experts.fetching import GRASP_Z, TRAVEL_Z, WayPoint, fetch, retreat
from envs.experts.pushing import ROOM, push_by_hand
from envs.robots.tools import PADDLE_CAP, PADDLE_HALF
from envs.table.footprints import turn_left, yaw_of
from envs.table.objects import TableObject
from envs.table.world import World

# C candidate sweeps   4 faces of the box

TURN_WAY = 0.02
"""A sweep of so much turns the box by all but 1/e of what it is off [m]; measured over boxes of all sizes."""
DRIFT = 0.02
"""How far a box that is turned by one radian moves aside [m]."""
MAX_TURN = np.deg2rad(33)
"""What is off by more may turn the other way."""
WAYS = np.linspace(0.02, 0.26, 13)
"""Lengths of sweeps that are tried [m]."""
SURE, SURE_TURN = 0.018, np.deg2rad(7)
"""A sweep that is expected to end so near to the mark is the last one [m, rad]."""
STEP = 0.8
"""Furthest that the wrist is asked to turn at a time: which way is plain then [rad]."""
CLOSED = 0.02
"""Fingers that are nearer to each other hold no box [m]."""
SPARE = 0.15
"""Nearest that the wrist comes to its ends [rad]."""
EDGE = np.array([0.135, 0.20])
"""Furthest from the middle of the table that a box is pushed, along x and y [m]: the paddle still comes down behind it."""


def turn_by_sweep(world: World, thing: TableObject, mark: np.ndarray, fold: int) -> np.ndarray:
    """A sweep (2, 2), start and end [m], that brings a box nearer to a pose (3,): x, y [m] and yaw."""
    pose = world.poses[thing.slot]
    return best_sweep(pose[:2], yaw_of(pose[3:]), thing.half[:2], mark, fold)


def best_sweep(xy: np.ndarray, yaw: float, half: np.ndarray, mark: np.ndarray, fold: int) -> np.ndarray:
    """The sweep (2, 2) after which least is left to do for a box with half sides (2,) [m] that lies at xy (2,), yaw."""
    straight = mark[2] + np.arange(4) * np.pi / 2
    angles = np.concatenate([straight, np.arange(24) * np.pi / 12])
    way = mark[:2] - xy
    onto = np.cos(straight) * way[0] + np.sin(straight) * way[1]  # lengths that end beside the mark
    angles = np.concatenate([np.repeat(angles, len(WAYS)), straight])
    ways = np.concatenate([np.tile(WAYS, 28), np.maximum(onto, 0.01)])
    starts, ends, there, turned, wrong = _pushed(xy, yaw, half, angles, ways)
    left = np.array([_left(place, turn, mark, fold, half) for place, turn in zip(there, turned, strict=True)])
    best = int(np.argmin(left + 0.2 * ways + wrong))
    return np.clip(np.stack([starts[best], ends[best]]), SWEEP_LOW, SWEEP_HIGH)


def _pushed(
    xy: np.ndarray, yaw: float, half: np.ndarray, angles: np.ndarray, ways: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Sweeps along angles (C,) by ways (C,): starts and ends (C, 2), where the box is then, how turned, what speaks against."""
    along = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    aside = np.stack([-along[:, 1], along[:, 0]], axis=1)
    face = np.round((angles - yaw) / (np.pi / 2))
    off = angles - yaw - face * np.pi / 2  # of the face that comes to lie against the paddle
    share = 1 - np.exp(-ways / TURN_WAY)
    there = xy + along * ways[:, None] + aside * (DRIFT * off * share)[:, None]
    depth = half[(face % 2).astype(int)]  # of the box behind its middle, when that face is flat
    back = np.abs(np.cos(off)) * depth + np.abs(np.sin(off)) * half[((face + 1) % 2).astype(int)]
    starts = xy - along * (back + PADDLE_CAP + ROOM)[:, None]
    ends = xy + along * (ways - depth - PADDLE_HALF[1])[:, None]
    wrong = 10.0 * np.any(np.abs(there) > EDGE, axis=1) + 10.0 * (np.abs(off) > MAX_TURN)
    wrong += 100.0 * np.any((starts < SWEEP_LOW) | (starts > SWEEP_HIGH), axis=1)  # it would come down on the box
    return starts, ends, there, yaw + off * share, wrong


def _left(xy: np.ndarray, yaw: float, mark: np.ndarray, fold: int, half: np.ndarray) -> float:
    """About how many sweeps a box at xy (2,) and yaw is from a pose (3,)."""
    way, turn = mark[:2] - xy, turn_left(yaw, mark[2], fold)
    away = float(np.hypot(*way))
    if away < SURE and abs(turn) < SURE_TURN:
        return 0.4 * (away / SURE + abs(turn) / SURE_TURN)
    if abs(turn) > MAX_TURN:
        return 2.0 + abs(turn) / MAX_TURN
    angles = yaw + turn + np.arange(4) * np.pi / 2
    along = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    forward, aside = along @ way, along[:, 0] * way[1] - along[:, 1] * way[0]
    missed = np.clip(np.abs(aside - DRIFT * turn) - 0.006, 0, None) / 0.02
    short = np.clip(0.03 + 0.04 * abs(turn) / MAX_TURN - forward, 0, None) / 0.02
    starts = xy - along * (half.max() + PADDLE_CAP + ROOM)
    outside = np.any((starts < SWEEP_LOW) | (starts > SWEEP_HIGH), axis=1)
    return 1.0 + 0.3 * abs(turn) / MAX_TURN + float(np.min(np.minimum(missed + short, 2) + outside))


def turn_by_hand(
    world: World, control: LowLevelControl, thing: TableObject, mark: np.ndarray, fold: int, near: float
) -> WayPoint:
    """Where the gripper should go next: it pushes a box to within `near` [m] of a pose (3,) and turns it there by its sides."""
    tip, pose = world.tool_position, world.poses[thing.slot]
    way = mark[:2] - pose[:2]
    away, turn = float(np.hypot(*way)), turn_left(yaw_of(pose[3:]), mark[2], fold)
    if world.held()[thing.slot] and control.motion.holds(world.data):
        if away < near / 5 and abs(turn) < SURE_TURN / 2:
            return WayPoint(np.array([*tip, world.tool_yaw]), world.robot.tool.max_opening)
        step = np.clip(_round(world, control, turn, fold), -STEP, STEP)
        return WayPoint(np.array([*(tip[:2] + way), GRASP_Z, world.tool_yaw + step]), 0.0)
    if away > near:
        return push_by_hand(world, thing, mark[:2])
    if tip[2] < TRAVEL_Z - 0.03 and control.motion.opening(world.data) < CLOSED:  # fingers that open beside it tip it over
        return WayPoint(np.array([*tip[:2], TRAVEL_Z, world.tool_yaw]), 0.0)
    if abs(turn) < SURE_TURN:
        return retreat(world)
    point = fetch(world, control, thing.slot, mark[:2], 0.0)
    twist = turned(point.pose[3], world.tool_yaw) - world.tool_yaw
    other = _round(world, control, twist, 2)
    if tip[2] > TRAVEL_Z - 0.03 and other != twist:
        return WayPoint(np.append(point.pose[:3], world.tool_yaw + np.clip(other, -STEP, STEP)), point.opening)
    return point


def _round(world: World, control: LowLevelControl, turn: float, fold: int) -> float:
    """A turn [rad] that does as much to the box, the other way round where the wrist would come to its end."""
    robot, tip, yaw = world.robot, world.tool_position, world.tool_yaw
    now, on = (float(robot.inverse(np.array([[*tip, yaw + ahead]]))[0, -1]) for ahead in (0.0, 0.1))
    wrist = float(world.data.qpos[control.motion.qpos][-1])
    end = wrist + turn * np.sign(turned(on, now) - now)
    fits = robot.lower[-1] + SPARE < end < robot.upper[-1] - SPARE
    return turn if fits else float(turn - np.copysign(2 * np.pi / fold, turn))
