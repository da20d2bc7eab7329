"""A goal of its own for each episode: what the world shows of it, or a recorded frame where it shows nothing.

    goals = EpisodeGoals(model, sensors, recorded=load_recorded(run_dir))
    goals.look(env)                     # (K, D), once when an episode has begun
    goals.cost([goal, another])         # the cost of both environments' plans

B environments   K tokens a frame   D latent width
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import Tensor

from agents.costs import GoalDistance, GoalDistanceConfig
from agents.goals import goal_from_picture
from agents.training.recorded import Recorded
from worldmodel.errors import MismatchError
from worldmodel.types import Latent, WorldModel

Prepare = Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]
"""Observations as the world gives them -> as the model takes them."""


def has_episode_goals(env: gymnasium.Env) -> bool:
    """Whether a world has a goal of its own in each episode, which it is asked for by `goal_observation()`.

    One that can show the goal of an episode, and says by `own_goals` that it is that of any other, has none.
    """
    return hasattr(env.unwrapped, "goal_observation") and bool(getattr(env.unwrapped, "own_goals", True))


@dataclass(frozen=True)
class EpisodeGoals:
    """Where the goal of an episode comes from, and the distance to it as the cost of a plan."""

    model: WorldModel
    """Encodes the goal."""
    sensors: tuple[str, ...]
    """What it reads."""
    prepare: Prepare
    """Makes pictures fit."""
    recorded: Recorded | None = None
    """Frames among which a goal is found that the world does not show."""
    config: GoalDistanceConfig = field(default_factory=GoalDistanceConfig)
    """How the distance counts."""
    device: str = "cpu"
    """Where the model is."""
    weights: Tensor | None = None
    """(K,) what each token counts in it."""

    def look(self, env: gymnasium.Env) -> Latent:
        """The goal (K, D) of the episode that has begun in an environment."""
        return goal_from_picture(self.model, self.observation(env), self.sensors, self.device)

    def cost(self, goals: Sequence[Latent]) -> GoalDistance:
        """Distance to a goal (K, D) for each of B environments."""
        return GoalDistance(torch.stack(list(goals)), self.config, self.weights)

    def observation(self, env: gymnasium.Env) -> dict[str, np.ndarray]:
        """The goal as the model would observe it: shown by the world, or else the recorded frame that is nearest or best.

        Raises MismatchError when the world shows less than the model reads, or nothing and nothing was recorded.
        """
        world: Any = env.unwrapped
        shown = world.goal_observation()
        if shown is not None:
            missing = [key for key in self.sensors if key not in shown]
            if missing:
                raise MismatchError(
                    f"the world shows {', '.join(shown)} of its goal, and the model reads {', '.join(missing)} too; "
                    "train one that reads no more than the goal shows"
                )
            return {**self.prepare({key: shown[key] for key in self.sensors})}
        if self.recorded is None:
            raise MismatchError(
                "this world shows no goal and the run keeps no recorded frames; only the random agent is left: "
                "train again, so that a goal is found among what was recorded"
            )
        desired = world.desired_goal() if hasattr(world, "desired_goal") else None
        return self.recorded.best() if desired is None else self.recorded.nearest(desired)
