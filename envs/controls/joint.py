"""joint: ten sets of joint velocities a second, and the gripper."""

from __future__ import annotations

import mujoco
import numpy as np

from envs.controls.base import Rules
from envs.controls.low_level import LowLevelControl, in_workspace, turned
from envs.table.world import World

STEP = 0.03
"""Furthest that the expert's next way point is from the tool [m]."""


class JointVelocity(LowLevelControl):
    """Action (J + 1,): the velocity of each joint, and how far the fingers open.

    The tool may tilt. A command that would take its working end out of the workspace is refused: the robot stays where it is.
    """

    name = "joint"

    def __init__(self, world: World, rules: Rules) -> None:
        super().__init__(world, rules)
        robot = world.robot
        self.names = (*(f"joint{j} [{robot.servo_speed[j]} {unit}/s]" for j, unit in enumerate(robot.units)), "gripper")
        self.proprio_names = ("opening [m]", *(f"joint{j} [{unit}]" for j, unit in enumerate(robot.units)))
        self._scratch = mujoco.MjData(world.model)  # for kinematics that must not touch the simulation's state
        self.scale = self.period * robot.servo_speed

    def command(self, action: np.ndarray) -> np.ndarray:
        """See `LowLevelControl.command`."""
        robot = self.world.robot
        wanted = self.joints + action[:-1] * self.scale
        kept = np.clip(wanted, robot.lower, robot.upper)
        if not in_workspace(self._tool_at(kept)):
            kept = self.joints
        self.violations += bool(np.abs(kept - wanted).max() > 1e-9)
        return kept

    def toward(self, pose: np.ndarray, opening: float) -> np.ndarray:
        """See `LowLevelControl.toward`."""
        robot = self.world.robot
        here = np.array([*self._tool_at(self.joints), turned(self.world.tool_yaw, pose[3])])
        delta = pose - here
        step = here + delta * min(1.0, STEP / max(float(np.linalg.norm(delta[:3])), 1e-9))
        step[3] = pose[3]
        wanted = self.joints_at(step)
        wanted[-1] = turned(wanted[-1], self.joints[-1])
        wanted[-1] -= np.pi * int(wanted[-1] > robot.upper[-1]) - np.pi * int(wanted[-1] < robot.lower[-1])
        share = (wanted - self.joints) / self.scale
        most = float(np.abs(share[:-1]).max())
        share[:-1] /= max(1.0, most)
        return np.append(np.clip(share, -1, 1), self.grip_of(opening))

    def proprio(self) -> tuple[float, ...]:
        """See `Control.proprio`."""
        return (self.motion.opening(self.world.data), *self.world.data.qpos[self.motion.qpos])

    def _tool_at(self, joints: np.ndarray) -> np.ndarray:
        """(3,) where the working end of the tool is with joints (J,) [m]."""
        self._scratch.qpos[self.motion.qpos] = joints
        mujoco.mj_kinematics(self.world.model, self._scratch)
        return self._scratch.site_xpos[self.world.tool].copy()
