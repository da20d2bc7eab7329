"""Pick and place: a macro-action that a robot with a gripper executes closed loop, from two poses to an object elsewhere.

Seven stages: approach above the pick, lower, grasp, lift, carry, place, home. Fingers that come down on something go up again
(`blocked`); a grasp that holds nothing goes home (`grasped` is False); an object that is lost on the way is `dropped`; what is
put down on something stops there. The next observation is taken when the objects have come to rest.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

import mujoco
import numpy as np

from envs.robots.arm import Robot
from envs.robots.motion import Motion, Stage

Surface = Callable[[np.ndarray], float]
"""Height of what is put down on at (x, y) [m]."""


@dataclass(frozen=True)
class PickPlaceConfig:
    """Speeds, heights and forces of a pick and place."""

    grasp_height: float = 0.010
    """Height of the fingertips over the table when they close [m]."""
    lift_height: float = 0.17
    """Height of the fingertips while carrying: what they hold passes above everything that stands [m]."""
    travel_height: float = 0.13
    """Height of the fingertips while they hold nothing [m]."""
    release_gap: float = 0.004
    """How far above what it is put down on an object is let go [m]."""
    max_lower_force: float = 12.0
    """Fingers that feel more than this while lowering stand on something [N]."""
    max_place_force: float = 15.0
    """An object that feels more than this, beside its weight, stands on something [N]."""
    min_held_opening: float = 0.012
    """Fingers closer than this hold nothing [m]."""
    min_grip: float = 5.0
    """Least force on each finger of a grasp [N]."""
    vertical_speed: float = 0.4
    """Mean speed of the tool up and down, or the robot's own where that is slower [m/s]."""
    travel_time: float = 0.4
    """Least time from home to above the pick, and back [s]."""
    carry_speed: float = 0.5
    """Mean speed of the tool while it carries [m/s]."""
    opening: float = 0.14
    """Distance between the fingers when they come down, and at most when they let go [m]."""
    release_by: float = 0.14
    """How far the fingers go apart to let go [m]: no further than there is room beside what stands next."""
    pad_softness: float = 0.02
    """Time constant of the contact between a pad and what it holds [s]; below the default the pads decide it alone."""
    servo_damping: float = 1.0
    """Share of the robot's own damping that its servos have."""
    max_grasp_time: float = 0.6
    """Longest wait for the fingers to close, or to open [s]."""


@dataclass(frozen=True)
class PickPlaceResult:
    """What happened during one pick and place."""

    blocked: bool
    """The fingers came down on something, and the rest was called off."""
    grasped: bool
    """Something was between the fingers when they had closed."""
    dropped: bool
    """It was lost before it was put down."""
    peak_force: float
    """Largest net contact force on the gripper [N]."""
    duration: float
    """Simulated time [s]."""


