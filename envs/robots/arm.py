"""Robots: a seven-joint arm with Franka kinematics and limits, and a Cartesian gantry; both carry a paddle or a gripper.

A robot adds itself to the scene and turns tool poses into joint positions; the skills know nothing else of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import mujoco
import numpy as np

from envs.robots.tools import Paddle, Tool, add_servo

CAPSULE, BOX, CYLINDER = mujoco.mjtGeom.mjGEOM_CAPSULE, mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_CYLINDER
WHITE, DARK = [0.92, 0.92, 0.93, 1], [0.22, 0.23, 0.25, 1]

REACH_MARGIN = 0.01
"""How far from straight the arm keeps its elbow [m]."""
MIN_RADIUS = 0.22
"""Nearest that the arm works to the axis of its base [m]."""


class Robot(Protocol):
    """What the skills need to know of a robot."""

    name: str
    tool: Tool
    num_joints: int
    home: np.ndarray
    """(J,) joint positions with the whole robot out of the overhead camera's picture [rad or m]."""
    max_velocity: np.ndarray
    """(J,) [rad/s or m/s]."""
    tool_speed: float
    """Mean speed of the paddle along a sweep [m/s]."""
    vertical_speed: float
    """Mean speed at which the paddle lowers and lifts [m/s]."""
    lower: np.ndarray
    upper: np.ndarray
    """(J,) ends of the joints' ways [rad or m]."""
    servo_speed: np.ndarray
    """(J,) of the joints at a full action of control mode joint [rad/s or m/s]."""
    units: tuple[str, ...]
    """(J,) of the joints' positions: rad or m."""
    stiffness: np.ndarray
    """(J,) position gain of the servos [N m/rad or N/m]."""
    damping: np.ndarray
    """(J,) velocity gain of the servos [N m s/rad or N s/m]."""

    def add_to(self, spec: mujoco.MjSpec) -> None:
        """Add bodies, joints `robot0`..., servos of the same order, and the site `tool` under the paddle."""
        ...

    def inverse(self, poses: np.ndarray) -> np.ndarray:
        """Joint positions (W, J) for a path of tool poses (W, 4): x, y, z [m] and yaw [rad]; yaw is free modulo pi."""
        ...

    def reachable(self, poses: np.ndarray) -> np.ndarray:
        """Poses (W, 4), those out of reach drawn in towards the robot at their height: `inverse` takes them all."""
        ...


