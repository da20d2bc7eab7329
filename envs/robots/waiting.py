"""How an arm waits between two sweeps: out of the overhead picture, near to its work, and on a way there that hits nothing."""

from __future__ import annotations

from collections.abc import Callable

import mujoco
import numpy as np

from envs.robots.mjcf import Link, Look
from envs.robots.placing import in_picture

CLEAR = 0.12
"""Least height of the tool's end on the way to where it goes down [m]: above everything that stands."""
POINTS_ON_WAY = 5
BOX_POINTS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in np.linspace(-1, 1, 7)])
POINTS_PER_LOOK = 300
"""Vertices of a mesh by which is judged whether it is in the picture."""

Points = Callable[[np.ndarray], np.ndarray]
"""Points (N, 3) on the robot with joints (J,) [m]."""


def poses_to_wait(base: np.ndarray) -> np.ndarray:
    """(N, 4) poses of the tool around an arm that stands at `base` (3,), between it and the table or beside."""
    axes = np.linspace(0.18, 0.58, 5), np.linspace(-1.2, 1.2, 9), np.linspace(0.30, 0.65, 6)
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
    share = np.linspace(0, 1, POINTS_ON_WAY)[:, None]
    ways = joints[:, None, None] + share * (starts - joints[:, None])[:, :, None]  # (N, S, points, J)
    low = heights(ways.reshape(-1, joints.shape[1])).reshape(len(joints), -1).min(axis=1)
    seconds = (np.abs(starts - joints[:, None]) / speed).max(axis=2).mean(axis=1)
    dip = np.clip(CLEAR - low, 0, None)
    return joints[np.argmin((seconds + 100 * dip).round(9))]


def _half(look: Look) -> np.ndarray:
    """(3,) half sizes of a box around a primitive shape [m]."""
    first, second, _ = look.size
    if look.kind == mujoco.mjtGeom.mjGEOM_CYLINDER:
        return np.array([first, first, second])
    if look.kind == mujoco.mjtGeom.mjGEOM_CAPSULE:
        return np.array([first, first, second + first])
    return np.full(3, first) if look.kind == mujoco.mjtGeom.mjGEOM_SPHERE else look.size


def cloud(link: Link) -> np.ndarray:
    """(N, 3) points on what is drawn of a link, in its frame [m]."""
    clouds = [np.zeros((1, 3))]
    for look in link.looks:
        if look.mesh is None:
            corners = BOX_POINTS * _half(look)
        else:
            corners = look.mesh.vertices[:: max(1, len(look.mesh.vertices) // POINTS_PER_LOOK)]
        turn = np.empty(9)
        mujoco.mju_quat2Mat(turn, look.quat)
        clouds.append(look.pos + corners @ turn.reshape(3, 3).T)
    return np.concatenate(clouds)
