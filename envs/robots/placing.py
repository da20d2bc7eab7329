"""Where an arm stands at the table, and how it waits: reaching as much, and hiding as little of the picture, as can be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from envs.robots.arm import Arm
from envs.robots.reach import Reach
from envs.table.scene import CAMERA_HALF_VIEW, CAMERA_POS

BASE_Y = 0.015
"""The arm stands before the middle of the workspace [m]."""
BASE_X = np.arange(-0.385, -0.61, -0.02)
BASE_Z = np.arange(-0.10, 0.46, 0.05)
"""Places of its foot that are tried [m]; the nearer one keeps clear of the table."""
USED = (np.linspace(-0.22, 0.22, 7), np.linspace(-0.31, 0.34, 9), np.array([0.008, 0.07, 0.135]))
"""x, y and heights of the tool's end where it works [m]."""
ALSO = (np.linspace(-0.26, 0.26, 7), np.linspace(-0.31, 0.42, 9), np.array([0.02, 0.10, 0.17, 0.30]))
"""And where it may be taken besides."""
FAR = 0.02
"""What it costs to stand a metre from where `Arm` does, in shares of the workspace."""
ROOM = 0.015
"""Between what waits and the edge of the overhead camera's view [m]."""


def stand(reach: Reach, handle: float) -> tuple[np.ndarray, float]:
    """The foot (3,) [m] from which the end of a tool, `handle` [m] below the flange, reaches most of `USED`; and that share."""
    best, most = (np.array([BASE_X[0], BASE_Y, 0.0]), 0.0), -np.inf
    for x in BASE_X:
        for z in BASE_Z:
            foot = np.array([x, BASE_Y, z])
            used = covered(reach, foot, handle, USED)
            worth = used + 0.2 * covered(reach, foot, handle, ALSO) - FAR * (abs(z) + abs(x - Arm.base[0]))
            if worth > most:
                best, most = (foot, used), worth
    return best


def covered(reach: Reach, foot: np.ndarray, handle: float, places: Sequence[np.ndarray]) -> float:
    """The share of a grid of places that is within reach."""
    grid = np.meshgrid(*places, indexing="ij")
    x, y, z = (axis.ravel() - offset for axis, offset in zip(grid, foot - [0, 0, handle], strict=True))
    distance = np.hypot(x, y)
    near, high = reach.within(distance, z)
    return float(np.mean((np.abs(near - distance) < 1e-9) & (np.abs(high - z) < 1e-9)))


def in_picture(points: np.ndarray) -> np.ndarray:
    """(N,) whether points (N, 3) lie in what the overhead camera sees [m]."""
    below = CAMERA_POS[2] - points[:, 2]
    half = CAMERA_HALF_VIEW * below / CAMERA_POS[2] + ROOM
    aside = np.abs(points[:, :2] - CAMERA_POS[:2]).max(axis=1)
    return (below > 0) & (aside < half)
