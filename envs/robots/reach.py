"""Where an arm's flange can be with the tool straight down, and with which joints: worked out once, looked up ever after.

Two things make inverse kinematics a table of two numbers: the first joint turns about the vertical, so that only the distance
from its axis and the height matter to the others; and the last turns the flange about the tool, so that it alone sets the yaw.
In between are five unknowns and five conditions (a redundant third joint stays at rest). One solution is followed over
the whole plane by damped least squares, and read off between its samples by cubic interpolation: a few micrometres off.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from envs.robots.mjcf import ArmModel, read
from envs.robots.screws import Screws, pointing_down, residual

COARSE = 0.02
"""Between places to which a solution is followed, in distance and in height [m]."""
STEP = COARSE / 2
"""Between samples of the table [m]."""
LOW, HIGH = -0.40, 1.00
"""Heights of the flange over the arm's foot that are tried [m]."""
NEAREST = 0.12
"""Least distance of the flange from the first joint's axis [m]."""
LIMIT_MARGIN = 0.03
"""Distance that joints keep from their limits [rad]."""
STEEPEST = 16.0
"""Most that a joint may turn for a metre of the flange [rad/m]: more is too near to where the arm is straight."""
EXACT = 1e-7
"""Error at which a solution is one [m, and about rad]."""
LEAST_TURN = 2.8
"""Way that the first joint must have [rad]."""
PROBE = (0.50, 0.30)
"""Distance and height of the flange at which a solution is chosen, if it is within reach [m]."""
AROUND = np.arange(-1, 3)
CATMULL_ROM = np.array([[0, 1, 0, 0], [-0.5, 0, 0.5, 0], [1, -2.5, 2, -0.5], [-0.5, 1.5, -1.5, 0.5]])


