"""Sweeps: into the bin, onto a mark, and the aimed ones of recorded data."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from envs.robots.tools import PADDLE_CAP, PADDLE_HALF
from envs.table.scene import TABLE_HALF

Placed = tuple[np.ndarray, float]
"""(x, y) [m] and footprint radius [m] of an object on the table."""

SWEEP_X_MAX = 0.22
"""Furthest a sweep may start or end to either side [m]."""
SWEEP_Y_MAX = 0.34
"""Where a sweep into the bin ends [m]: beyond the table's edge."""
CLEARANCE = 0.012
"""Least distance between the lowered paddle and an object [m]."""


def clear_by_sweeps(objects: list[Placed], rng: np.random.Generator, obstacles: Sequence[Placed] = ()) -> np.ndarray:
    """A sweep (2, 2), start and end [m], that pushes as many objects as it can straight into the bin.

    Lanes towards the bin are tried over the width of the table. A lane is good when objects lie well inside the paddle's
    width, bad when its edge would clip one, and needs a free place to lower the paddle behind the objects that it takes. Where
    there are `obstacles`, which may be swept along but not come down on, that place is looked for more widely.
    """
    if not objects:
        return np.array([[0.0, 0.0], [0.0, 0.1]])
    best_score = -np.inf
    best = np.array([[0.0, -0.31], [0.0, SWEEP_Y_MAX]])  # where no lane holds an object's centre
    half_width = PADDLE_HALF[0]
    shifts = np.array([-0.03, -0.015, 0.0, 0.015, 0.03]) if not obstacles else np.linspace(-0.045, 0.045, 7)
    backs = (0.0, 0.02, 0.04, 0.07, 0.10) if obstacles else (0.0,)
    xs = np.unique(np.clip(np.concatenate([p[0] + shifts for p, _ in objects]), -SWEEP_X_MAX, SWEEP_X_MAX))
    for x in xs:
        offset = np.array([abs(p[0] - x) for p, _ in objects])
        radius = np.array([r for _, r in objects])
        y = np.array([p[1] for p, _ in objects])
        for first, back in itertools.product(np.flatnonzero(offset < half_width + 0.02), backs):
            start_y = y[first] - radius[first] - PADDLE_CAP - CLEARANCE - back
            ahead = y > start_y
            taken = ahead & (offset < 0.75 * half_width)
            clipped = ahead & ~taken & (offset < half_width + radius + 0.005)
            start = np.array([x, max(start_y, -0.31)])
            blocked = _blocked(start, np.pi / 2, [*objects, *obstacles])
            # What is off the middle of the paddle, or reaches beyond its width, may slip past its edge.
            slack = (offset / half_width)[taken].sum() + 4 * np.clip(offset + radius - half_width, 0, None)[
                taken
            ].sum() / half_width
            score = taken.sum() - 1.5 * clipped.sum() - 10 * blocked - slack - back + 1e-3 * rng.uniform()
            if score > best_score:
                best, best_score = np.array([start, [x, SWEEP_Y_MAX]]), score
    return best


def aimed_sweep(objects: list[Placed], rng: np.random.Generator) -> np.ndarray:
    """A noisy sweep (2, 2), start and end [m], through an object drawn at random; anywhere when there is none."""
    if not objects:
        return rng.uniform([-0.22, -0.31], [0.22, 0.34], (2, 2))
    position, radius = objects[rng.integers(len(objects))]
    into_bin = rng.uniform() < 0.6
    spread = 0.35 if into_bin else np.pi
    angle = np.pi / 2 + rng.uniform(-spread, spread)
    direction = np.array([np.cos(angle), np.sin(angle)])
    side = rng.normal(0, 0.02) * np.array([-direction[1], direction[0]])
    start = position + side - direction * (radius + PADDLE_CAP + CLEARANCE + abs(rng.normal(0, 0.03)))
    if into_bin:
        reach = (rng.uniform(0.30, SWEEP_Y_MAX) - start[1]) / max(direction[1], 0.3)
    else:
        reach = rng.uniform(0.05, 0.45)
    return np.array([start, start + direction * reach])


def _blocked(start: np.ndarray, angle: float, objects: list[Placed]) -> bool:
    """Whether a paddle lowered at `start`, across a sweep along `angle`, would come down on an object."""
    direction = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-direction[1], direction[0]])
    for position, radius in objects:
        offset = position - start
        ahead = max(abs(offset @ direction) - PADDLE_CAP, 0)
        aside = max(abs(offset @ across) - PADDLE_HALF[0] - PADDLE_HALF[1], 0)
        if np.hypot(ahead, aside) < radius + 0.004 and abs(start[1]) <= TABLE_HALF:
            return True
    return False
