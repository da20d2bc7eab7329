"""ee_delta: ten small moves of the gripper a second, in metres and radians."""

from __future__ import annotations

import math

import numpy as np

from envs.controls.base import Rules
from envs.controls.low_level import MAX_LEAD, WORKSPACE_HIGH, WORKSPACE_LOW, LowLevelControl, turned
from envs.table.world import World

MAX_SPEED = 0.25
"""Of the tool along each axis, at an action of 1 [m/s]."""
MAX_TURN = 1.5
"""Of the tool about the vertical, at an action of 1 [rad/s]."""
MAX_TURN_LEAD = 0.4
"""Furthest that the commanded yaw runs ahead of the tool [rad]."""


class EndEffectorDelta(LowLevelControl):
    """Action (5,): dx, dy, dz, dyaw of the gripper, which points straight down, and how far its fingers open."""

    name = "ee_delta"
    names = ("dx [0.25 m/s]", "dy [0.25 m/s]", "dz [0.25 m/s]", "dyaw [1.5 rad/s]", "gripper")

    def __init__(self, world: World, rules: Rules) -> None:
        super().__init__(world, rules)
        self.scale = self.period * np.array([MAX_SPEED, MAX_SPEED, MAX_SPEED, MAX_TURN])
        self.pose = np.zeros(4)
        """Commanded x, y, z [m] and yaw [rad]."""

    def begin(self) -> None:
        """See `Control.begin`."""
        super().begin()
        self.pose = np.array([*self.world.tool_position, self.world.tool_yaw])

    def command(self, action: np.ndarray) -> np.ndarray:
        """See `LowLevelControl.command`."""
        robot, yaw = self.world.robot, turned(self.world.tool_yaw, self.pose[3])
        # What stands in the way, or a joint that cannot keep up, holds the command back too: it never winds up.
        lead = self.pose[:3] - self.world.tool_position
        self.pose[:3] -= lead * (1 - MAX_LEAD / max(math.sqrt(lead.dot(lead)), MAX_LEAD))
        self.pose[3] = min(max(self.pose[3], yaw - MAX_TURN_LEAD), yaw + MAX_TURN_LEAD)
        wanted = self.pose + action[:4] * self.scale
        kept = wanted.copy()
        kept[:3] = np.minimum(np.maximum(wanted[:3], WORKSPACE_LOW), WORKSPACE_HIGH)  # np.clip takes four times as long
        kept = robot.reachable(kept[None])[0]
        joints = robot.inverse(kept[None])[0]
        joints[-1] = turned(joints[-1], self.joints[-1])
        allowed = np.minimum(np.maximum(joints, robot.lower), robot.upper)
        refused = np.abs(kept - wanted).max() > 1e-9 or np.abs(allowed - joints).max() > 1e-9
        self.violations += bool(refused)
        self.pose = kept
        return allowed

    def toward(self, pose: np.ndarray, opening: float) -> np.ndarray:
        """See `LowLevelControl.toward`."""
        delta = pose - self.pose
        delta[3] = turned(pose[3], self.pose[3]) - self.pose[3]
        share = delta / self.scale
        share[:3] /= max(1.0, float(np.abs(share[:3]).max()))  # straight
        return np.append(np.clip(share, -1, 1), self.grip_of(opening))
