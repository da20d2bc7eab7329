"""TableClear: the objects on the table that the instruction denotes, by default all, must come to rest in the bin."""

from __future__ import annotations

import copy
from typing import Any, ClassVar, cast

import numpy as np

from envs.controls.base import Control
from envs.controls.low_level import LowLevelControl
from envs.controls.pick_place import PickPlaceControl
from envs.controls.sweep import SweepControl, to_unit
from envs.experts.fetching import clear_by_hand
from envs.experts.obstacles import obstacles
from envs.experts.picking import aimed_pick, pick_into_bin
from envs.experts.sweep_some import sweep_some
from envs.experts.sweeping import aimed_sweep
from envs.instructions.grammar import own_stream
from envs.table.objects import TableObject
from envs.table.scene import BIN_DEPTH, BIN_FLOOR_Z, TABLE_HALF
from envs.table.world import World
from envs.tasks.asking import Asking
from envs.tasks.base import Layout, Status, Task, Verdict

SPAWN_LOW, SPAWN_HIGH = np.array([-0.19, -0.20]), np.array([0.19, 0.20])
"""Corners of the part of the table on which objects start, (x, y) [m]."""
MIN_GAP = 0.015
"""Least distance between the footprints of two objects at the start [m]."""
GOAL_DROP = 0.10
"""Height above the bin's floor from which the objects of a goal state fall [m]."""


class TableClear(Task):
    """Reward: share of the denoted objects that an action brought into the bin, less the share that it dropped on the floor.

    An object that shall stay costs as much when it leaves the table. Over when no denoted object is on the table any more;
    a success when all of them are in the bin and the others on the table.
    """

    env_id = "worldmodel/TableClear-v0"
    budgets: ClassVar[dict[str, int]] = {"sweep": 8, "pick_place": 8, "ee_delta": 400, "joint": 400}
    num_objects = (3, 3)
    instruction = "clear the table"
    asking: Asking

    def __init__(self) -> None:
        self.asking = Asking("bin", self.instruction)

    @property
    def own_goals(self) -> bool:
        """See `Task.own_goals`: an empty table is one, whatever stood there, unless something is to stay."""
        return self.asking.instructions != "all"

    def start(self, num_objects: int, rng: np.random.Generator) -> Layout:
        """See `Task.start`."""
        objects = self._draw(num_objects, rng)
        return Layout(objects, start_layout(objects, rng))

    def goal(self, num_objects: int, rng: np.random.Generator) -> Layout:
        """See `Task.goal`; what shall stay is where it starts with the same seed."""
        objects = self._draw(num_objects, rng)
        asked = np.array([self.asking.target[thing.slot] for thing in objects])
        if asked.all():
            return Layout(objects, goal_layout(objects, rng))
        poses = start_layout(objects, copy.deepcopy(rng))
        poses[asked] = goal_layout([thing for thing, yes in zip(objects, asked, strict=True) if yes], rng)
        return Layout(objects, poses)

    def judge(self, world: World, before: np.ndarray) -> Verdict:
        """See `Task.judge`."""
        return Verdict(*self.asking.judge(before, self.statuses(world), Status.TABLE, Status.BIN, Status.FLOOR))

    def expert(self, world: World, control: Control, rng: np.random.Generator) -> np.ndarray:
        """See `Task.expert`."""
        if isinstance(control, SweepControl):
            targets, others = self.on_table(world, self.asking.target), self.on_table(world, self.asking.other)
            return to_unit(sweep_some(targets, others, rng, obstacles(world))).ravel()
        slots = np.flatnonzero((self.statuses(world) == Status.TABLE) & self.asking.target).tolist()
        if isinstance(control, LowLevelControl):
            return control.toward(*clear_by_hand(world, control, slots))
        return pick_into_bin(world, cast(PickPlaceControl, control), slots)

    def aimed(self, world: World, control: Control, rng: np.random.Generator) -> np.ndarray:
        """See `Task.aimed`."""
        if isinstance(control, SweepControl):
            return to_unit(aimed_sweep(self.on_table(world), rng)).ravel()
        if isinstance(control, LowLevelControl):
            return np.clip(self.expert(world, control, rng) + rng.normal(0, 0.4, len(control.names)), -1, 1)
        slots = np.flatnonzero(self.statuses(world) == Status.TABLE).tolist()
        return aimed_pick(world, cast(PickPlaceControl, control), slots, rng)

    def info(self, world: World) -> dict[str, Any]:
        """See `Task.info`: which objects are denoted, (slots,)."""
        return self.asking.info()

    def _draw(self, num_objects: int, rng: np.random.Generator) -> list[TableObject]:
        stream = own_stream(rng)  # before the objects are drawn, and without a draw of its own
        objects = self.draw_objects(num_objects, rng)
        self.instruction = self.asking.ask(objects, stream).text
        return objects


def start_layout(objects: list[TableObject], rng: np.random.Generator) -> np.ndarray:
    """Poses (n, 4) of upright objects on the table that do not touch: x, y, z [m] and yaw [rad]."""
    while True:
        poses = np.empty((0, 4))
        for thing in objects:
            for _ in range(100):
                xy = rng.uniform(SPAWN_LOW, SPAWN_HIGH)
                gaps = [np.hypot(*(xy - p[:2])) - thing.radius - o.radius for p, o in zip(poses, objects, strict=False)]
                if all(gap > MIN_GAP for gap in gaps):
                    poses = np.vstack([poses, [*xy, thing.height + 1e-4, rng.uniform(-np.pi, np.pi)]])
                    break
        if len(poses) == len(objects):
            return poses


def goal_layout(objects: list[TableObject], rng: np.random.Generator) -> np.ndarray:
    """Poses (n, 4) from which every object falls into the bin: side by side along it, in a random order."""
    order = rng.permutation(len(objects))
    x = (order + 0.5) / len(objects) * 2 * (TABLE_HALF - 0.05) - (TABLE_HALF - 0.05)
    y = TABLE_HALF + BIN_DEPTH / 2 + rng.uniform(-0.01, 0.01, len(objects))
    z = np.full(len(objects), BIN_FLOOR_Z + GOAL_DROP)
    return np.column_stack([x, y, z, rng.uniform(-np.pi, np.pi, len(objects))])
