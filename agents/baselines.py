"""What an agent is, and the two that bound every score table: the random floor and the scripted-expert ceiling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import gymnasium
import numpy as np

from worldmodel.errors import MismatchError
from worldmodel.types import ActionSpec


class Agent(Protocol):
    """Acts in B environments at once. All of its randomness comes from the seeds of `reset`."""

    @property
    def identity(self) -> str:
        """Changes whenever the agent would act differently: scores of another identity are not reused."""
        ...

    def reset(self, seeds: Sequence[int], mask: np.ndarray | None = None) -> None:
        """Begin an episode in each environment, one seed each; with a mask (B,) only where it is True."""
        ...

    def act(self, observations: Mapping[str, np.ndarray], envs: Sequence[gymnasium.Env] = ()) -> np.ndarray:
        """Actions (B, A) float32 for observations (B, ...). `envs` are for privileged agents only."""
        ...


class RandomAgent:
    """Uniform over the action bounds: the floor."""

    identity = "random-1"

    def __init__(self, action: ActionSpec) -> None:
        self.low = np.asarray(action.low, np.float32)
        self.high = np.asarray(action.high, np.float32)
        self.rngs: list[np.random.Generator] = []

    def reset(self, seeds: Sequence[int], mask: np.ndarray | None = None) -> None:
        """One generator an environment."""
        self.rngs = renewed(self.rngs, seeds, mask)

    def act(self, observations: Mapping[str, np.ndarray], envs: Sequence[gymnasium.Env] = ()) -> np.ndarray:
        """(B, A) float32."""
        return np.stack([rng.uniform(self.low, self.high).astype(np.float32) for rng in self.rngs])


class ExpertAgent:
    """The environment's own scripted expert, which sees the simulator's state: the ceiling."""

    identity = "expert-1"

    def __init__(self) -> None:
        self.rngs: list[np.random.Generator] = []

    def reset(self, seeds: Sequence[int], mask: np.ndarray | None = None) -> None:
        """One generator an environment."""
        self.rngs = renewed(self.rngs, seeds, mask)

    def act(self, observations: Mapping[str, np.ndarray], envs: Sequence[gymnasium.Env] = ()) -> np.ndarray:
        """(B, A) float32. Raises MismatchError for an environment without an expert."""
        if len(envs) != len(self.rngs):
            raise MismatchError(f"the expert needs the environments themselves: {len(self.rngs)} expected, {len(envs)} got")
        return np.stack([scripted(env, "expert_action")(rng) for env, rng in zip(envs, self.rngs, strict=True)])


def scripted(env: gymnasium.Env, name: str):
    """A scripted policy of an environment, rng -> (A,) float32. Raises MismatchError when it has none of that name."""
    policy = getattr(env.unwrapped, name, None)
    if policy is None:
        raise MismatchError(f"{type(env.unwrapped).__name__} has no {name}(rng); leave this policy out")
    return policy


def renewed(rngs: list[np.random.Generator], seeds: Sequence[int], mask: np.ndarray | None) -> list[np.random.Generator]:
    """Generators after a reset: new ones where the mask (B,) is True, or everywhere without a mask."""
    if mask is None:
        return [np.random.default_rng(seed) for seed in seeds]
    return [np.random.default_rng(seed) if new else rng for rng, seed, new in zip(rngs, seeds, mask, strict=True)]
