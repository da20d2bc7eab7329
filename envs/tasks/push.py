"""TablePush: one object is to be pushed onto a mark on the table, turned as the mark is."""

from __future__ import annotations

from typing import Any, ClassVar

import mujoco
import numpy as np

from envs.controls.base import Control
from envs.controls.low_level import LowLevelControl
from envs.controls.sweep import to_unit
from envs.experts.pushing import push_by_hand, push_by_sweep
from envs.experts.sweeping import aimed_sweep
from envs.experts.turning import turn_by_hand, turn_by_sweep
from envs.table.footprints import fold_of, sides_of, turn_left, yaw_of
from envs.table.marks import add_footprint, show_footprint
from envs.table.objects import TableObject
from envs.table.world import World
from envs.tasks.base import Layout
from envs.tasks.marked import MarkedTask

AREA = np.array([0.13, 0.13])
"""Half of the part of the table in which the object starts and the mark is, (x, y) [m]: all sides are within reach."""


class TablePush(MarkedTask):
    """See `MarkedTask` for reward and end. The mark is a pose: a box stands upright on it, and within 10 degrees of its yaw.

    The mark is the object's footprint. That of a box has a direction, which half a turn brings back, or a quarter of one when
    no side is 1.2 times the other (`envs.table.footprints`); a bar along the longer axis, or along both, shows it. What is
    round, and the held-out pebble, has none: its mark is a disc, and only the place counts. The way to go, which the reward
    counts, is that of the centre and, along an arc, that of the corners.

    Other objects stand in the way when `num_objects` asks for more than one; the expert is made for one.
    """

    env_id = "worldmodel/TablePush-v0"
    budgets: ClassVar[dict[str, int]] = {"sweep": 8, "ee_delta": 200, "joint": 200}
    num_objects = (1, 1)
    sweep_speed = 0.2
    """Slow enough that what is pushed stops where the paddle stops."""
    tolerance, min_way, mark_gap = 0.03, 0.10, 0.02
    turn_tolerance = float(np.deg2rad(10))
    """[rad]"""
    mark_low, mark_high = -AREA, AREA
    state_names = (*MarkedTask.state_names, "mark_fold", "mark_cos", "mark_sin")

    def __init__(self) -> None:
        super().__init__()
        self.yaw = 0.0
        """Of the mark [rad]."""
        self.fold = 0
        """How many times in a full turn the mark looks the same; 0 for a disc."""

    def wording(self, thing: TableObject) -> str:
        """See `MarkedTask.wording`."""
        return f"push the {thing.name} onto the mark"

    def layout(self, objects: list[TableObject], rng: np.random.Generator) -> np.ndarray:
        """See `MarkedTask.layout`."""
        poses = super().layout(objects, rng)
        if len(objects) == 1:
            poses[0, :2] = rng.uniform(-AREA, AREA)
        return poses

    def add_to(self, spec: mujoco.MjSpec) -> None:
        """See `Task.add_to`."""
        add_footprint(spec)

    def start(self, num_objects: int, rng: np.random.Generator) -> Layout:
        """See `Task.start`."""
        layout = super().start(num_objects, rng)
        self.fold = fold_of(next(thing for thing in layout.objects if thing.slot == self.target))
        self.yaw = float(rng.uniform(-np.pi, np.pi)) if self.fold else 0.0
        return layout

    def goal(self, num_objects: int, rng: np.random.Generator) -> Layout:
        """See `Task.goal`."""
        layout = super().goal(num_objects, rng)
        if self.fold:
            layout.poses[[thing.slot for thing in layout.objects].index(self.target), 3] = self.yaw
        return layout

    def furnish(self, world: World) -> None:
        """See `Task.furnish`: the mark's shape."""
        show_footprint(world.model, world.data, np.append(self.mark, self.yaw), sides_of(self.thing(world)), self.fold)

    def turn(self, world: World) -> float:
        """By how much the object is to be turned still [rad]; 0 for what is round."""
        return turn_left(yaw_of(world.poses[self.target, 3:]), self.yaw, self.fold)

    def way(self, world: World) -> float:
        """See `MarkedTask.way`."""
        return self.distance(world) + self.thing(world).radius * abs(self.turn(world))

    def is_there(self, world: World) -> bool:
        """See `MarkedTask.is_there`."""
        turned = self.fold == 0 or (abs(self.turn(world)) < self.turn_tolerance and world.is_upright(self.target))
        return super().is_there(world) and turned

    def state(self, world: World) -> np.ndarray:
        """See `Task.state`: the mark's direction is the cosine and sine of fold times yaw, alike where the mark looks alike."""
        angle = self.fold * self.yaw
        return np.append(super().state(world), [self.fold, np.cos(angle), np.sin(angle)])

    def info(self, world: World) -> dict[str, Any]:
        """See `Task.info`: by how much the object is to be turned still too [rad]."""
        return {**super().info(world), "turn": self.turn(world)}

    def expert(self, world: World, control: Control, rng: np.random.Generator) -> np.ndarray:
        """See `Task.expert`."""
        thing, pose = self.thing(world), np.append(self.mark, self.yaw)
        if isinstance(control, LowLevelControl):
            if self.fold:
                return control.toward(*turn_by_hand(world, control, thing, pose, self.fold, 0.8 * self.tolerance))
            return control.toward(*push_by_hand(world, thing, self.mark))
        if self.fold and world.is_upright(self.target):
            return to_unit(turn_by_sweep(world, thing, pose, self.fold)).ravel()
        return to_unit(push_by_sweep(world, thing, self.mark)).ravel()

    def aimed(self, world: World, control: Control, rng: np.random.Generator) -> np.ndarray:
        """See `Task.aimed`."""
        if isinstance(control, LowLevelControl):
            return np.clip(self.expert(world, control, rng) + rng.normal(0, 0.4, len(control.names)), -1, 1)
        return to_unit(aimed_sweep(self.on_table(world), rng)).ravel()
