"""What a control mode is: names and bounds of an action, and a generator that carries it out tick by tick."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np

from envs.robots.motion import Motion, Stage
from envs.skills.pick_place import PickPlaceConfig
from envs.table.world import World


@dataclass(frozen=True)
class Outcome:
    """What happened during one action."""

    peak_force: float
    """Largest contact force on the tool [N]."""
    duration: float
    """Simulated time [s]."""
    info: dict[str, Any] = field(default_factory=dict)
    """What else `info` should say, the same keys for every action of a mode."""


class Rules(Protocol):
    """What a control mode asks of the task."""

    sweep_speed: float | None
    """Mean speed of a sweep [m/s]; None for the robot's own."""
    pick_place: PickPlaceConfig
    """How things are taken and put down."""

    def surface(self, xy: np.ndarray) -> float:
        """Height of what an object is put down on at (x, y) [m]."""
        ...


class Control(ABC):
    """A control mode of one robot in one world. Every element of an action lies in [-1, 1]."""

    name: ClassVar[str]
    """Such as sweep."""
    names: tuple[str, ...]
    """One name an element of an action, with the unit of its full scale where it has one."""
    is_skill: ClassVar[bool] = True
    """An action is a whole skill that begins and ends at rest: one that comes later is the same."""
    proprio_names: tuple[str, ...] = ()
    """What the mode adds to the sense of its own body, with units in brackets."""
    motion: Motion
    """What moves the joints."""

    def __init__(self, world: World, rules: Rules) -> None:
        self.world, self.rules = world, rules
        self.violations = 0
        """Actions of this episode that asked for more than the workspace, and were carried out up to there."""

    @property
    def start(self) -> np.ndarray:
        """(J,) joint positions in which an episode begins: out of the picture by default."""
        return self.world.robot.home

    def joints_at(self, pose: np.ndarray) -> np.ndarray:
        """(J,) joint positions with the tool at a pose (4,): x, y, z [m] and yaw [rad]; a skill begins where it always does."""
        return self.start

    def begin(self) -> None:
        """Forget the last episode; the world has just been placed."""
        self.violations = 0

    def still(self) -> np.ndarray:
        """The action (A,) that asks for nothing."""
        return np.zeros(len(self.names))

    @abstractmethod
    def act(self, action: np.ndarray) -> Generator[Stage, None, Outcome]:
        """Carry out one action (A,), clipped to its bounds, for whoever steps the physics: see `envs.robots.motion.run`.

        Never raises: what cannot be reached is approached as far as it can be.
        """

    def proprio(self) -> Sequence[float]:
        """Values of `proprio_names`."""
        return ()

    def describe(self) -> dict[str, Any]:
        """Names, bounds and calibration of an action as plain JSON values: the "action" of a manifest."""
        return {"names": list(self.names), "low": [-1.0] * len(self.names), "high": [1.0] * len(self.names)}
