"""TablePush: one object is to be pushed onto a mark on the table."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from envs.controls.base import Control
from envs.controls.low_level import LowLevelControl
from envs.controls.sweep import to_unit
from envs.experts.pushing import push_by_hand, push_by_sweep
from envs.experts.sweeping import aimed_sweep
from envs.objects import TableObject
from envs.tasks.marked import MarkedTask
from envs.world import World

AREA = np.array([0.13, 0.13])
"""Half of the part of the table in which the object starts and the mark is, (x, y) [m]: all sides are within reach."""


class TablePush(MarkedTask):
    """See `MarkedTask` for reward and end. The mark is a place: how the object is turned on it does not matter.

    Other objects stand in the way when `num_objects` asks for more than one; the expert is made for one.
    """

    env_id = "worldmodel/TablePush-v0"
    budgets: ClassVar[dict[str, int]] = {"sweep": 8, "ee_delta": 200, "joint": 200}
    num_objects = (1, 1)
    sweep_speed = 0.2
    """Slow enough that what is pushed stops where the paddle stops."""
    tolerance, min_way, mark_gap = 0.03, 0.10, 0.02
    mark_low, mark_high = -AREA, AREA

    def wording(self, thing: TableObject) -> str:
        """See `MarkedTask.wording`."""
        return f"push the {thing.name} onto the mark"

    def layout(self, objects: list[TableObject], rng: np.random.Generator) -> np.ndarray:
        """See `MarkedTask.layout`."""
        poses = super().layout(objects, rng)
        if len(objects) == 1:
            poses[0, :2] = rng.uniform(-AREA, AREA)
        return poses

    def expert(self, world: World, control: Control, rng: np.random.Generator) -> np.ndarray:
        """See `Task.expert`."""
        thing = self.thing(world)
        if isinstance(control, LowLevelControl):
            return control.toward(*push_by_hand(world, thing, self.mark))
        return to_unit(push_by_sweep(world, thing, self.mark)).ravel()

    def aimed(self, world: World, control: Control, rng: np.random.Generator) -> np.ndarray:
        """See `Task.aimed`."""
        if isinstance(control, LowLevelControl):
            return np.clip(self.expert(world, control, rng) + rng.normal(0, 0.4, len(control.names)), -1, 1)
        return to_unit(aimed_sweep(self.on_table(world), rng)).ravel()
