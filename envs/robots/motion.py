"""How a robot moves: timed joint paths, computed-torque commands, and physics that a generator drives tick by tick.

A skill or control mode is a generator: it writes `data.ctrl`, yields what it is doing, and expects the world a tick later.
Whoever steps the physics drives it (`run`), so that the same generator serves one environment and many.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from enum import IntEnum
from functools import cache
from typing import TypeVar

import mujoco
import numpy as np

from envs.robots.arm import Robot
from envs.table.scene import MAX_OBJECTS

T = TypeVar("T")
STEPS_PER_TICK = 4
"""Physics steps between two commands of the controller."""
RAMP = 0.2
"""Share of a stage's time in which it gathers speed, and again in which it loses it."""
QUIET_SPEED = 0.04
"""Objects slower than this are at rest [m/s]."""
MAX_SETTLE = 1.5
"""Longest wait for the objects to come to rest [s]."""


class Stage(IntEnum):
    """What the robot is doing."""

    APPROACH = 0
    LOWER = 1
    SWEEP = 2
    LIFT = 3
    HOME = 4
    SETTLE = 5
    GRASP = 6
    CARRY = 7
    PLACE = 8
    SERVO = 9


@cache
def time_law(num_ticks: int, ramp: float = RAMP) -> np.ndarray:
    """Share of the path covered after each of `num_ticks` ticks: trapezoidal speed, `ramp` of the time at each end."""
    t = np.arange(1, num_ticks + 1) / num_ticks
    peak = 1 / (1 - ramp)
    up = peak * t**2 / (2 * ramp)
    flat = peak * (t - ramp / 2)
    down = 1 - peak * (1 - t) ** 2 / (2 * ramp)
    share = np.where(t < ramp, up, np.where(t <= 1 - ramp, flat, down))
    share.flags.writeable = False  # the same array for everybody
    return share


def rate_of(path: np.ndarray, tick: float) -> np.ndarray:
    """Central differences of a path (ticks, J), one-sided at its ends: np.gradient without its overhead."""
    rate = np.empty_like(path)
    rate[1:-1] = (path[2:] - path[:-2]) / (2 * tick)
    rate[0], rate[-1] = (path[1] - path[0]) / tick, (path[-1] - path[-2]) / tick
    return rate


def run(
    model: mujoco.MjModel, data: mujoco.MjData, skill: Generator[Stage, None, T], on_tick: Callable[[Stage], None] | None = None
) -> T:
    """Step the physics as a skill commands until it is done: its result; `on_tick` is called after each controller tick."""
    while True:
        try:
            stage = next(skill)
        except StopIteration as done:
            return done.value
        mujoco.mj_step(model, data, STEPS_PER_TICK)
        if on_tick is not None:
            on_tick(stage)


class Motion:
    """Moves one robot in one scene along paths of joint positions."""

    def __init__(self, robot: Robot, model: mujoco.MjModel) -> None:
        self.robot, self.model = robot, model
        self.tick = STEPS_PER_TICK * model.opt.timestep
        first, objects = model.joint("robot0"), int(model.joint("object0").dofadr[0])  # each kind lies in one piece
        self.qpos = slice(int(first.qposadr[0]), int(first.qposadr[0]) + robot.num_joints)
        self.qvel = slice(int(first.dofadr[0]), int(first.dofadr[0]) + robot.num_joints)
        self.object_qvel = slice(objects, objects + 6 * MAX_OBJECTS)
        self.ctrl = slice(0, robot.num_joints)
        """The servos of the joints; what follows them belongs to the tool."""
        self.touch = int(model.sensor("touch").adr[0])
        # A servo lags its target by damping / stiffness seconds at constant speed: command that much ahead.
        self.lead = robot.damping / robot.stiffness
        self.rest = np.zeros(robot.num_joints)
        self._qacc, self._force = np.zeros(model.nv), np.zeros(model.nv)
        self._robot_qacc, self._robot_force = self._qacc[self.qvel], self._force[self.qvel]  # views

    def settle(self, data: mujoco.MjData, pose: np.ndarray | None = None) -> None:
        """Wait with the joints at `pose` (J,), or at home, until the objects rest."""
        run(self.model, data, self.settling(data, pose))

    def settling(self, data: mujoco.MjData, pose: np.ndarray | None = None) -> Generator[Stage, None, None]:
        """`settle`, for whoever steps the physics."""
        pose, waited = self.robot.home if pose is None else pose, 0.0
        while waited < MAX_SETTLE and not self.is_quiet(data):
            self.command(data, pose, self.rest)
            yield Stage.SETTLE
            waited += self.tick

    def is_quiet(self, data: mujoco.MjData) -> bool:
        """Whether every object is at rest."""
        velocity = data.qvel[self.object_qvel].reshape(MAX_OBJECTS, 6)[:, :3]
        return bool(velocity.max() < QUIET_SPEED and velocity.min() > -QUIET_SPEED)

    def timed(self, path: np.ndarray, least: float) -> np.ndarray:
        """Joint targets (ticks, J) along a path of joint positions, in `least` seconds or as the joints allow."""
        rate = np.abs(path[1:] - path[:-1]).max(axis=0) * (len(path) - 1) / self.robot.max_velocity
        seconds = max(float(rate.max()) / (1 - RAMP), least, 2 * self.tick)
        share = time_law(int(np.ceil(seconds / self.tick))) * (len(path) - 1)
        low = np.minimum(share.astype(int), len(path) - 2)
        part = (share - low)[:, None]
        return path[low] * (1 - part) + path[low + 1] * part

    def follow(
        self, data: mujoco.MjData, stage: Stage, targets: np.ndarray, max_force: float = np.inf
    ) -> Generator[Stage, None, tuple[int, float]]:
        """Track joint targets (ticks, J) until the tool feels more than `max_force`: ticks done, largest force [N]."""
        velocity = rate_of(targets, self.tick)
        acceleration = rate_of(velocity, self.tick)
        peak, touch = 0.0, data.sensordata[self.touch :]  # a view, looked up once
        for done, (ahead, wanted) in enumerate(zip(targets + self.lead * velocity, acceleration, strict=True), start=1):
            self.command(data, ahead, wanted)
            yield stage
            peak = max(peak, self.robot.tool.felt(touch))
            if peak > max_force:
                return done, peak
        return len(targets), peak

    def command(self, data: mujoco.MjData, ahead: np.ndarray, acceleration: np.ndarray) -> None:
        """Computed-torque control through position servos for one tick: what they would lag by is commanded ahead."""
        self._robot_qacc[:] = acceleration
        mujoco.mj_mulM(self.model, data, self._force, self._qacc)
        data.ctrl[self.ctrl] = ahead + self._robot_force / self.robot.stiffness
