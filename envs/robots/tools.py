"""What a robot carries at its flange: a paddle or a gripper, hung on a flange whose z axis points down at the work."""

from __future__ import annotations

from typing import Protocol

import mujoco
import numpy as np

from envs.table.scene import FURNITURE, OBJECT, TOOL

BOX, CYLINDER = mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_CYLINDER
STEEL, RED = [0.65, 0.67, 0.70, 1], [0.80, 0.25, 0.20, 1]

PADDLE_HALF = (0.060, 0.005, 0.035)
"""Half width (across a sweep), thickness and height of the paddle [m]."""
PADDLE_CAP = 0.014
"""How far the paddle's end caps stand out to either side, so that an object does not slip off [m]."""


class Tool(Protocol):
    """What a robot needs to know of its tool."""

    name: str
    reach: float
    """How much longer than the robot's usual handle it is [m]."""
    max_opening: float
    """Largest distance between its fingers; 0 without fingers [m]."""
    gains: tuple[float, float]
    """Gains of the robot's servos, and of those of its wrist, as shares of the usual ones."""
    wrist_inertia: float
    """That the drive of a gantry's wrist adds [kg m^2]."""

    def add_to(self, spec: mujoco.MjSpec, flange: mujoco.MjsBody, handle: float) -> None:
        """Add bodies, the site `tool` at its working end, `handle` [m] below the flange, and the force sensor `touch`."""
        ...

    def open(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """Put it as an episode begins."""
        ...

    def felt(self, touch: np.ndarray) -> float:
        """The contact force on it [N], from `data.sensordata` at and after the sensor `touch`."""
        ...


class Paddle:
    """A board that stands across the sweep, with caps at its ends."""

    name = "paddle"
    reach = 0.0
    max_opening = 0.0
    gains = (1.0, 1.0)
    wrist_inertia = 0.02

    def add_to(self, spec: mujoco.MjSpec, flange: mujoco.MjsBody, handle: float) -> None:
        """See `Tool.add_to`."""
        half_width, half_thick, half_height = PADDLE_HALF
        tool = flange.add_body(name="paddle", pos=[0, 0, handle], gravcomp=1)

        def part(name: str, pos: list[float], size: list[float], rgba: list[float], kind: mujoco.mjtGeom = BOX) -> None:
            tool.add_geom(
                name=name, type=kind, pos=pos, size=size, rgba=rgba, mass=0.05,
                contype=TOOL, conaffinity=OBJECT | FURNITURE, friction=[0.4, 0.003, 0.0001],
            )  # fmt: skip

        part("paddle", [0, 0, -half_height], [half_width, half_thick, half_height], RED)
        for side in (-1, 1):
            part(f"paddle_cap{side}", [side * half_width, 0, -half_height], [half_thick, PADDLE_CAP, half_height], RED)
        length = handle - 2 * half_height
        part("handle", [0, 0, -2 * half_height - length / 2], [0.011, length / 2, 0], STEEL, CYLINDER)
        tool.add_site(name="tool", pos=[0, 0, 0], size=[0.004, 0, 0], group=5)
        reach = [half_width + 0.02, PADDLE_CAP + 0.02, half_height + 0.02]
        tool.add_site(name="touch", type=BOX, pos=[0, 0, -half_height], size=reach, group=5)  # group 5 is not drawn
        spec.add_sensor(name="touch", type=mujoco.mjtSensor.mjSENS_TOUCH, objtype=mujoco.mjtObj.mjOBJ_SITE, objname="touch")

    def open(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """See `Tool.open`: nothing moves."""

    def felt(self, touch: np.ndarray) -> float:
        """See `Tool.felt`: the sum of the normal forces on the board."""
        return touch[0].item()


def add_servo(spec: mujoco.MjSpec, joint: str, stiffness: float, damping: float, limit: float) -> None:
    """A position servo on a joint, with the stiffness, damping and largest force of SI units."""
    servo = spec.add_actuator(name=joint, target=joint, trntype=mujoco.mjtTrn.mjTRN_JOINT)
    servo.gaintype, servo.biastype = mujoco.mjtGain.mjGAIN_FIXED, mujoco.mjtBias.mjBIAS_AFFINE
    servo.gainprm[0] = stiffness
    servo.biasprm[:3] = [0, -stiffness, -damping]
    servo.forcelimited, servo.forcerange = True, np.array([-limit, limit])
