"""The sweep: a macro-action that a robot executes closed loop, from four numbers to a trajectory and back home.

A sweep has five stages: approach above its start, lower, sweep, lift, home. Each is a path of joint positions run under one
time law, as fast as the joints and the tool may go. It is closed loop: a paddle that comes down on an object stops there
and goes home, and the next observation is taken when the objects have come to rest.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

import mujoco
import numpy as np

from envs.robots.arm import Robot
from envs.robots.motion import Motion, Stage, run


@dataclass(frozen=True)
class SweepConfig:
    """Speeds and heights of a sweep."""

    sweep_height: float = 0.008
    """Height of the paddle's lower edge over the table while sweeping [m]."""
    lift_height: float = 0.13
    """Height at which the paddle travels above the objects [m]."""
    speed: float | None = None
    """Mean speed of the paddle along a sweep [m/s]; None for the robot's own."""
    max_lower_force: float = 12.0
    """A paddle that feels more than this while lowering stands on something [N]."""


@dataclass(frozen=True)
class SweepResult:
    """What happened during one sweep."""

    blocked: bool
    """The paddle came down on an object, and the sweep was called off."""
    peak_force: float
    """Largest force on the paddle [N]."""
    duration: float
    """Simulated time [s]."""


class SweepSkill(Motion):
    """Executes sweeps with one robot in one scene."""

    def __init__(self, robot: Robot, model: mujoco.MjModel, config: SweepConfig) -> None:
        super().__init__(robot, model)
        self.config = config
        self._down = np.linspace(config.lift_height, config.sweep_height, 9)
        self._up = np.linspace(config.sweep_height, config.lift_height, 9)
        self._along = np.linspace(0, 1, 25)

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
        home, speed = self.robot.home, config.speed or self.robot.tool_speed
        vertical = config.lift_height - config.sweep_height
        return [
            self.timed(np.stack([home, lower[0]]), 0.0),
            self.timed(lower, vertical / self.robot.vertical_speed),
            self.timed(sweep, float(np.hypot(*along)) / speed),
            self.timed(lift, vertical / self.robot.vertical_speed),
            self.timed(np.stack([lift[-1], home]), 0.0),
        ]

    def execute(
        self, data: mujoco.MjData, start: np.ndarray, end: np.ndarray, on_tick: Callable[[Stage], None] | None = None
    ) -> SweepResult:
        """Run one sweep until the robot is home and the objects rest; `on_tick` is called after each controller tick."""
        return run(self.model, data, self.sweep(data, start, end), on_tick)

    def sweep(self, data: mujoco.MjData, start: np.ndarray, end: np.ndarray) -> Generator[Stage, None, SweepResult]:
        """One sweep, closed loop, for whoever steps the physics: see `run`."""
        began = data.time
        approach, lower, sweep, lift, home = self.plan(start, end)
        yield from self.follow(data, Stage.APPROACH, approach)
        reached, peak = yield from self.follow(data, Stage.LOWER, lower, self.config.max_lower_force)
        blocked = reached < len(lower)
        if blocked:  # up the way that it came down, and home from there
            back = np.concatenate([lower[:reached][::-1], approach[-1:]])
            yield from self.follow(data, Stage.LIFT, back)
            home = self.timed(np.stack([approach[-1], self.robot.home]), 0.0)
        else:
            _, felt = yield from self.follow(data, Stage.SWEEP, sweep)
            peak = max(peak, felt)
            yield from self.follow(data, Stage.LIFT, lift)
        yield from self.follow(data, Stage.HOME, home)
        yield from self.settling(data)
        return SweepResult(blocked, peak, data.time - began)
