"""TableReach: the tip of the gripper goes to a ball in the air."""

from __future__ import annotations

from typing import ClassVar, cast

import mujoco
import numpy as np

from envs.controls.base import Control
from envs.controls.low_level import START, LowLevelControl
from envs.table.marks import MARK_NAMES, add_ball, move_mark
from envs.table.world import World
from envs.tasks.base import Layout, Task, Verdict
from envs.tasks.clear import start_layout

REACH_LOW, REACH_HIGH = np.array([-0.22, -0.24, 0.03]), np.array([0.20, 0.24, 0.30])
"""Corners of the box in which the ball is, (x, y, z) [m]."""
ABOVE = 0.14
"""Least height of the ball where there are objects [m]."""
TOLERANCE = 0.02
"""Furthest from the ball's centre that counts as there [m]."""
MIN_WAY = 0.10
"""Least distance of the ball from where the gripper starts [m]."""


class TableReach(Task):
    """Reward: by how much an action brought the tip nearer to the ball, as a share of the distance at the start.

    Over, and a success, within 2 cm of the ball. Objects stand about when `num_objects` asks for some; they do not matter.
    """

    env_id = "worldmodel/TableReach-v0"
    budgets: ClassVar[dict[str, int]] = {"ee_delta": 40, "joint": 40}
    num_objects = (0, 0)
    instruction = "move the gripper to the ball"
    state_names = MARK_NAMES

    def __init__(self) -> None:
        self.mark = np.zeros(3)
        self._first = self._last = 1.0
        """Distance of the tip from the ball, at the start and after the last action [m]."""

    def add_to(self, spec: mujoco.MjSpec) -> None:
        """See `Task.add_to`."""
        add_ball(spec)

    def start(self, num_objects: int, rng: np.random.Generator) -> Layout:
        """See `Task.start`."""
        objects = self.draw_objects(num_objects, rng)
        poses = start_layout(objects, rng)
        while True:
            self.mark = rng.uniform(REACH_LOW, REACH_HIGH)
            if np.linalg.norm(self.mark - START[:3]) > MIN_WAY and (not objects or self.mark[2] > ABOVE):
                return Layout(objects, poses)

    def goal(self, num_objects: int, rng: np.random.Generator) -> Layout:
        """See `Task.goal`."""
        layout = self.start(num_objects, rng)
        return Layout(layout.objects, layout.poses, np.append(self.mark, 0.0))

    def begin(self, world: World) -> None:
        """See `Task.begin`."""
        move_mark(world.model, world.data, self.mark)
        self._first = self._last = self._distance(world)

    def judge(self, world: World, before: np.ndarray) -> Verdict:
        """See `Task.judge`."""
        distance = self._distance(world)
        nearer, self._last = self._last - distance, distance
        there = distance < TOLERANCE
        return Verdict(nearer / max(self._first, TOLERANCE), there, there)

    def expert(self, world: World, control: Control, rng: np.random.Generator) -> np.ndarray:
        """See `Task.expert`: straight there."""
        control = cast(LowLevelControl, control)
        return control.toward(np.append(self.mark, world.tool_yaw), world.robot.tool.max_opening)

    def aimed(self, world: World, control: Control, rng: np.random.Generator) -> np.ndarray:
        """See `Task.aimed`: the expert's, with noise."""
        return np.clip(self.expert(world, control, rng) + rng.normal(0, 0.4, len(control.names)), -1, 1)

    def state(self, world: World) -> np.ndarray:
        """See `Task.state`."""
        return self.mark

    def _distance(self, world: World) -> float:
        return float(np.linalg.norm(world.tool_position - self.mark))
