"""What TablePush and TablePick share: one object, named in the instruction, belongs onto a mark on the table."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import mujoco
import numpy as np

from envs.table.marks import MARK_NAMES, add_disc, move_mark
from envs.table.objects import TableObject
from envs.table.scene import MAX_OBJECTS
from envs.table.world import World
from envs.tasks.base import Layout, Status, Task, Verdict
from envs.tasks.clear import start_layout

REST_SPEED = 0.05
"""An object faster than this has not arrived [m/s]."""


class MarkedTask(Task):
    """Reward: by how much an action brought the object nearer to the mark, as a share of the distance at the start.

    A success when its centre is within `tolerance` of the mark and it rests on the table, let go. Over then, or when it has
    left the table.
    """

    tolerance: float
    """[m]"""
    min_way: float
    """Least distance of the mark from where the object starts [m]."""
    mark_low: np.ndarray
    mark_high: np.ndarray
    """Corners of the part of the table on which the mark is, (x, y) [m]."""
    mark_gap: float
    """Least distance of the mark from the other objects' footprints, beyond the object's own radius [m]."""
    state_names = (*MARK_NAMES, *(f"object{slot}/target" for slot in range(MAX_OBJECTS)))

    def __init__(self) -> None:
        self.mark = np.zeros(2)
        self.target = 0
        """Slot of the object."""
        self._first = self._last = 1.0
        """How far the object is from where it belongs, at the start and after the last action [m]."""

    @abstractmethod
    def wording(self, thing: TableObject) -> str:
        """The instruction for an object."""

    def layout(self, objects: list[TableObject], rng: np.random.Generator) -> np.ndarray:
        """Poses (n, 4) in which the objects start."""
        return start_layout(objects, rng)

    def add_to(self, spec: mujoco.MjSpec) -> None:
        """See `Task.add_to`."""
        add_disc(spec)

    def start(self, num_objects: int, rng: np.random.Generator) -> Layout:
        """See `Task.start`."""
        objects = self.draw_objects(num_objects, rng)
        which = int(rng.integers(num_objects))
        self.target, self.instruction = objects[which].slot, self.wording(objects[which])
        while True:
            poses = self.layout(objects, rng)
            for _ in range(100):
                self.mark = rng.uniform(self.mark_low, self.mark_high)
                if self._is_fair(objects, poses, which):
                    return Layout(objects, poses)

    def goal(self, num_objects: int, rng: np.random.Generator) -> Layout:
        """See `Task.goal`."""
        layout = self.start(num_objects, rng)
        poses = layout.poses.copy()
        poses[[thing.slot for thing in layout.objects].index(self.target), :2] = self.mark
        return Layout(layout.objects, poses)

    def begin(self, world: World) -> None:
        """See `Task.begin`."""
        move_mark(world.model, world.data, np.append(self.mark, 0.0))
        self._first = self._last = self.way(world)

    def judge(self, world: World, before: np.ndarray) -> Verdict:
        """See `Task.judge`."""
        way = self.way(world)
        nearer, self._last = self._last - way, way
        on_table = self.statuses(world)[self.target] == Status.TABLE
        resting = world.speed(self.target) < REST_SPEED and not world.held()[self.target] and self._stands(world)
        success = bool(on_table and self.is_there(world) and resting)
        return Verdict(nearer / max(self._first, self.tolerance), success, success or not on_table)

    def state(self, world: World) -> np.ndarray:
        """See `Task.state`."""
        return np.array([*self.mark, 0.0, *(np.arange(MAX_OBJECTS) == self.target)])

    def info(self, world: World) -> dict[str, Any]:
        """See `Task.info`: which object is meant, (slots,), and how far it is from the mark [m]."""
        return {"target": np.arange(MAX_OBJECTS) == self.target, "distance": self.distance(world)}

    def distance(self, world: World) -> float:
        """Of the object's centre from the mark, along the table [m]."""
        return float(np.hypot(*(world.poses[self.target, :2] - self.mark)))

    def way(self, world: World) -> float:
        """How far the object is from where it belongs [m]: what the reward counts."""
        return self.distance(world)

    def is_there(self, world: World) -> bool:
        """Whether the object is where it belongs."""
        return self.distance(world) < self.tolerance

    def thing(self, world: World) -> TableObject:
        """The object that is meant."""
        return next(thing for thing in world.objects if thing.slot == self.target)

    def _stands(self, world: World) -> bool:
        """Whether the object rests on the table and not on something else: its centre is no higher than its size allows."""
        thing = self.thing(world)
        return bool(world.poses[self.target, 2] < max(thing.height, thing.radius) + 0.012)

    def _is_fair(self, objects: list[TableObject], poses: np.ndarray, which: int) -> bool:
        gaps = np.hypot(*(poses[:, :2] - self.mark).T) - [thing.radius for thing in objects] - objects[which].radius
        way = np.hypot(*(poses[which, :2] - self.mark))
        return bool(way > self.min_way and np.all(np.delete(gaps, which) > self.mark_gap))
