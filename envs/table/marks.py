"""Marks: a disc or a footprint on the table, or a ball in the air, that touch nothing and can be moved between episodes."""

from __future__ import annotations

import mujoco
import numpy as np

SPHERE, CYLINDER, BOX = mujoco.mjtGeom.mjGEOM_SPHERE, mujoco.mjtGeom.mjGEOM_CYLINDER, mujoco.mjtGeom.mjGEOM_BOX
MARK_RGBA = [0.05, 0.75, 0.85, 1]
"""No object's hue."""
DISC_RADIUS = 0.045
"""[m]"""
BALL_RADIUS = 0.02
"""[m]"""
THICKNESS = 0.0005
"""Half of what is drawn on the table [m]."""
RIM = 0.008
"""How much further than an object's footprint its mark reaches on every side [m]."""
ARM, ARM_HALF = 0.05, 0.007
"""How far the bar along a footprint's axis stands out of it, and half its width [m]."""
MARK_NAMES = ("mark_x [m]", "mark_y [m]", "mark_z [m]")
"""Elements of the privileged state that say where the mark is."""


def add_disc(spec: mujoco.MjSpec) -> None:
    """A disc that lies on the table."""
    _add(spec, CYLINDER, [DISC_RADIUS, THICKNESS, 0])


def add_footprint(spec: mujoco.MjSpec) -> None:
    """A disc that lies on the table, which `show_footprint` makes the footprint of an object."""
    body = _add(spec, CYLINDER, [DISC_RADIUS, THICKNESS, 0])
    for name in ("mark_face", "mark_bar0", "mark_bar1"):
        body.add_geom(name=name, type=BOX, size=[0.1, 0.1, THICKNESS], rgba=MARK_RGBA, contype=0, conaffinity=0)


def show_footprint(model: mujoco.MjModel, data: mujoco.MjData, pose: np.ndarray, sides: np.ndarray, fold: int) -> None:
    """Show the mark at a pose (3,), x, y [m] and yaw, as the footprint with half sides (2,) [m]; the model is changed.

    A rectangle has a bar along its longer axis (`fold` 2), a square one along both (4); what is round is a disc (0).
    """
    data.mocap_quat[model.body("mark").mocapid[0]] = (np.cos(pose[2] / 2), 0, 0, np.sin(pose[2] / 2))
    along = int(np.argmax(sides))
    shown = {"mark": fold == 0, "mark_face": fold > 0, f"mark_bar{along}": fold > 0, f"mark_bar{1 - along}": fold == 4}
    for name, visible in shown.items():
        model.geom_rgba[model.geom(name).id, 3] = float(visible)  # what is wholly transparent is not drawn
    model.geom_size[model.geom("mark_face").id, :2] = sides + RIM
    for axis in (0, 1):
        size = np.full(2, ARM_HALF)
        size[axis] = sides[axis] + ARM
        model.geom_size[model.geom(f"mark_bar{axis}").id, :2] = size
    move_mark(model, data, np.array([*pose[:2], 0.0]))


def add_ball(spec: mujoco.MjSpec) -> None:
    """A ball in the air."""
    _add(spec, SPHERE, [BALL_RADIUS, 0, 0])


def move_mark(model: mujoco.MjModel, data: mujoco.MjData, position: np.ndarray) -> None:
    """Show the mark at (3,) [m]."""
    data.mocap_pos[model.body("mark").mocapid[0]] = position
    mujoco.mj_kinematics(model, data)


def _add(spec: mujoco.MjSpec, kind: mujoco.mjtGeom, size: list[float]) -> mujoco.MjsBody:
    body = spec.worldbody.add_body(name="mark", mocap=True, pos=[0, 0, 0])
    body.add_geom(name="mark", type=kind, size=size, rgba=MARK_RGBA, contype=0, conaffinity=0)
    return body