class Arm:
    """Seven revolute joints with the kinematics, limits and servo gains published for the Franka arm, in primitive geoms.

    Inverse kinematics is closed form: with the redundant joint 3 and joint 5 at zero the arm moves in the vertical plane
    through its base, and a tool that points straight down leaves a two-link problem; joint 7 sets the yaw.
    """

    name = "arm"
    num_joints = 7
    base = np.array([-0.505, 0.015, 0.0])
    handle = 0.13
    lower = np.array([-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973])
    upper = np.array([2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973])
    units: tuple[str, ...] = ("rad",) * 7
    servo_speed = np.full(7, 1.0)
    max_velocity = np.array([2.175, 2.175, 2.175, 2.175, 2.61, 2.61, 2.61])
    stiffness = np.array([4500.0, 4500.0, 3500.0, 3500.0, 2000.0, 2000.0, 2000.0])
    damping = np.array([450.0, 450.0, 350.0, 350.0, 200.0, 200.0, 200.0])
    tool_speed = 0.7
    vertical_speed = 0.5
    max_torque = np.array([87.0, 87.0, 87.0, 87.0, 12.0, 12.0, 12.0])

    # Denavit-Hartenberg lengths [m]: shoulder height, upper arm, elbow offset, forearm, wrist offset, flange
    d1, d3, a4, d5, a7, flange = 0.333, 0.316, 0.0825, 0.384, 0.088, 0.107

    def __init__(self, tool: Tool | None = None) -> None:
        self.tool = tool or Paddle()
        self.handle = type(self).handle + self.tool.reach
        gain = np.repeat(self.tool.gains, (4, 3))
        self.stiffness, self.damping = type(self).stiffness * gain, type(self).damping * gain
        self._upper, self._fore = np.hypot(self.d3, self.a4), np.hypot(self.d5, self.a4)
        self._bend = np.arctan2(self.d3, self.a4), np.arctan2(self.d5, self.a4), np.arctan2(self.a4, self.d3)
        # Just outside the overhead camera's cone, and as few joint seconds from the ends of most sweeps as can be.
        self.home = self.inverse(np.array([[-0.22, 0.12, 0.50, 0.0]]))[0]

    def add_to(self, spec: mujoco.MjSpec) -> None:
        """See `Robot.add_to`. Each link's frame is the one of the published kinematics."""
        r = np.sqrt(0.5)
        body = spec.worldbody.add_body(name="robot_base", pos=self.base)
        pedestal = -self.base[2] + 0.45
        body.add_geom(
            type=CYLINDER, pos=[0, 0, -pedestal / 2], size=[0.07, pedestal / 2, 0], rgba=DARK, contype=0, conaffinity=0
        )
        body.add_geom(type=CAPSULE, fromto=[0, 0, 0.04, 0, 0, 0.20], size=[0.07, 0, 0], rgba=WHITE, contype=0, conaffinity=0)
        # (position, quaternion, link geoms as (from, to, radius)) of links 1 to 7
        links = (
            ([0, 0, self.d1], [1, 0, 0, 0], [((0, 0, -0.10), (0, 0, 0.0), 0.062)], 3.0),
            ([0, 0, 0], [r, -r, 0, 0], [((0, 0, -0.06), (0, 0, 0.06), 0.062), ((0, -0.05, 0), (0, -0.19, 0), 0.058)], 3.0),
            ([0, -self.d3, 0], [r, r, 0, 0], [((0, 0, -0.09), (0, 0, -0.03), 0.056), ((0, 0, 0), (0.07, 0, 0), 0.052)], 2.5),
            ([self.a4, 0, 0], [r, r, 0, 0], [((0, 0, -0.05), (0, 0, 0.05), 0.054), ((0, 0, 0), (-0.08, 0.09, 0), 0.050)], 2.5),
            ([-self.a4, self.d5, 0], [r, -r, 0, 0], [((0, 0, -0.26), (0, 0.03, -0.04), 0.046)], 2.5),
            ([0, 0, 0], [r, r, 0, 0], [((0, 0, -0.04), (0, 0, 0.04), 0.046), ((0, 0, 0), (0.07, 0, 0), 0.042)], 1.5),
            ([self.a7, 0, 0], [r, r, 0, 0], [((0, 0, 0.03), (0, 0, 0.09), 0.040)], 0.8),
        )
        for j, (pos, quat, geoms, mass) in enumerate(links):
            body = body.add_body(name=f"link{j + 1}", pos=pos, quat=quat, gravcomp=1)
            body.add_joint(name=f"robot{j}", axis=[0, 0, 1], range=[self.lower[j], self.upper[j]], armature=0.1, damping=1)
            for start, end, radius in geoms:
                body.add_geom(
                    type=CAPSULE, fromto=[*start, *end], size=[radius, 0, 0], mass=mass / len(geoms),
                    rgba=DARK if j in (1, 3, 5) else WHITE, contype=0, conaffinity=0,
                )  # fmt: skip
            add_servo(spec, f"robot{j}", self.stiffness[j], self.damping[j], self.max_torque[j])
        flange = body.add_body(name="flange", pos=[0, 0, self.flange], gravcomp=1)
        self.tool.add_to(spec, flange, self.handle)

    def inverse(self, poses: np.ndarray) -> np.ndarray:
        """See `Robot.inverse`; raises ValueError where a pose is out of reach."""
        path = len(poses) > 1  # the same formulas for arrays and, several times as fast, for the numbers of one pose
        x, y, z = (poses[:, :3] - self.base).T if path else (poses[0, :3] - self.base).tolist()
        q1 = np.arctan2(y, x)
        # The wrist (joints 5 to 7) lies above the tool, set back by the wrist offset; seen from the shoulder:
        reach = np.hypot(x, y) - self.a7
        height = z + self.handle + self.flange - self.d1
        upper, fore = self._upper, self._fore
        distance2 = reach * reach + height * height
        cos_elbow = (upper**2 + fore**2 - distance2) / (2 * upper * fore)
        if (abs(cos_elbow) > 1).any():
            worst = poses[np.argmax(np.abs(cos_elbow))]
            raise ValueError(f"the arm cannot reach x={worst[0]:.3f} y={worst[1]:.3f} z={worst[2]:.3f} m")
        elbow = np.arccos(cos_elbow)  # angle between the two links at the elbow
        q4 = elbow - 2 * np.pi + self._bend[0] + self._bend[1]
        lift = np.arctan2(height, reach)
        shoulder = np.arccos((upper**2 + distance2 - fore**2) / (2 * upper * np.sqrt(distance2)))
        q2 = np.pi / 2 - (lift + shoulder) - self._bend[2]
        # The tool points straight down when the three pitch angles add up.
        q6 = q2 - q4
        if not path:
            q7 = q1 - poses[0, 3]
            return np.array([[q1, q2, 0.0, q4, 0.0, q6, q7 - np.pi * round(q7 / np.pi)]])
        zero = np.zeros_like(q1)
        return np.stack([q1, q2, zero, q4, zero, q6, self._wrist_yaw(q1, poses[:, 3])], axis=1)

    def reachable(self, poses: np.ndarray) -> np.ndarray:
        """See `Robot.reachable`."""
        x, y, z = (poses[:, :3] - self.base).T if len(poses) > 1 else (poses[0, :3] - self.base).tolist()
        height = z + self.handle + self.flange - self.d1
        longest = self._upper + self._fore - REACH_MARGIN
        height = np.minimum(np.maximum(height, 0.05 - longest), longest - 0.05)
        most = np.sqrt(longest**2 - height * height) + self.a7
        flat = np.hypot(x, y)
        share = np.minimum(np.maximum(flat, MIN_RADIUS), most) / np.maximum(flat, 1e-9)
        fitted = poses.copy()
        fitted[:, 0], fitted[:, 1] = self.base[0] + x * share, self.base[1] + y * share
        fitted[:, 2] = height - self.handle - self.flange + self.d1 + self.base[2]
        return fitted

    def _wrist_yaw(self, q1: np.ndarray, yaw: np.ndarray) -> np.ndarray:
        """Joint 7 that turns the paddle to `yaw` modulo pi, in one piece along the path and as near zero as it can be."""
        q7 = np.unwrap(q1 - yaw)
        return q7 - np.pi * np.round(np.mean([q7.min(), q7.max()]) / np.pi)


