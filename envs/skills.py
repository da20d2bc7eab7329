"""The sweep: a macro-action that a robot executes closed loop, from four numbers to a trajectory and back home.

A sweep has five stages: approach above its start, lower, sweep, lift, home. Each is a path of joint positions run under one
time law, as fast as the joints and the tool may go. It is closed loop: a paddle that comes down on an object stops there
and goes home, and the next observation is taken when the objects have come to rest.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import TypeVar

import mujoco
import numpy as np

from envs.arm import Robot
from envs.scene import MAX_OBJECTS

T = TypeVar("T")
STEPS_PER_TICK = 4
"""Physics steps between two commands of the controller."""
RAMP = 0.2
"""Share of a stage's time in which it gathers speed, and again in which it loses it."""


class Stage(IntEnum):
    """What the robot is doing."""

    APPROACH = 0
    LOWER = 1
    SWEEP = 2
    LIFT = 3
    HOME = 4
    SETTLE = 5


@dataclass(frozen=True)
class SweepConfig:
    """Speeds and heights of a sweep."""

    sweep_height: float = 0.008
    """Height of the paddle's lower edge over the table while sweeping [m]."""
    lift_height: float = 0.13
    """Height at which the paddle travels above the objects [m]."""
    max_lower_force: float = 12.0
    """A paddle that feels more than this while lowering stands on something [N]."""
    quiet_speed: float = 0.04
    """Objects slower than this are at rest [m/s]."""
    max_settle: float = 1.5
    """Longest wait for the objects to come to rest after the robot is home [s]."""


@dataclass(frozen=True)
class SweepResult:
    """What happened during one sweep."""

    blocked: bool
    """The paddle came down on an object, and the sweep was called off."""
    peak_force: float
    """Largest force on the paddle [N]."""
    duration: float
    """Simulated time [s]."""


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


def _rate(path: np.ndarray, tick: float) -> np.ndarray:
    """Central differences of a path (ticks, J), one-sided at its ends: np.gradient without its overhead."""
    rate = np.empty_like(path)
    rate[1:-1] = (path[2:] - path[:-2]) / (2 * tick)
    rate[0], rate[-1] = (path[1] - path[0]) / tick, (path[-1] - path[-2]) / tick
    return rate


def run(
    model: mujoco.MjModel, data: mujoco.MjData, skill: Generator[Stage, None, T], on_tick: Callable[[Stage], None] | None = None
) -> T:
    """Step the physics as a skill commands until it is done: its result; `on_tick` is called after each controller tick.

    A skill is a generator: it writes `data.ctrl`, yields what it is doing, and expects the world a tick later.
    """
    while True:
        try:
            stage = next(skill)
        except StopIteration as done:
            return done.value
        mujoco.mj_step(model, data, STEPS_PER_TICK)
        if on_tick is not None:
            on_tick(stage)


