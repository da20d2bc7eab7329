"""A scripted expert that sweeps some objects into the bin and leaves the others on the table.

What a sweep touches is a rectangle: as wide as the paddle, or as what it pushes off its middle, and as long as the sweep and
what goes before it. A sweep is allowed when the objects that shall stay lie outside. Where no target can be swept into the bin
like that, the shortest push is made, of whichever object, after which one can.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from envs.experts import CLEARANCE, SWEEP_X_MAX, SWEEP_Y_MAX, Placed, clear_by_sweeps
from envs.robots.tools import PADDLE_CAP, PADDLE_HALF
from envs.table.scene import TABLE_HALF

# C candidate sweeps   M objects

HALF_WIDTH = PADDLE_HALF[0] + PADDLE_HALF[1] + 0.003
"""Half of what the paddle clears across a sweep [m]."""
MARGIN = 0.008
"""Least distance between what a sweep touches and an object that stays [m]; less is counted as a touch."""
SWEEP_Y_MIN = -0.31
"""Nearest to its own side that a sweep starts [m]."""
LANES = np.deg2rad(90 + np.array([0, -8, 8, -16, 16, -25, 25, -35, 35, -45, 45]))
"""Directions of sweeps into the bin that are tried [rad]."""
OFFSETS = np.array([0.0, -0.02, 0.02, -0.04, 0.04])
"""Places of the object across the paddle that are tried [m]."""
PUSHES = np.array([0.05, 0.09, 0.14, 0.20])
"""Lengths of pushes that make room [m]."""
EDGE = TABLE_HALF - 0.075
"""Furthest from the middle of the table that something is pushed, along x and y [m]: a light cup slides on."""


def sweep_some(
    targets: list[Placed], others: list[Placed], rng: np.random.Generator, obstacles: Sequence[Placed] = ()
) -> np.ndarray:
    """A sweep (2, 2), start and end [m], that brings a target nearer to the bin, or into it, without the others.

    `obstacles` are minded where everything is to go into the bin.
    """
    if not targets or not others:
        return clear_by_sweeps(targets, rng, obstacles)
    best, score = _into_bin(targets, others)
    if score > 0:
        return best
    push = _make_room(targets, others)
    return best if push is None else push


def _into_bin(targets: list[Placed], others: list[Placed]) -> tuple[np.ndarray, float]:
    """The best sweep (2, 2) of a target into the bin and its score: above 0 when nothing else is touched."""
    best, best_score = np.array([[0.0, -0.31], [0.0, SWEEP_Y_MAX]]), -np.inf
    for i, (position, radius) in enumerate(targets):
        starts, ends, halves = _sweeps(position, radius, LANES, None)
        rest = targets[:i] + targets[i + 1 :]
        kept = _gaps(starts, ends, halves, 2 * radius, others)
        also = _gaps(starts, ends, halves, 2 * radius, rest)
        score = 1 + np.clip(kept.min(axis=1), -0.05, 0.03) + 0.1 * np.clip(also.min(axis=1, initial=0.05), -0.05, 0.05)
        score = np.where(kept.min(axis=1) < MARGIN, score - 2, score)
        score = np.where(_blocked(starts, ends, targets + others) | _outside(starts, ends), -10.0, score)
        score = score - 0.02 * np.abs(np.repeat(np.arange(len(LANES)), len(OFFSETS))) / len(LANES)
        if score.max() > best_score:
            c = int(np.argmax(score))
            best, best_score = np.stack([starts[c], ends[c]]), float(score[c])
    return best, best_score


def _make_room(targets: list[Placed], others: list[Placed]) -> np.ndarray | None:
    """The shortest push (2, 2) of an object that touches no other one, after which a target can go into the bin."""
    things = targets + others
    angles = np.deg2rad(np.arange(0, 360, 15))
    for length in PUSHES:
        best, best_score = None, 0.0
        for i, (position, radius) in enumerate(things):
            starts, ends, halves = _sweeps(position, radius, angles, length)
            along = np.stack([np.cos(angles), np.sin(angles)], axis=1).repeat(len(OFFSETS), axis=0)
            moved = position + along * length
            rest = things[:i] + things[i + 1 :]
            clear = _gaps(starts, ends, halves, 2 * radius, rest).min(axis=1, initial=0.05)
            well = (clear > MARGIN) & (np.abs(moved).max(axis=1) < EDGE) & ~_outside(starts, ends)
            well &= ~_blocked(starts, ends, things)
            for c in np.flatnonzero(well)[:: len(OFFSETS)]:
                after = [*things[:i], (moved[c], radius), *things[i + 1 :]]
                _, score = _into_bin(after[: len(targets)], after[len(targets) :])
                if score > best_score:
                    best, best_score = np.stack([starts[c], ends[c]]), score
        if best is not None:
            return best
    return None


def _sweeps(
    position: np.ndarray, radius: float, angles: np.ndarray, length: float | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Starts (C, 2), ends (C, 2) and half widths (C,) of sweeps of an object along angles, it being anywhere on the paddle.

    They end in the bin, or push the object over a `length` [m].
    """
    angle, offset = (grid.ravel() for grid in np.meshgrid(angles, OFFSETS, indexing="ij"))
    along = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    starts = position + across * offset[:, None] - along * (radius + PADDLE_CAP + CLEARANCE)
    if length is None:
        reach = (SWEEP_Y_MAX - starts[:, 1]) / np.maximum(along[:, 1], 0.3)
    else:
        reach = np.full(len(angle), length + PADDLE_CAP + CLEARANCE - PADDLE_HALF[1])
    return starts, starts + along * reach[:, None], np.maximum(HALF_WIDTH, np.abs(offset) + radius)


def _gaps(starts: np.ndarray, ends: np.ndarray, halves: np.ndarray, ahead: float, things: list[Placed]) -> np.ndarray:
    """Distances (C, M) between objects and what sweeps touch, `ahead` [m] of the paddle included."""
    points = np.array([p for p, _ in things]).reshape(-1, 2)
    radii = np.array([r for _, r in things])
    reach = np.linalg.norm(ends - starts, axis=1)
    along = (ends - starts) / reach[:, None]
    offset = points[None] - starts[:, None]  # (C, M, 2)
    forward = np.einsum("cmk,ck->cm", offset, along)
    aside = np.abs(offset[..., 1] * along[:, None, 0] - offset[..., 0] * along[:, None, 1])
    before = np.maximum(forward - (reach + ahead)[:, None], -PADDLE_CAP - forward)
    beside = aside - halves[:, None]
    outside = np.hypot(np.maximum(before, 0), np.maximum(beside, 0))
    return np.where(outside > 0, outside, np.maximum(before, beside)) - radii


def _blocked(starts: np.ndarray, ends: np.ndarray, things: list[Placed]) -> np.ndarray:
    """Whether the paddle would come down on an object, (C,)."""
    along = (ends - starts) / np.linalg.norm(ends - starts, axis=1)[:, None]
    lowered = starts + along * PADDLE_CAP
    return _gaps(starts, lowered, np.full(len(starts), HALF_WIDTH), 0.0, things).min(axis=1) < 0.004


def _outside(starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Whether a sweep leaves the region of sweeps, (C,)."""
    x, y = np.stack([starts, ends]).transpose(2, 0, 1)  # (2, C) each
    return ((np.abs(x) > SWEEP_X_MAX) | (y < SWEEP_Y_MIN) | (y > SWEEP_Y_MAX + 1e-9)).any(axis=0)
