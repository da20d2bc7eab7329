"""The goal API by duck type: observation, achieved_goal, desired_goal, and rewards that can be computed afterwards.

    env = GoalAPI(gymnasium.make("worldmodel/PushT-v0"))
    observation, info = env.reset(seed=0)
    rewards = env.compute_reward(achieved, desired, infos)  # (..., G), (..., G) -> (...): for hindsight, a batch at once

The method names and the sparse reward of -1 until success are those of the multi-goal robotics environments (Plappert et al.
2018, arXiv:1802.09464), which hindsight replay expects; nothing is imported from there.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Dict

from envs.goals.kinds import Observation, goals_of

REWARDS = ("sparse", "dense")


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