class SweepSkill:
    """Executes sweeps with one robot in one scene."""

    def __init__(self, robot: Robot, model: mujoco.MjModel, config: SweepConfig) -> None:
        self.robot, self.model, self.config = robot, model, config
        self.tick = STEPS_PER_TICK * model.opt.timestep
        first, objects = model.joint("robot0"), int(model.joint("object0").dofadr[0])  # each kind lies in one piece
        self.qpos = slice(int(first.qposadr[0]), int(first.qposadr[0]) + robot.num_joints)
        self.qvel = slice(int(first.dofadr[0]), int(first.dofadr[0]) + robot.num_joints)
        self.object_qvel = slice(objects, objects + 6 * MAX_OBJECTS)
        self.touch = int(model.sensor("touch").adr[0])
        # A servo lags its target by damping / stiffness seconds at constant speed: command that much ahead.
        self.lead = robot.damping / robot.stiffness
        self.rest = np.zeros(robot.num_joints)
        self._down = np.linspace(config.lift_height, config.sweep_height, 9)
        self._up = np.linspace(config.sweep_height, config.lift_height, 9)
        self._along = np.linspace(0, 1, 25)
        self._qacc, self._force = np.zeros(model.nv), np.zeros(model.nv)
        self._robot_qacc, self._robot_force = self._qacc[self.qvel], self._force[self.qvel]  # views

    def plan(self, start: np.ndarray, end: np.ndarray) -> list[np.ndarray]:
        """Joint targets (ticks, J) of the stages APPROACH to HOME of a sweep from `start` to `end`, (x, y) [m]."""
        config = self.config
        along = end - start
        yaw = np.arctan2(along[1], along[0]) + np.pi / 2 if np.hypot(*along) > 1e-6 else 0.0

        # One path through lower, sweep and lift keeps the wrist in one piece.
        num_up, num_along = len(self._down), len(self._along)
        path = np.empty((2 * num_up + num_along, 4))  # x, y, z, yaw
        path[:num_up, :2], path[:num_up, 2] = start, self._down
        path[num_up:-num_up, :2], path[num_up:-num_up, 2] = start + self._along[:, None] * along, config.sweep_height
        path[-num_up:, :2], path[-num_up:, 2] = end, self._up
        path[:, 3] = yaw
        path = self.robot.inverse(path)
        lower, sweep, lift = path[:num_up], path[num_up:-num_up], path[-num_up:]
        home = self.robot.home
        vertical = config.lift_height - config.sweep_height
        return [
            self._timed(np.stack([home, lower[0]]), 0.0),
            self._timed(lower, vertical / self.robot.vertical_speed),
            self._timed(sweep, float(np.hypot(*along)) / self.robot.tool_speed),
            self._timed(lift, vertical / self.robot.vertical_speed),
            self._timed(np.stack([lift[-1], home]), 0.0),
        ]

    def _timed(self, path: np.ndarray, least: float) -> np.ndarray:
        """Joint targets (ticks, J) along a path of joint positions, in `least` seconds or as the joints allow."""
        rate = np.abs(path[1:] - path[:-1]).max(axis=0) * (len(path) - 1) / self.robot.max_velocity
        seconds = max(float(rate.max()) / (1 - RAMP), least, 2 * self.tick)
        share = time_law(int(np.ceil(seconds / self.tick))) * (len(path) - 1)
        low = np.minimum(share.astype(int), len(path) - 2)
        part = (share - low)[:, None]
        return path[low] * (1 - part) + path[low + 1] * part

    def execute(
        self, data: mujoco.MjData, start: np.ndarray, end: np.ndarray, on_tick: Callable[[Stage], None] | None = None
    ) -> SweepResult:
        """Run one sweep until the robot is home and the objects rest; `on_tick` is called after each controller tick."""
        return run(self.model, data, self.sweep(data, start, end), on_tick)

    def settle(self, data: mujoco.MjData, tell: Callable[[Stage], None] | None = None) -> None:
        """Wait with the robot at home until the objects rest."""
        run(self.model, data, self.settling(data), tell)

    def sweep(self, data: mujoco.MjData, start: np.ndarray, end: np.ndarray) -> Generator[Stage, None, SweepResult]:
        """One sweep, closed loop, for whoever steps the physics: see `run`."""
        began = data.time
        approach, lower, sweep, lift, home = self.plan(start, end)
        yield from self._follow(data, Stage.APPROACH, approach)
        reached, peak = yield from self._follow(data, Stage.LOWER, lower, self.config.max_lower_force)
        blocked = reached < len(lower)
        if blocked:  # up the way that it came down, and home from there
            back = np.concatenate([lower[:reached][::-1], approach[-1:]])
            yield from self._follow(data, Stage.LIFT, back)
            home = self._timed(np.stack([approach[-1], self.robot.home]), 0.0)
        else:
            _, felt = yield from self._follow(data, Stage.SWEEP, sweep)
            peak = max(peak, felt)
            yield from self._follow(data, Stage.LIFT, lift)
        yield from self._follow(data, Stage.HOME, home)
        yield from self.settling(data)
        return SweepResult(blocked, peak, data.time - began)

    def settling(self, data: mujoco.MjData) -> Generator[Stage, None, None]:
        """`settle`, for whoever steps the physics."""
        waited = 0.0
        while waited < self.config.max_settle and not self._is_quiet(data):
            self._command(data, self.robot.home, self.rest)
            yield Stage.SETTLE
            waited += self.tick

    def _follow(
        self, data: mujoco.MjData, stage: Stage, targets: np.ndarray, max_force: float = np.inf
    ) -> Generator[Stage, None, tuple[int, float]]:
        """Track joint targets (ticks, J) until the paddle feels more than `max_force`: ticks done, largest force [N]."""
        velocity = _rate(targets, self.tick)
        acceleration = _rate(velocity, self.tick)
        peak, felt = 0.0, data.sensordata[self.touch : self.touch + 1]  # a view, looked up once
        for done, (ahead, wanted) in enumerate(zip(targets + self.lead * velocity, acceleration, strict=True), start=1):
            self._command(data, ahead, wanted)
            yield stage
            peak = max(peak, felt.item())
            if peak > max_force:
                return done, peak
        return len(targets), peak

    def _command(self, data: mujoco.MjData, ahead: np.ndarray, acceleration: np.ndarray) -> None:
        """Computed-torque control through position servos for one tick: what they would lag by is commanded ahead."""
        self._robot_qacc[:] = acceleration
        mujoco.mj_mulM(self.model, data, self._force, self._qacc)
        data.ctrl[:] = ahead + self._robot_force / self.robot.stiffness

    def _is_quiet(self, data: mujoco.MjData) -> bool:
        velocity = data.qvel[self.object_qvel].reshape(MAX_OBJECTS, 6)[:, :3]
        return bool(velocity.max() < self.config.quiet_speed and velocity.min() > -self.config.quiet_speed)
