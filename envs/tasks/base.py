"""What a task is: where things start, what is asked, when it is done, what it is worth. One file a task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, ClassVar

import mujoco
import numpy as np

from envs.skills.pick_place import PickPlaceConfig
from envs.table.objects import TableObject, draw_objects
from envs.table.scene import BIN_DEPTH, BIN_FLOOR_Z, FLOOR_Z, MAX_OBJECTS, TABLE_HALF
from envs.table.world import World
from envs.tasks.asking import Asking

if TYPE_CHECKING:
    from envs.controls.base import Control

BIN_TOP = 0.03
"""An object whose centre is higher leans on the rim, or hangs over the edge, and is not in the bin [m]."""


class Status(IntEnum):
    """Where an object is."""

    ABSENT = 0
    TABLE = 1
    BIN = 2
    FLOOR = 3


_TABLE, _BIN, _FLOOR = Status.TABLE, Status.BIN, Status.FLOOR  # looking one up takes as long as ten comparisons


@dataclass(frozen=True)
class Layout:
    """How an episode begins."""

    objects: list[TableObject]
    """What there is."""
    poses: np.ndarray
    """(n, 4) where it stands: x, y, z [m] and yaw [rad]; or (n, 7) with unit quaternions for what does not stand upright."""
    tool: np.ndarray | None = None
    """(4,) pose of the tool where it matters and the control mode lets it be anywhere."""


@dataclass(frozen=True)
class Verdict:
    """What an action has come to."""

    reward: float
    success: bool
    """The task is done."""
    over: bool
    """Done, or beyond saving: the episode terminates."""


class Task(ABC):
    """The rules of one game on the table. It draws, judges and describes; it never moves anything.

    An instance serves one environment and remembers what its present episode asks for.
    """

    env_id: ClassVar[str]
    """Gymnasium id."""
    budgets: ClassVar[Mapping[str, int]]
    """Control mode -> actions an episode has; the first is the default mode, and others are refused."""
    num_objects: ClassVar[tuple[int, int]]
    """Fewest and most objects, unless the environment is told otherwise."""
    instruction: str
    """What this episode asks for, in words."""
    sweep_speed: float | None = None
    """Mean speed of a sweep of the paddle [m/s]; None for the robot's own."""
    pick_place: PickPlaceConfig = PickPlaceConfig()
    """How things are taken and put down, where a hand does it."""
    asking: Asking | None = None
    """Where its instructions come from, when they can ask for some objects and not for others."""
    state_names: tuple[str, ...] = ()
    """Elements that the task adds to the privileged state, with units in brackets."""

    alter: Callable[[list[TableObject]], list[TableObject]] | None = None
    """Makes the drawn objects what this episode's variations have them be."""
    _told: tuple[bytes, list[TableObject], np.ndarray] | None = None

    @property
    def own_goals(self) -> bool:
        """Whether what is to be done looks different in each episode, so that a picture of another's goal would mislead."""
        return True

    @abstractmethod
    def start(self, num_objects: int, rng: np.random.Generator) -> Layout:
        """Draw an episode: its objects, where they stand, and what is asked of them."""

    @abstractmethod
    def goal(self, num_objects: int, rng: np.random.Generator) -> Layout:
        """The same draw, done: a state that the rules call a success once it has come to rest."""

    @abstractmethod
    def judge(self, world: World, before: np.ndarray) -> Verdict:
        """What the last action came to; `before` (slots,) are the statuses before it."""

    @abstractmethod
    def expert(self, world: World, control: Control, rng: np.random.Generator) -> np.ndarray:
        """The scripted expert's action (A,) in one of the task's control modes, from privileged state."""

    @abstractmethod
    def aimed(self, world: World, control: Control, rng: np.random.Generator) -> np.ndarray:
        """A noisy action (A,) that is likely to move something; any random one when there is nothing to move."""

    def draw_objects(self, num_objects: int, rng: np.random.Generator) -> list[TableObject]:
        """`envs.table.objects.draw_objects`, as this episode varies them."""
        objects = draw_objects(num_objects, rng)
        return objects if self.alter is None else self.alter(objects)

    def add_to(self, spec: mujoco.MjSpec) -> None:  # noqa: B027
        """Add what the task needs to the scene: marks, furniture. Nothing by default."""

    def furnish(self, world: World) -> None:  # noqa: B027
        """Set up what else this episode has, before its objects come to rest. Nothing by default."""

    def begin(self, world: World) -> None:  # noqa: B027
        """Show this episode's marks, after the objects were placed. Nothing by default."""

    def classify(self, position: Sequence[float] | np.ndarray) -> Status:
        """Where an object at rest is, from its centre (x, y, z) [m]."""
        return classify(position)

    def surface(self, xy: np.ndarray) -> float:
        """Height of what an object is put down on at (x, y) [m]: the table, or the level from which it drops into the bin."""
        return 0.0 if xy[1] < TABLE_HALF else 0.06

    def statuses(self, world: World) -> np.ndarray:
        """(slots,) int64 `Status` of each object."""
        asked = world.poses.tobytes(), world.objects
        if self._told is None or asked[0] != self._told[0] or asked[1] is not self._told[1]:  # asked thrice in an action
            result = np.full(MAX_OBJECTS, int(Status.ABSENT), np.int64)
            positions = world.poses[:, :3].tolist()  # plain numbers: a few comparisons of them take less than one of arrays
            for thing in world.objects:
                result[thing.slot] = self.classify(positions[thing.slot])
            self._told = *asked, result
        return self._told[2].copy()

    def on_table(self, world: World, among: np.ndarray | None = None) -> list[tuple[np.ndarray, float]]:
        """(x, y) [m] and footprint radius [m] of the objects on the table; one that has tipped over is given more room.

        `among` (slots,) leaves out those where it is false.
        """
        statuses, poses = self.statuses(world), world.poses
        return [
            (poses[o.slot, :2].copy(), o.radius if world.is_upright(o.slot) else max(o.radius, o.height))
            for o in world.objects
            if statuses[o.slot] == Status.TABLE and (among is None or among[o.slot])
        ]

    def state(self, world: World) -> np.ndarray:
        """Values of `state_names`."""
        return np.zeros(0)

    def info(self, world: World) -> dict[str, Any]:
        """What the task adds to `info`. Nothing by default."""
        return {}


def classify(position: Sequence[float] | np.ndarray) -> Status:
    """Where an object at rest is, from its centre (x, y, z) [m]."""
    x, y, z = position
    if z < (BIN_FLOOR_Z + FLOOR_Z) / 2:
        return _FLOOR
    if abs(x) < TABLE_HALF and TABLE_HALF < y < TABLE_HALF + BIN_DEPTH and z < BIN_TOP:
        return _BIN
    return _TABLE
