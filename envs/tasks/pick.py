"""TablePick: one of several objects is to be picked up and put down on a mark on the table."""

from __future__ import annotations

from typing import ClassVar, cast

import numpy as np

from envs.controls.base import Control
from envs.controls.low_level import LowLevelControl
from envs.controls.pick_place import PickPlaceControl
from envs.experts.fetching import fetch, retreat
from envs.experts.grasping import find_grasp
from envs.experts.picking import aimed_pick
from envs.table.objects import TableObject
from envs.table.world import World
from envs.tasks.marked import MarkedTask


class TablePick(MarkedTask):
    """See `MarkedTask` for reward and end. The object may be turned any way, also on its side, as long as it rests."""

    env_id = "worldmodel/TablePick-v0"
    budgets: ClassVar[dict[str, int]] = {"pick_place": 6, "ee_delta": 200, "joint": 200}
    num_objects = (1, 3)
    tolerance, min_way, mark_gap = 0.025, 0.12, 0.04
    mark_low, mark_high = np.array([-0.18, -0.20]), np.array([0.18, 0.20])

    def wording(self, thing: TableObject) -> str:
        """See `MarkedTask.wording`."""
        return f"put the {thing.name} onto the mark"

    def expert(self, world: World, control: Control, rng: np.random.Generator) -> np.ndarray:
        """See `Task.expert`."""
        if isinstance(control, LowLevelControl):
            done = self.distance(world) < 0.6 * self.tolerance and not world.held()[self.target]
            way = retreat(world) if done else fetch(world, control, self.target, self.mark, 0.0)
            return control.toward(*way)
        control = cast(PickPlaceControl, control)
        grasp = find_grasp(world, self.target, opening=world.robot.tool.max_opening)
        return control.action(grasp.pose, np.append(self.mark, grasp.pose[2]))

    def aimed(self, world: World, control: Control, rng: np.random.Generator) -> np.ndarray:
        """See `Task.aimed`."""
        if isinstance(control, LowLevelControl):
            return np.clip(self.expert(world, control, rng) + rng.normal(0, 0.4, len(control.names)), -1, 1)
        slots = [thing.slot for thing in world.objects]
        return aimed_pick(world, cast(PickPlaceControl, control), slots, rng)
