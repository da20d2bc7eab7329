"""What the low-level modes share: ten actions a second, a workspace, a limit on the contact force, and the gripper."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator

import numpy as np

from envs.controls.base import Control, Outcome, Rules
from envs.robots.motion import Stage
from envs.skills.pick_place import PickPlaceSkill
from envs.table.world import World

TICKS_PER_ACTION = 5
"""Controller ticks of 20 ms: ten actions a second."""
WORKSPACE_LOW, WORKSPACE_HIGH = np.array([-0.28, -0.32, 0.008]), np.array([0.27, 0.42, 0.35])
"""Corners of the box in which the working end of the tool stays, (x, y, z) [m]."""
MAX_FORCE = 40.0
"""A tool that feels more stops where it is until the next action [N]."""
START = np.array([-0.12, 0.0, 0.20, 0.0])
"""Where the tool is when an episode begins: x, y, z [m] and yaw [rad]."""
MAX_SHARE = 0.6
"""Of the fastest that each joint may turn."""
MAX_LEAD = 0.06
"""Furthest that the commanded pose runs ahead of the tool [m]."""
_SHARE = np.arange(1, TICKS_PER_ACTION + 1)[:, None] / TICKS_PER_ACTION
_SHARE_3, _SHARE_6 = _SHARE * 3, _SHARE * 6


class LowLevelControl(Control):
    """Ten actions a second; the last element of each opens (1) or closes (-1) the gripper, or anything between.

    `info` counts, over an episode, `workspace_violations` (actions that asked for more than the workspace, the robot's reach or
    its joints' limits, and were carried out up to there) and `force_stops` (actions that met more than 40 N).
    """

    is_skill = False
    proprio_names = ("opening [m]",)
    motion: PickPlaceSkill

    def __init__(self, world: World, rules: Rules) -> None:
        super().__init__(world, rules)
        self.motion = PickPlaceSkill(world.robot, world.model, rules.pick_place, rules.surface)
        self.period = TICKS_PER_ACTION * self.motion.tick
        self._furthest = MAX_SHARE * world.robot.max_velocity * self.period
        self.joints = self.start
        """(J,) commanded joint positions."""
        self.velocity = self.motion.rest
        """(J,) commanded joint velocities."""
        self.force_stops = 0

    @property
    def start(self) -> np.ndarray:
        """See `Control.start`: above the table, in the picture."""
        return self.joints_at(START)

    def joints_at(self, pose: np.ndarray) -> np.ndarray:
        """(J,) joint positions with the tool at a pose (4,), or as near to it as the robot reaches."""
        robot = self.world.robot
        return np.clip(robot.inverse(robot.reachable(pose[None]))[0], robot.lower, robot.upper)

    def begin(self) -> None:
        """See `Control.begin`."""
        super().begin()
        self.joints = self.world.data.qpos[self.motion.qpos].copy()
        self.velocity = self.motion.rest
        self.force_stops = 0

    @abstractmethod
    def command(self, action: np.ndarray) -> np.ndarray:
        """(J,) joint positions to be at after an action (A,) in [-1, 1]; counts what it had to refuse in `violations`."""

    @abstractmethod
    def toward(self, pose: np.ndarray, opening: float) -> np.ndarray:
        """The action (A,) straight to a pose (4,): x, y, z [m], yaw modulo pi, with the fingers `opening` apart [m]."""

    def act(self, action: np.ndarray) -> Generator[Stage, None, Outcome]:
        """See `Control.act`."""
        action = np.minimum(np.maximum(action, -1.0), 1.0)  # np.clip takes four times as long
        data, motion, robot = self.world.data, self.motion, self.world.robot
        data.ctrl[motion.grip] = (action[-1] + 1) / 2 * robot.tool.max_opening
        wanted = self.command(action)
        fastest = float((np.abs(wanted - self.joints) / self._furthest).max())
        end = (wanted - self.joints) / (self.period * max(fastest, 1.0))
        path, rate, acceleration = self._blend(end)
        ahead = path + motion.lead * rate
        touch, peak, stopped, stage = data.sensordata[motion.touch :], 0.0, False, Stage.SERVO
        for tick in range(TICKS_PER_ACTION):
            if stopped:
                motion.command(data, self.joints, motion.rest)
            else:
                motion.command(data, ahead[tick], acceleration[tick])
            yield stage
            peak = max(peak, robot.tool.felt(touch))
            if peak > MAX_FORCE and not stopped:
                stopped, end = True, motion.rest
                self.force_stops += 1
                self.joints = data.qpos[motion.qpos].copy()
        if not stopped:
            self.joints = path[-1]
        self.velocity = end
        info = {"grasped": motion.holds(data), "force_stops": self.force_stops}
        return Outcome(peak, self.period, info)

    def _blend(self, end: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Positions, velocities and accelerations (ticks, J) from the present command to one with a mean velocity `end` (J,).

        A cubic that begins with the last action's velocity and ends with this one's: nothing for the servos to jump after.
        """
        share = _SHARE
        begin, way = self.velocity * self.period, end * self.period
        # Hermite form with ends 0 and way, slopes begin and way: cubic * s^3 + square * s^2 + begin * s
        cubic, square = begin - way, 2 * way - 2 * begin
        path = self.joints + share * (begin + share * (square + share * cubic))
        rate = (begin + share * (2 * square + _SHARE_3 * cubic)) / self.period
        return path, rate, (2 * square + _SHARE_6 * cubic) / self.period**2

    def still(self) -> np.ndarray:
        """See `Control.still`: the fingers as they are when an episode begins, wide open."""
        return np.append(super().still()[:-1], 1.0)

    def grip_of(self, opening: float) -> float:
        """The last element of an action that brings the fingers `opening` apart [m]."""
        return float(np.clip(opening / self.world.robot.tool.max_opening, 0, 1)) * 2 - 1

    def proprio(self) -> tuple[float, ...]:
        """See `Control.proprio`."""
        return (self.motion.opening(self.world.data),)


def in_workspace(position: np.ndarray) -> bool:
    """Whether a position (3,) lies in the workspace."""
    return bool(np.all(position >= WORKSPACE_LOW - 1e-9) and np.all(position <= WORKSPACE_HIGH + 1e-9))


def turned(yaw: float, near: float) -> float:
    """The angle that equals `yaw` modulo pi and is nearest to `near` [rad]."""
    return near + (yaw - near + np.pi / 2) % np.pi - np.pi / 2
