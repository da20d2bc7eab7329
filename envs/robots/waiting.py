"""How an arm waits between two sweeps: out of the overhead picture, near to its work, and on a way there that hits nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from envs.robots.placing import in_picture

CLEAR = 0.12
"""Least height of the tool's end on the way to where it goes down [m]: above everything that stands."""
POINTS_ON_WAY = 5

Points = Callable[[np.ndarray], np.ndarray]
"""Points (N, 3) on the robot with joints (J,) [m]."""


def poses_to_wait(base: np.ndarray) -> np.ndarray:
    """(N, 4) poses of the tool around an arm that stands at `base` (3,), between it and the table or beside."""
    axes = np.linspace(0.18, 0.60, 7), np.linspace(-1.2, 1.2, 13), np.linspace(0.30, 0.65, 8)
    distance, azimuth, height = (axis.ravel() for axis in np.meshgrid(*axes, indexing="ij"))
    flat = distance[:, None] * np.stack([np.cos(azimuth), np.sin(azimuth)], axis=1)
    return np.concatenate([base[:2] + flat, height[:, None], np.zeros((len(flat), 1))], axis=1)


def choose(
    joints: np.ndarray, starts: np.ndarray, points: Points, heights: Callable[[np.ndarray], np.ndarray], speed: np.ndarray
) -> np.ndarray:
    """Of postures (N, J) the one that shows least in the picture, keeps clear on its way to `starts` (S, J), and is soon there.

    `heights` are those of the tool's end (M,) at joints (M, J) [m], `speed` (J,) is the joints' fastest [rad/s].
    """
    seen = np.array([in_picture(points(posture)).sum() for posture in joints])
    joints = joints[seen == seen.min()]
    ways = (
        joints[:, None, None] + np.linspace(0, 1, POINTS_ON_WAY)[:, None] * (starts - joints[:, None])[:, :, None]
    )  # (N, S, 5, J)
    low = heights(ways.reshape(-1, joints.shape[1])).reshape(len(joints), -1).min(axis=1)
    seconds = (np.abs(starts - joints[:, None]) / speed).max(axis=2).mean(axis=1)
    dip = np.clip(CLEAR - low, 0, None)
    return joints[np.argmin((seconds + 100 * dip).round(9))]