@dataclass(frozen=True)
class Reach:
    """One solution of the inverse kinematics over a plane through the first joint's axis."""

    heights: np.ndarray
    """(Z,) [m]."""
    nearest: np.ndarray
    farthest: np.ndarray
    """(Z,) ends of the distances within reach at each height [m]."""
    joints: np.ndarray
    """(R, below + Z or more, J) [rad] at distances NEAREST + STEP * i. In place of the last joint, which turns on the spot, is
    the yaw that the flange's x axis has with it at zero."""
    below: int
    """Samples of height below the first of `heights`."""

    def within(self, distance: np.ndarray, height: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distances (N,) and heights (N,) drawn into reach [m]; those that are there already stay to the bit."""
        height = np.clip(height, self.heights[0], self.heights[-1])
        low, high = (np.interp(height, self.heights, ends) for ends in (self.nearest, self.farthest))
        return np.clip(distance, low, high), height

    def solve(self, distance: np.ndarray, height: np.ndarray) -> np.ndarray:
        """Joints (N, J) with the flange above (distance, 0) at a height [m] within reach; the last is a yaw, see `joints`."""
        row, column = (distance - NEAREST) / STEP, (height - self.heights[0]) / STEP + self.below
        i = np.clip(row.astype(int), 1, self.joints.shape[0] - 3)
        k = np.clip(column.astype(int), 1, self.joints.shape[1] - 3)
        weights = _cubic(row - i)[:, :, None] * _cubic(column - k)[:, None, :]  # (N, 4, 4)
        around = self.joints[(i[:, None] + AROUND)[:, :, None], (k[:, None] + AROUND)[:, None, :]]  # (N, 4, 4, J)
        return (weights[..., None] * around).sum(axis=(1, 2))


def _cubic(share: np.ndarray) -> np.ndarray:
    """Weights (N, 4) of the samples around a place between the middle two: Catmull-Rom (1974)."""
    t = share[:, None]
    powers = np.concatenate([np.ones_like(t), t, t * t, t * t * t], axis=1)
    return powers @ CATMULL_ROM


@lru_cache(maxsize=8)
def reach_of(file: Path) -> Reach:
    """The reach of the arm in a file, worked out once a process. ValueError in one line for one that this does not suit."""
    try:
        return _reach(read(file))
    except ValueError as error:
        raise ValueError(f"the arm in {file} cannot be used here: {error}") from error


def _reach(arm: ArmModel) -> Reach:
    screws = _upright(arm)
    held = _held(arm)
    free = np.array([j for j in range(len(arm.lower) - 1) if held is None or j != held[0]])
    followed = [_followed(arm, screws, free, start) for start in _solutions(arm, screws, free, held)[:3]]
    if not followed:
        raise ValueError(f"no posture with its tool straight down at {PROBE[0]} m is within the limits of its joints")
    return _refined(arm, screws, free, *max(followed, key=lambda found: int(found[1].sum())))


def _upright(arm: ArmModel) -> Screws:
    """The same arm with its first axis through the origin. ValueError where inverse kinematics needs another method."""
    screws = arm.screws
    if abs(screws.axes[0, 2]) < 1 - 1e-6:
        raise ValueError("its first joint must turn about the vertical")
    if arm.upper[0] - arm.lower[0] < LEAST_TURN:
        raise ValueError(f"its first joint must turn by {LEAST_TURN} rad at least")
    last = screws.rotation[:, 2] @ screws.axes[-1]
    offset = screws.position - screws.anchors[-1]
    aside = np.linalg.norm(offset - (offset @ screws.axes[-1]) * screws.axes[-1])
    if abs(last) < 1 - 1e-5 or aside > 1e-4:
        raise ValueError("its last joint must turn the flange about the line of the tool, the flange's z axis")
    foot = np.array([*screws.anchors[0, :2], 0.0])
    return Screws(screws.axes, screws.anchors - foot, screws.position - foot, screws.rotation)


def _held(arm: ArmModel) -> tuple[int, float] | None:
    """The redundant joint and where it rests: the third of seven, at a whole half turn within its limits or midway."""
    if len(arm.lower) < 7:
        return None
    angles = [angle for angle in (0.0, np.pi, -np.pi) if arm.lower[2] < angle < arm.upper[2]]
    return (2, angles[0] if angles else float(arm.lower[2] + arm.upper[2]) / 2)


def _solutions(arm: ArmModel, screws: Screws, free: np.ndarray, held: tuple[int, float] | None) -> list[np.ndarray]:
    """Postures (J,) at the probe, the best first: high elbows, joints far from their limits."""
    low, high = np.maximum(arm.lower, -np.pi), np.minimum(arm.upper, np.pi)
    rng = np.random.default_rng(0)
    joints = rng.uniform(low, high, (200, len(low)))
    joints[:, -1] = 0
    if held is not None:
        joints[:, held[0]] = held[1]
    target = np.tile([PROBE[0], 0.0, PROBE[1]], (len(joints), 1))
    joints = pointing_down(screws, joints, free, target, steps=40)
    joints[:, free] = _wound(joints, arm)[:, free]
    posture = screws.forward(joints)
    margin = np.minimum(joints - arm.lower, arm.upper - joints)[:, free[1:]].min(axis=1)
    found = (np.abs(residual(posture, target)).max(axis=1) < EXACT) & (margin > LIMIT_MARGIN)
    joints, margin = joints[found], margin[found]
    elbow = posture.anchors[found, :, 2]
    score = elbow[:, 1:-1].mean(axis=1) + 0.3 * elbow.min(axis=1) + 0.1 * np.minimum(margin, 1.0)
    chosen: list[np.ndarray] = []
    for index in np.argsort(-score.round(6), kind="stable"):
        if all(np.abs(joints[index] - other).max() > 0.1 for other in chosen):
            chosen.append(joints[index])
    return chosen


def _wound(joints: np.ndarray, arm: ArmModel) -> np.ndarray:
    """Joints (N, J) turned by whole turns to where they are nearest to the middle of their ways."""
    middle = (arm.lower + arm.upper) / 2
    return joints - 2 * np.pi * np.round((joints - middle) / (2 * np.pi))


def _followed(arm: ArmModel, screws: Screws, free: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A solution followed from the probe outwards, ring by ring: joints (R, Z, J), and (R, Z) how far it goes."""
    longest = float(np.linalg.norm(np.diff([*screws.anchors, screws.position], axis=0), axis=1).sum())
    shape = (int((longest - NEAREST) / COARSE) + 2, round((HIGH - LOW) / COARSE) + 1)
    table, known, tried = np.zeros((*shape, len(start))), np.zeros(shape, bool), np.zeros(shape, bool)
    cell = (round((PROBE[0] - NEAREST) / COARSE), round((PROBE[1] - LOW) / COARSE))
    ring = [(cell, start)]
    tried[cell] = True
    while ring:
        cells, seeds = np.array([cell for cell, _ in ring]), np.array([seed for _, seed in ring])
        joints, good = _solved(arm, screws, free, NEAREST + COARSE * cells[:, 0], LOW + COARSE * cells[:, 1], seeds)
        good &= np.abs(joints - seeds).max(axis=1) < STEEPEST * COARSE
        ring = []
        for (i, k), posture in zip(cells[good].tolist(), joints[good], strict=True):
            known[i, k], table[i, k] = True, posture
            for cell in ((i + 1, k), (i - 1, k), (i, k + 1), (i, k - 1)):
                if 0 <= cell[0] < shape[0] and 0 <= cell[1] < shape[1] and not tried[cell]:
                    tried[cell] = True
                    ring.append((cell, posture))
    return table, known


def _solved(
    arm: ArmModel, screws: Screws, free: np.ndarray, distance: np.ndarray, height: np.ndarray, seeds: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Joints (N, J) from seeds (N, J), and whether they are a solution within the limits (N,)."""
    target = np.stack([distance, np.zeros_like(distance), height], axis=1)
    joints = pointing_down(screws, seeds, free, target, steps=4)
    good = np.abs(residual(screws.forward(joints), target)).max(axis=1) < EXACT
    inside = (joints > arm.lower + LIMIT_MARGIN) & (joints < arm.upper - LIMIT_MARGIN)
    return joints, good & np.all(inside[:, free[1:]], axis=1)  # the foot is turned to suit the first


def _refined(arm: ArmModel, screws: Screws, free: np.ndarray, coarse: np.ndarray, reached: np.ndarray) -> Reach:
    """The table of a solution that was followed coarsely."""
    rows = np.flatnonzero(reached.any(axis=0))
    coarse, reached = coarse[:, rows[0] : rows[-1] + 1], reached[:, rows[0] : rows[-1] + 1]
    shape = tuple(2 * n - 1 for n in reached.shape)
    table, known = np.zeros((*shape, coarse.shape[-1])), np.zeros(shape, bool)
    table[::2, ::2], known[::2, ::2] = coarse, reached
    for into, one, other in ((np.s_[1::2], np.s_[:-1:2], np.s_[2::2]), (np.s_[:, 1::2], np.s_[:, :-1:2], np.s_[:, 2::2])):
        table[into], known[into] = (table[one] + table[other]) / 2, known[one] & known[other]  # first down, then across
    distances, heights = NEAREST + STEP * np.arange(shape[0]), LOW + COARSE * rows[0] + STEP * np.arange(shape[1])
    i, k = np.nonzero(known)
    table[i, k], known[i, k] = _solved(arm, screws, free, distances[i], heights[k], table[i, k])
    table[i, k, -1] = _yaw(screws, table[i, k])
    square = np.zeros(shape, bool)  # whether all sixteen samples around it are there
    square[1:-2, 1:-2] = np.all([known[a : a - 3 or None, b : b - 3 or None] for a in range(4) for b in range(4)], axis=0)
    line = square.copy()  # whether the squares on both its sides are
    line[:, 1:] &= square[:, :-1]
    spans = {k: _longest(line[:, k]) for k in np.flatnonzero(line.any(axis=0)).tolist()}
    first = min(spans)
    last = next(k for k in range(first, shape[1]) if k + 1 not in spans)
    nearest, farthest = (np.array([distances[spans[k][end]] for k in range(first, last + 1)]) for end in (0, 1))
    return Reach(heights[first : last + 1], nearest, farthest, table, first)


def _yaw(screws: Screws, joints: np.ndarray) -> np.ndarray:
    """(N,) angle of the flange's x axis about the vertical, without jumps [rad]."""
    along = screws.forward(joints).rotation[..., 0]
    yaw = np.arctan2(along[:, 1], along[:, 0])
    return yaw - 2 * np.pi * np.round((yaw - yaw[0]) / (2 * np.pi))


def _longest(line: np.ndarray) -> tuple[int, int]:
    """First and last sample of the longest unbroken run of intervals that are true (R,)."""
    runs = np.flatnonzero(np.diff(np.concatenate([[0], line.astype(int), [0]]))).reshape(-1, 2)
    begin, end = runs[np.argmax(runs[:, 1] - runs[:, 0])]
    return int(begin), int(end)