class PickPlaceSkill(Motion):
    """Executes picks and places with one robot in one scene."""

    def __init__(self, robot: Robot, model: mujoco.MjModel, config: PickPlaceConfig, surface: Surface) -> None:
        _steady(robot, model, config)
        super().__init__(robot, model)
        self.config, self.surface = config, surface
        self.grip = model.actuator("grip").id
        self.fingers = [int(model.joint(f"finger{i}").qposadr[0]) for i in range(2)]
        self.pads = [int(model.sensor(f"touch{i}").adr[0]) for i in range(2)]

    def opening(self, data: mujoco.MjData) -> float:
        """Distance between the fingers [m]."""
        qpos, (left, right) = data.qpos, self.fingers
        return float(qpos[left] + qpos[right])

    def holds(self, data: mujoco.MjData) -> bool:
        """Whether the fingers are apart and press on something from both sides."""
        config = self.config
        if self.opening(data) <= config.min_held_opening:
            return False
        return bool(min(data.sensordata[pad] for pad in self.pads) > config.min_grip)

    def pick_place(self, data: mujoco.MjData, pick: np.ndarray, place: np.ndarray) -> Generator[Stage, None, PickPlaceResult]:
        """One pick at (x, y, yaw) and place at (x, y, yaw), [m, rad], closed loop; a yaw is free modulo pi."""
        config, robot = self.config, self.robot
        began, vertical = data.time, min(robot.vertical_speed, config.vertical_speed)
        place = np.array([place[0], place[1], pick[2] + (place[2] - pick[2] + np.pi / 2) % np.pi - np.pi / 2])
        low = self.surface(pick[:2]) + config.grasp_height
        put = self.surface(place[:2]) + config.grasp_height + config.release_gap
        lower, lift, carry, put_down, leave = self._path(pick, place, low, put)

        data.ctrl[self.grip] = config.opening
        approach = self.timed(np.stack([robot.home, lower[0]]), config.travel_time)
        lower = self.timed(lower, (config.travel_height - low) / vertical)
        _, peak = yield from self.follow(data, Stage.APPROACH, approach)
        reached, felt = yield from self.follow(data, Stage.LOWER, lower, config.max_lower_force)
        peak = max(peak, felt)
        if reached < len(lower):
            back = np.concatenate([lower[:reached][::-1], approach[-1:]])
            yield from self.follow(data, Stage.LIFT, back)
            yield from self._home(data, approach[-1])
            return PickPlaceResult(True, False, False, peak, data.time - began)

        yield from self._grip(data, 0.0, lower[-1])
        grasped, dropped = self.holds(data), False
        _, felt = yield from self.follow(data, Stage.LIFT, self.timed(lift, (config.lift_height - low) / vertical))
        peak, end = max(peak, felt), lift[-1]
        if grasped and self.holds(data):
            seconds = float(np.hypot(*(place - pick)[:2])) / config.carry_speed
            _, felt = yield from self.follow(data, Stage.CARRY, self.timed(carry, seconds))
            peak = max(peak, felt)
            down = self.timed(put_down, (config.lift_height - put) / vertical)
            reached, felt = yield from self.follow(data, Stage.PLACE, down, config.max_place_force)
            peak, dropped = max(peak, felt), not self.holds(data)
            yield from self._grip(data, min(self.opening(data) + config.release_by, config.opening), down[reached - 1])
            left = np.concatenate([down[reached - 1 : reached], leave])
            yield from self.follow(data, Stage.LIFT, self.timed(left, (config.lift_height - put) / vertical))
            end = left[-1]
        else:
            dropped = grasped
            data.ctrl[self.grip] = robot.tool.max_opening
        yield from self._home(data, end)
        return PickPlaceResult(False, grasped, dropped, peak, data.time - began)

    def _path(self, pick: np.ndarray, place: np.ndarray, low: float, put: float) -> list[np.ndarray]:
        """Joint positions of the legs lower, lift, carry, put down and leave: one path, which keeps the wrist in one piece."""
        config, n = self.config, 9
        above, over = np.array([*pick[:2], config.travel_height, pick[2]]), np.array([*pick[:2], low, pick[2]])
        high, far = np.array([*pick[:2], config.lift_height, pick[2]]), np.array([*place[:2], config.lift_height, place[2]])
        down = np.array([*place[:2], put, place[2]])
        legs = [(above, over), (over, high), (high, far), (far, down), (down, far)]
        share = np.linspace(0, 1, n)[:, None]
        poses = np.concatenate([a + share * (b - a) for a, b in legs])
        return np.split(self.robot.inverse(self.robot.reachable(poses)), len(legs))

    def _grip(self, data: mujoco.MjData, opening: float, joints: np.ndarray) -> Generator[Stage, None, None]:
        """Open or close where the robot is, until the fingers rest."""
        data.ctrl[self.grip] = opening
        before, waited, least = np.inf, 0.0, 0.1
        while waited < self.config.max_grasp_time:
            self.command(data, joints, self.rest)
            yield Stage.GRASP
            waited += self.tick
            now = self.opening(data)
            if waited > least and abs(now - before) < 2e-4:
                return
            before = now

    def _home(self, data: mujoco.MjData, joints: np.ndarray) -> Generator[Stage, None, None]:
        yield from self.follow(data, Stage.HOME, self.timed(np.stack([joints, self.robot.home]), self.config.travel_time))
        yield from self.settling(data)


def _steady(robot: Robot, model: mujoco.MjModel, config: PickPlaceConfig) -> None:
    """Hold more firmly than by default, where a few millimetres matter.

    What is held runs ahead of a hand that gathers speed, and lags one that loses it: contact forces are computed as if the arm
    accelerated without its servos' damping, which the integrator takes into account only afterwards. The way that is lost is
    proportional to that damping, and to the softness of the pads; friction and force of the grip do not count.
    """
    if config.pad_softness < PickPlaceConfig.pad_softness:
        for finger in ("finger0", "finger1"):
            geom = model.geom(finger).id
            model.geom_priority[geom], model.geom_solref[geom] = 1, (config.pad_softness, 1.0)
    if config.servo_damping != 1.0:
        robot.damping = config.servo_damping * robot.damping
        for j in range(robot.num_joints):
            model.actuator(f"robot{j}").biasprm[2] = -robot.damping[j]
