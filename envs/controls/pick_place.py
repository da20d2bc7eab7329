"""pick_place: one action picks at one pose and places at another."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np

from envs.controls.base import Control, Outcome, Rules
from envs.controls.sweep import image_from_action, to_table, to_unit
from envs.robots.motion import Stage
from envs.skills.pick_place import PickPlaceSkill
from envs.table.world import World

PICK_LOW, PICK_HIGH = np.array([-0.24, -0.28]), np.array([0.24, 0.42])
"""Corners of the region in which is picked and placed, (x, y) [m]: actions of -1 and +1."""
YAW_SCALE = np.pi / 2
"""Angle of the line through the fingertips at an action of 1; a turn by pi changes nothing [rad]."""


class PickPlaceControl(Control):
    """Action (6,): pick x, pick y, pick yaw, place x, place y, place yaw. See `envs.skills.pick_place.PickPlaceSkill`."""

    name = "pick_place"
    names = ("pick_x", "pick_y", "pick_yaw [pi/2 rad]", "place_x", "place_y", "place_yaw [pi/2 rad]")
    proprio_names = ("opening [m]",)
    motion: PickPlaceSkill

    def __init__(self, world: World, rules: Rules) -> None:
        super().__init__(world, rules)
        self.motion = PickPlaceSkill(world.robot, world.model, rules.pick_place, rules.surface)

    def act(self, action: np.ndarray) -> Generator[Stage, None, Outcome]:
        """See `Control.act`."""
        poses = np.clip(action, -1, 1).reshape(2, 3) * YAW_SCALE
        poses[:, :2] = to_table(action.reshape(2, 3)[:, :2], PICK_LOW, PICK_HIGH)
        above = np.insert(poses, 2, self.motion.config.lift_height, axis=1)
        beyond = np.abs(self.world.robot.reachable(above) - above).max() > 1e-9
        self.violations += bool(beyond or np.abs(action).max() > 1)
        result = yield from self.motion.pick_place(self.world.data, *poses)
        info = {"blocked": result.blocked, "grasped": result.grasped, "dropped": result.dropped}
        return Outcome(result.peak_force, result.duration, info)

    def action(self, pick: np.ndarray, place: np.ndarray) -> np.ndarray:
        """The action (6,) that picks and places at poses (x, y, yaw) [m, rad]."""
        poses = np.stack([pick, place])
        yaw = ((poses[:, 2:] + np.pi / 2) % np.pi - np.pi / 2) / YAW_SCALE
        return np.concatenate([to_unit(poses[:, :2], PICK_LOW, PICK_HIGH), yaw], axis=1).ravel()

    def proprio(self) -> tuple[float, ...]:
        """See `Control.proprio`."""
        return (self.motion.opening(self.world.data),)

    def describe(self) -> dict[str, Any]:
        """See `Control.describe`."""
        points = {"points": [[0, 1], [3, 4]], "image_from_action": image_from_action(PICK_LOW, PICK_HIGH)}
        return super().describe() | points
