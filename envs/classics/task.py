"""What each small world says of itself; everything else is common to them, in base.py. S numbers a state, A an action."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import mujoco
import numpy as np


class Task(ABC):
    """Names, bounds, draws, physics and experts of one small world."""

    env_id: ClassVar[str]
    robot: ClassVar[str]
    instruction: ClassVar[str]
    action_names: tuple[str, ...]
    proprio_names: ClassVar[tuple[str, ...]]
    proprio_bound: ClassVar[tuple[float, ...]]
    state_names: ClassVar[tuple[str, ...]]
    state_bound: ClassVar[tuple[float, ...]]
    control_mode: str

    @abstractmethod
    def draw_start(self, rng: np.random.Generator) -> np.ndarray:
        """A state (S,) to begin in."""

    @abstractmethod
    def draw_goal(self, start: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A state (S,) to reach from `start` (S,)."""

    @abstractmethod
    def place(self, data: mujoco.MjData, state: np.ndarray) -> None:
        """Put a state (S,) into freshly reset `data`; the visible mark of the goal, where there is one, too."""

    @abstractmethod
    def state(self) -> np.ndarray:
        """The state (S,) as it is."""

    @abstractmethod
    def proprio(self) -> np.ndarray:
        """What the robot feels of itself, (P,)."""

    @abstractmethod
    def act(self, action: np.ndarray) -> None:
        """Simulate one step of a valid action (A,)."""

    @abstractmethod
    def goal_distance(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        """How far states (..., S) are from goal states (..., S): below 1 is success, (...)."""

    @abstractmethod
    def positions(self) -> np.ndarray:
        """(slots, 2) [m] of the things that matter."""

    @abstractmethod
    def expert_action(self, rng: np.random.Generator) -> np.ndarray:
        """The scripted expert's action (A,), from privileged state."""

    @abstractmethod
    def aimed_action(self, rng: np.random.Generator) -> np.ndarray:
        """A noisy action (A,) that gets around where it matters: for recording."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What is observed and done, as plain JSON values: see `ClassicEnv.description`."""