class Gantry:
    """Three sliding axes and a turning wrist above the table: the fast robot for studies of the planning problem."""

    name = "gantry"
    num_joints = 4
    handle = 0.25
    lower, upper = np.array([-0.5, -0.5, 0.0, -6.3]), np.array([0.5, 0.5, 0.6, 6.3])
    units: tuple[str, ...] = ("m", "m", "m", "rad")
    servo_speed = np.array([0.5, 0.5, 0.5, 1.5])
    max_velocity = np.array([6.0, 6.0, 4.0, 20.0])
    tool_speed = 0.8
    vertical_speed = 1.2
    stiffness = np.array([5000.0, 5000.0, 5000.0, 200.0])
    damping = np.array([300.0, 300.0, 300.0, 10.0])
    max_force = np.array([400.0, 400.0, 40.0, 5.0])
    """(J,) of the servos [N or N m]: a stronger gantry squeezes what it comes down on until it flies."""
    carriage_mass = 0.3
    """Of each moving part; light, so that little force is enough to stop it [kg]."""
    home = np.array([-0.40, 0.1, 0.20, 0.0])

    def __init__(self, tool: Tool | None = None) -> None:
        self.tool = tool or Paddle()
        self.handle = type(self).handle + self.tool.reach
        gain = np.repeat(self.tool.gains, (3, 1))
        self.stiffness, self.damping = type(self).stiffness * gain, type(self).damping * gain

    def add_to(self, spec: mujoco.MjSpec) -> None:
        """See `Robot.add_to`."""
        axes = ([1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1])
        body = spec.worldbody
        for j, axis in enumerate(axes):
            body = body.add_body(name=f"link{j + 1}", gravcomp=1)
            kind = mujoco.mjtJoint.mjJNT_SLIDE if j < 3 else mujoco.mjtJoint.mjJNT_HINGE
            body.add_joint(name=f"robot{j}", type=kind, axis=axis, armature=self.tool.wrist_inertia if j == 3 else 0)
            body.add_geom(
                type=BOX,
                pos=[0, 0, self.handle + 0.02],
                size=[0.02, 0.02, 0.015],
                mass=self.carriage_mass,
                rgba=DARK,
                contype=0,
                conaffinity=0,
            )
            add_servo(spec, f"robot{j}", self.stiffness[j], self.damping[j], self.max_force[j])
        flange = body.add_body(name="flange", pos=[0, 0, self.handle], quat=[0, 1, 0, 0], gravcomp=1)
        self.tool.add_to(spec, flange, self.handle)

    def inverse(self, poses: np.ndarray) -> np.ndarray:
        """See `Robot.inverse`."""
        joints = poses.copy()
        yaw = np.unwrap(poses[:, 3])
        joints[:, 3] = yaw - np.pi * np.round(np.mean([yaw.min(), yaw.max()]) / np.pi)
        return joints

    def reachable(self, poses: np.ndarray) -> np.ndarray:
        """See `Robot.reachable`: it reaches everything."""
        return poses


ROBOTS: dict[str, Callable[..., Robot]] = {"arm": Arm, "gantry": Gantry}
"""Robots by name; each is made with its tool, or with a paddle."""
