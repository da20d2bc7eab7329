"""What a world tells: whether it can be seen, when it has succeeded, what its goal is; and, in words, what it does not."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym

from envs.foreign.drawing import is_picture
from envs.foreign.sensing import Senses

SUCCESS = ("success", "is_success")
"""Entries of an info that tell of success, the first that is there."""
GOAL = "goal"
"""Entry of a reset's info that is the observation of the goal (ogbench)."""


@dataclass(frozen=True)
class Telling:
    """What was found out."""

    renders: bool
    """`render()` gives a picture (height, width, 3) uint8."""
    shows_goal: bool
    """A reset's info holds the observation of the goal."""
    key: str | None
    """Entry of the info that tells of success; None when the return does, or nothing."""
    threshold: float | None
    """Least return of an episode that is a success; None when an entry of the info says so, or nothing."""

    @property
    def rule(self) -> str:
        """When an episode is a success, in words."""
        if self.key is not None:
            return f'info["{self.key}"] at its end'
        return "never" if self.threshold is None else f"a return of at least {self.threshold:g}"

    def success(self, info: Mapping[str, Any], total: float, over: bool) -> bool:
        """Whether this is one: by the info at any moment, by the return when the episode is over."""
        if self.key is not None:
            return bool(info.get(self.key, False))
        return over and self.threshold is not None and total >= self.threshold

    def lacks(self, senses: Senses) -> tuple[str, ...]:
        """A line for each thing that the world cannot give."""
        lines = []
        if not self.renders and not senses.pictures:
            lines.append("it renders nothing: a model of it reads model.sensors: [proprio]")
        if not senses.proprio:
            lines.append("it observes no numbers: there is no proprio")
        if senses.ignored:
            lines.append(f"of its observation {', '.join(senses.ignored)} is left out: neither picture nor numbers")
        if len(senses.pictures) > 1:
            lines.append(f"of its pictures only {senses.pictures[0]} is seen, as pixels")
        if self.rule == "never":
            lines.append("it tells of no success: set env.kwargs.success_return, or read the return beside")
        if not self.shows_goal and not senses.goals:
            lines.append("it shows no goal: the goal is the recorded frame of the highest reward")
        lines.append("it has no scripted expert: scores have no ceiling")
        return tuple(lines)


def look_around(env: gym.Env, success_return: float | None) -> Telling:
    """Find out by one reset and one step, after which the world must be reset.

    `success_return` is the threshold that somebody asks for; without one it is that of the registration, where the info says
    nothing.
    """
    _, first = env.reset(seed=0)
    env.action_space.seed(0)
    *_, info = env.step(env.action_space.sample())
    renders = is_picture(rendered(env))
    if success_return is not None:
        return Telling(renders, GOAL in first, None, float(success_return))
    key = next((key for key in SUCCESS if key in info), None)
    registered = env.spec.reward_threshold if env.spec is not None else None
    return Telling(renders, GOAL in first, key, registered if key is None else None)


def rendered(env: gym.Env) -> Any:
    """What a world renders now; None where it cannot."""
    try:
        return env.render()
    except (NotImplementedError, AttributeError, TypeError):
        return None


def package_of(env: gym.Env) -> str:
    """Name and version of the package that draws the world, such as ogbench 1.2.2."""
    package = type(env.unwrapped).__module__.partition(".")[0]
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return package
