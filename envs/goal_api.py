"""The goal API by duck type: observation, achieved_goal, desired_goal, and rewards that can be computed afterwards.

    env = GoalAPI(gymnasium.make("worldmodel/PushT-v0"))
    observation, info = env.reset(seed=0)
    rewards = env.compute_reward(achieved, desired, infos)  # (..., G), (..., G) -> (...): for hindsight, a batch at once

The method names and the sparse reward of -1 until success are those of the multi-goal robotics environments (Plappert et al.
2018, arXiv:1802.09464), which hindsight replay expects; nothing is imported from there.
"""

from __future__ import annotations

from typing import Any, Protocol

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Dict

from envs.tasks.base import Status

REWARDS = ("sparse", "dense")
Observation = dict[str, np.ndarray]


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
    """A goal is where each object is, as `Status`: for environments that report info["status"], such as TableClear."""

    def __init__(self, num_slots: int) -> None:
        self.space = Box(0, max(Status), (num_slots,), np.float32)

    def achieved(self, observation: Observation, info: dict[str, Any]) -> np.ndarray:
        """See `Goals`."""
        del observation
        return info["status"].astype(np.float32)

    def desired(self, info: dict[str, Any]) -> np.ndarray:
        """Every object that there is in the bin."""
        return np.where(info["status"] == Status.ABSENT, Status.ABSENT, Status.BIN).astype(np.float32)

    def distance(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        """Number of objects that are not where they should be."""
        return (np.asarray(achieved) != np.asarray(desired)).sum(-1).astype(np.float64)


class GoalAPI(gym.Wrapper):
    """An environment whose observation is a dict of `observation`, `achieved_goal` and `desired_goal`.

    `observe` names the entry of the world's observation that is kept, `state` (privileged) unless told. The reward of a step is
    `compute_reward` of its goals: -1 until success and 0 then, or minus the distance when `reward` is dense; the world decides
    alone when an episode ends. ValueError for a world without goals.
    """

    def __init__(self, env: gym.Env, *, observe: str = "state", reward: str = "sparse") -> None:
        super().__init__(env)
        spaces = env.observation_space
        if not isinstance(spaces, Dict) or observe not in spaces.spaces:
            raise ValueError(f"no entry {observe!r} in the observation {spaces}")
        if reward not in REWARDS:
            raise ValueError(f"unknown reward {reward!r}; available: {', '.join(REWARDS)}")
        self.observe, self.dense = observe, reward == "dense"
        self.goals = goals_of(env)
        self.observation_space = Dict(
            {"observation": spaces[observe], "achieved_goal": self.goals.space, "desired_goal": self.goals.space}
        )

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observation, dict[str, Any]]:
        """As the world's, seen through goals."""
        observation, info = self.env.reset(seed=seed, options=options)
        return self._seen(observation, info), info

    def step(self, action: np.ndarray) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """As the world's, seen through goals and paid by them."""
        observation, _, terminated, truncated, info = self.env.step(action)
        seen = self._seen(observation, info)
        return seen, float(self.compute_reward(seen["achieved_goal"], seen["desired_goal"], info)), terminated, truncated, info

    def compute_reward(self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: Any) -> np.ndarray:
        """Rewards (...) of achieved goals (..., G) when these desired ones (..., G) are asked for; `info` is not looked at."""
        del info
        distance = np.asarray(self.goals.distance(achieved_goal, desired_goal))
        return -distance if self.dense else -(distance >= 1).astype(np.float64)

    def compute_terminated(self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: Any) -> np.ndarray:
        """Whether the goals are reached (...)."""
        del info
        return np.asarray(self.goals.distance(achieved_goal, desired_goal)) < 1

    def compute_truncated(self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: Any) -> np.ndarray:
        """False (...): goals never run out."""
        del info
        return np.zeros(np.broadcast_shapes(np.shape(achieved_goal), np.shape(desired_goal))[:-1], bool)

    def _seen(self, observation: Observation, info: dict[str, Any]) -> Observation:
        return {
            "observation": observation[self.observe],
            "achieved_goal": self.goals.achieved(observation, info),
            "desired_goal": self.goals.desired(info),
        }


def goals_of(env: gym.Env) -> Goals:
    """What the goals of an environment are. ValueError when it shows none."""
    if hasattr(env.unwrapped, "goal_distance"):
        return StateGoals(env)
    statuses = getattr(env.unwrapped, "statuses", None)
    if statuses is not None:
        return StatusGoals(len(statuses()))
    raise ValueError(f"{type(env.unwrapped).__name__} has neither goal_distance nor statuses: it shows no goals")
