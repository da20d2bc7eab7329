"""sweep: one action is one whole sweep of the paddle, four numbers long."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np

from envs.controls.base import Control, Outcome, Rules
from envs.robots.motion import Stage
from envs.skills.sweep import SweepConfig, SweepSkill
from envs.table.scene import CAMERA_HALF_VIEW, CAMERA_POS
from envs.table.world import World

SWEEP_LOW, SWEEP_HIGH = np.array([-0.22, -0.31]), np.array([0.22, 0.34])
"""Corners of the region in which a sweep starts and ends, (x, y) [m]: actions of -1 and +1."""


class SweepControl(Control):
    """Action (4,): start x, start y, end x, end y over the region of sweeps. See `envs.skills.sweep.SweepSkill`."""

    name = "sweep"
    names = ("start_x", "start_y", "end_x", "end_y")
    motion: SweepSkill

    def __init__(self, world: World, rules: Rules) -> None:
        super().__init__(world, rules)
        self.motion = SweepSkill(world.robot, world.model, SweepConfig(speed=rules.sweep_speed))

    def act(self, action: np.ndarray) -> Generator[Stage, None, Outcome]:
        """See `Control.act`."""
        start, end = to_table(action.reshape(2, 2))
        result = yield from self.motion.sweep(self.world.data, start, end)
        return Outcome(result.peak_force, result.duration, {"blocked": result.blocked})

    def describe(self) -> dict[str, Any]:
        """See `Control.describe`."""
        points = {"points": [[0, 1], [2, 3]], "image_from_action": image_from_action(SWEEP_LOW, SWEEP_HIGH)}
        return super().describe() | points


def to_table(points: np.ndarray, low: np.ndarray = SWEEP_LOW, high: np.ndarray = SWEEP_HIGH) -> np.ndarray:
    """Table coordinates [m] of points (..., 2) in action units, clipped to [-1, 1], over the region from `low` to `high`."""
    return low + (np.clip(points, -1, 1) + 1) / 2 * (high - low)


def to_unit(points: np.ndarray, low: np.ndarray = SWEEP_LOW, high: np.ndarray = SWEEP_HIGH) -> np.ndarray:
    """The inverse of `to_table`, clipped to [-1, 1]."""
    return np.clip((points - low) / (high - low) * 2 - 1, -1, 1)


def image_from_action(low: np.ndarray, high: np.ndarray) -> list[list[float]]:
    """The 2 x 3 affine map from a point in action units to the overhead picture's (right, down), both in [-1, 1]."""
    (scale_x, scale_y), (mid_x, mid_y) = (high - low) / 2, (high + low) / 2
    view = CAMERA_HALF_VIEW
    return [
        [scale_x / view, 0.0, (mid_x - CAMERA_POS[0]) / view],
        [0.0, -scale_y / view, -(mid_y - CAMERA_POS[1]) / view],
    ]
