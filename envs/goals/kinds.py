"""What the goals of a world are, as numbers: a whole state, where each object is, or a place or pose that is marked.

G numbers of a goal
"""

from __future__ import annotations

from typing import Any, Protocol

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box

from envs.table.footprints import yaw_of
from envs.tasks.base import Status
from envs.tasks.reach import TOLERANCE

Observation = dict[str, np.ndarray]
REACH = 1.0
"""No mark is further from the middle of the table [m]."""


class Goals(Protocol):
    """What a world's goals are."""

    @property
    def space(self) -> Box:
        """Of achieved and desired goals, (G,)."""
        ...

    def achieved(self, observation: Observation, info: dict[str, Any]) -> np.ndarray:
        """The goal (G,) that this is."""
        ...

    def desired(self, info: dict[str, Any]) -> np.ndarray:
        """The goal (G,) that is asked for."""
        ...

    def distance(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        """Below 1 where (..., G) is good enough for (..., G): (...)."""
        ...


class StateGoals:
    """A goal is a state of the world: for environments with `goal_distance` and info["goal_state"]."""

    def __init__(self, env: gym.Env) -> None:
        space = env.observation_space["state"]  # pyright: ignore[reportIndexIssue]
        assert isinstance(space, Box)
        self.space, self.env = space, env.unwrapped

    def achieved(self, observation: Observation, info: dict[str, Any]) -> np.ndarray:
        """See `Goals`."""
        del info
        return observation["state"].copy()

    def desired(self, info: dict[str, Any]) -> np.ndarray:
        """See `Goals`."""
        return np.clip(info["goal_state"].astype(np.float32), self.space.low, self.space.high)

    def distance(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        """See `Goals`."""
        return self.env.goal_distance(achieved, desired)  # pyright: ignore[reportAttributeAccessIssue]


class StatusGoals:
    """A goal is where each object is, as `Status`: for worlds that report info["status"], such as TableClear and LoadRack."""

    def __init__(self, num_slots: int) -> None:
        self.space = Box(0, max(Status), (num_slots,), np.float32)

    def achieved(self, observation: Observation, info: dict[str, Any]) -> np.ndarray:
        """See `Goals`."""
        del observation
        return info["status"].astype(np.float32)

    def desired(self, info: dict[str, Any]) -> np.ndarray:
        """The objects that are asked for, info["target"], in the bin or the rack, and any others on the table."""
        asked = info.get("target", np.ones(len(info["status"]), np.bool_))
        there = np.where(asked, Status.BIN, Status.TABLE)
        return np.where(info["status"] == Status.ABSENT, Status.ABSENT, there).astype(np.float32)

    def distance(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        """Number of objects that are not where they should be."""
        return (np.asarray(achieved) != np.asarray(desired)).sum(-1).astype(np.float64)


class MarkGoals:
    """A goal is a place [m]: the ball (x, y, z) for the tip of the gripper, or the mark (x, y) for an object's centre.

    For the tabletop's tasks with a `mark`. TablePush and TablePick ask for more than that before they call it a success: that
    the object rests there, let go.
    """

    def __init__(self, env: gym.Env) -> None:
        self.env: Any = env.unwrapped
        self.size = len(self.env.task.mark)
        self.tolerance = float(getattr(self.env.task, "tolerance", TOLERANCE))
        self.space = Box(-REACH, REACH, (self.size,), np.float32)

    def achieved(self, observation: Observation, info: dict[str, Any]) -> np.ndarray:
        """See `Goals`."""
        del observation, info
        world = self.env.world
        place = world.tool_position if self.size == 3 else world.poses[self.env.task.target, : self.size]
        return np.clip(place, -REACH, REACH).astype(np.float32)

    def desired(self, info: dict[str, Any]) -> np.ndarray:
        """See `Goals`."""
        del info
        return self.env.task.mark.astype(np.float32)

    def distance(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        """In units of what is near enough."""
        return np.linalg.norm(np.asarray(achieved, np.float64) - np.asarray(desired, np.float64), axis=-1) / self.tolerance


class PoseGoals(MarkGoals):
    """A goal is a pose on the table: x, y [m], fold, cosine and sine of fold times yaw. For tasks whose `mark` has a direction.

    `fold` is how many times in a full turn the object looks the same: 0 where only the place counts.
    See `envs.table.footprints`.
    """

    def __init__(self, env: gym.Env) -> None:
        super().__init__(env)
        high = np.array([REACH, REACH, 4, 1, 1], np.float32)
        self.space = Box(-high, high, dtype=np.float32)

    def achieved(self, observation: Observation, info: dict[str, Any]) -> np.ndarray:
        """See `Goals`."""
        task, world = self.env.task, self.env.world
        return self._pose(super().achieved(observation, info), task.fold, yaw_of(world.poses[task.target, 3:]))

    def desired(self, info: dict[str, Any]) -> np.ndarray:
        """See `Goals`."""
        return self._pose(super().desired(info), self.env.task.fold, self.env.task.yaw)

    def distance(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        """In units of what is near enough: of the place or of the turn, whichever is further off."""
        achieved, desired = np.asarray(achieved, np.float64), np.asarray(desired, np.float64)
        fold = desired[..., 2]
        off = np.arctan2(achieved[..., 4], achieved[..., 3]) - np.arctan2(desired[..., 4], desired[..., 3])
        turn = np.abs((off + np.pi) % (2 * np.pi) - np.pi) / np.maximum(fold, 1) * (fold > 0)
        return np.maximum(super().distance(achieved[..., :2], desired[..., :2]), turn / self.env.task.turn_tolerance)

    def _pose(self, place: np.ndarray, fold: int, yaw: float) -> np.ndarray:
        return np.array([*place, fold, np.cos(fold * yaw), np.sin(fold * yaw)], np.float32)


def goals_of(env: gym.Env) -> Goals:
    """What the goals of an environment are. ValueError when it shows none."""
    world: Any = env.unwrapped
    if hasattr(world, "goal_distance"):
        return StateGoals(env)
    if hasattr(getattr(world, "task", None), "mark"):
        return PoseGoals(env) if hasattr(world.task, "fold") else MarkGoals(env)
    if hasattr(world, "statuses"):
        return StatusGoals(len(world.statuses()))
    raise ValueError(f"{type(world).__name__} has none of goal_distance, task.mark and statuses: it shows no goals")
