"""Kinematics of a serial arm as a product of exponentials: where its flange is, and which way each joint would carry it.

Source: Lynch and Park, Modern Robotics (2017), section 4.1. Everything is batched and float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

# N poses, J joints


class Posture(NamedTuple):
    """Where an arm is."""

    position: np.ndarray
    """(N, 3) of the flange [m]."""
    rotation: np.ndarray
    """(N, 3, 3) of the flange, its columns the flange's axes."""
    axes: np.ndarray
    """(N, J, 3) of the joints, unit vectors."""
    anchors: np.ndarray
    """(N, J, 3) points on them [m]."""


@dataclass(frozen=True)
class Screws:
    """The joints' axes and the flange with every joint at zero."""

    axes: np.ndarray
    """(J, 3) unit vectors."""
    anchors: np.ndarray
    """(J, 3) points on the axes [m]."""
    position: np.ndarray
    """(3,) of the flange [m]."""
    rotation: np.ndarray
    """(3, 3) of the flange."""

    def forward(self, joints: np.ndarray) -> Posture:
        """The posture with joints (N, J) [rad]."""
        turned = np.broadcast_to(np.eye(3), (len(joints), 3, 3))
        moved = np.zeros((len(joints), 3))
        axes, anchors = np.empty((*joints.shape, 3)), np.empty((*joints.shape, 3))
        sine, versine = np.sin(joints), 1 - np.cos(joints)
        for j, (axis, anchor) in enumerate(zip(self.axes, self.anchors, strict=True)):
            axes[:, j] = turned @ axis
            anchors[:, j] = turned @ anchor + moved
            cross = _cross(axis)
            turn = np.eye(3) + sine[:, j, None, None] * cross + versine[:, j, None, None] * (cross @ cross)  # Rodrigues
            turned = turned @ turn
            moved = anchors[:, j] - turned @ anchor
        return Posture(turned @ self.position + moved, turned @ self.rotation, axes, anchors)


def _cross(axis: np.ndarray) -> np.ndarray:
    """The matrix (3, 3) whose product with a vector is its cross product with `axis`."""
    x, y, z = axis
    return np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])


def pointing_down(screws: Screws, joints: np.ndarray, free: np.ndarray, target: np.ndarray, steps: int) -> np.ndarray:
    """Joints (N, J) after damped least-squares steps towards flanges at `target` (N, 3) [m] that point straight down.

    Only the joints in `free` move; the turn about the vertical is left alone. Damping fades with the error, so that the
    steps end as Newton's do (Levenberg 1944; Nakamura and Hanafusa 1986).
    """
    joints = joints.copy()
    eye = np.eye(len(free))
    for _ in range(steps):
        posture = screws.forward(joints)
        error = residual(posture, target)
        arm = posture.position[:, None] - posture.anchors[:, free]
        axes = posture.axes[:, free]
        jacobian = np.concatenate([np.cross(axes, arm), axes[..., :2]], axis=2)  # (N, free, 5): its transpose
        damping = 1e-3 * np.square(error).sum(1)[:, None, None] + 1e-12
        normal = jacobian @ jacobian.swapaxes(1, 2) + damping * eye
        step = np.linalg.solve(normal, jacobian @ error[..., None])[..., 0]
        joints[:, free] += np.clip(step, -0.4, 0.4)
    return joints


def residual(posture: Posture, target: np.ndarray) -> np.ndarray:
    """(N, 5) what is left to `target` (N, 3) [m], and the turn about x and y to straight down [about rad]."""
    down = posture.rotation[..., 2]
    turn = np.stack([-down[:, 1], down[:, 0]], axis=1)  # the cross product with (0, 0, -1)
    # Upside down is a whole turn away, which the cross product does not tell from none.
    turn = np.where(down[:, 2:] < 0, turn, turn / np.maximum(np.linalg.norm(turn, axis=1, keepdims=True), 0.1))
    return np.concatenate([target - posture.position, turn], axis=1)
