"""Marks: a disc drawn on the table, or a ball in the air, that touches nothing and can be moved between episodes."""

from __future__ import annotations

import mujoco
import numpy as np

SPHERE, CYLINDER = mujoco.mjtGeom.mjGEOM_SPHERE, mujoco.mjtGeom.mjGEOM_CYLINDER
MARK_RGBA = [0.05, 0.75, 0.85, 1]
"""No object's hue."""
DISC_RADIUS = 0.045
"""[m]"""
BALL_RADIUS = 0.02
"""[m]"""
MARK_NAMES = ("mark_x [m]", "mark_y [m]", "mark_z [m]")
"""Elements of the privileged state that say where the mark is."""


def add_disc(spec: mujoco.MjSpec) -> None:
    """A disc that lies on the table."""
    _add(spec, CYLINDER, [DISC_RADIUS, 0.0005, 0])


def add_ball(spec: mujoco.MjSpec) -> None:
    """A ball in the air."""
    _add(spec, SPHERE, [BALL_RADIUS, 0, 0])


def move_mark(model: mujoco.MjModel, data: mujoco.MjData, position: np.ndarray) -> None:
    """Show the mark at (3,) [m]."""
    data.mocap_pos[model.body("mark").mocapid[0]] = position
    mujoco.mj_kinematics(model, data)


def _add(spec: mujoco.MjSpec, kind: mujoco.mjtGeom, size: list[float]) -> None:
    body = spec.worldbody.add_body(name="mark", mocap=True, pos=[0, 0, 0])
    body.add_geom(name="mark", type=kind, size=size, rgba=MARK_RGBA, contype=0, conaffinity=0)
