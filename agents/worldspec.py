"""What a world is, asked of the environment itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np

from worldmodel.errors import MismatchError
from worldmodel.types import ActionSpec, SensorSpec, WorldSpec

BUDGETS = ("max_steps", "max_sweeps")
"""Keyword arguments by which an environment is told how many actions an episode has: sweeps, where an action is one."""


def budget_of(env_kwargs: Mapping[str, Any]) -> Any:
    """How many actions an episode has, by whichever name; None where the environment was not told."""
    return next((env_kwargs[name] for name in BUDGETS if name in env_kwargs), None)


def action_word(control_mode: str) -> str:
    """What one action is called: a sweep is more than a step of a motion."""
    return "sweep" if control_mode == "sweep" else "action"


def spec_of(env: gymnasium.Env) -> WorldSpec:
    """The environment's own description (`env.unwrapped.describe()`), or what its spaces say.

    Raises MismatchError, in one line, for an environment that cannot be recorded as it is.
    """
    describe = getattr(env.unwrapped, "describe", None)
    if describe is not None:
        return WorldSpec.from_dict(describe())
    name = type(env.unwrapped).__name__
    return WorldSpec(
        env_id=env.spec.id if env.spec is not None else name,
        env_kwargs=dict(env.spec.kwargs) if env.spec is not None else {},
        sensors=_sensors(env.observation_space, name),
        action=_action(env.action_space, name),
        control_mode="step",
        robot=name,
    )


def _sensors(space: gymnasium.Space, name: str) -> dict[str, SensorSpec]:
    if not isinstance(space, gymnasium.spaces.Dict):
        raise MismatchError(
            f"{name} observes a {type(space).__name__}; a Dict of named Boxes is needed, such as "
            "gymnasium.wrappers.AddRenderObservation(env, render_key='pixels', obs_key='proprio') gives"
        )
    return {key: _sensor(key, box, name) for key, box in space.spaces.items()}


def _sensor(key: str, space: gymnasium.Space, name: str) -> SensorSpec:
    if isinstance(space, gymnasium.spaces.Box):
        if space.dtype == np.uint8 and len(space.shape) == 3 and space.shape[2] == 3:
            return SensorSpec(shape=space.shape, dtype="uint8", kind="image", camera=key)
        if space.dtype == np.float32 and len(space.shape) == 1:
            return SensorSpec(shape=space.shape, dtype="float32", kind="vector")
    raise MismatchError(
        f"{name} observes {key!r} as {space}; expected uint8 images (height, width, 3) or float32 vectors (n,): wrap it in "
        "gymnasium.wrappers.TransformObservation"
    )


def _action(space: gymnasium.Space, name: str) -> ActionSpec:
    if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1:
        raise MismatchError(f"{name} takes actions of {space}; a Box of one axis is needed")
    if not (np.isfinite(space.low).all() and np.isfinite(space.high).all()):
        raise MismatchError(f"{name} takes unbounded actions; bound them with gymnasium.wrappers.RescaleAction")
    return ActionSpec(
        names=tuple(f"action_{i}" for i in range(space.shape[0])),
        low=tuple(float(x) for x in space.low),
        high=tuple(float(x) for x in space.high),
    )
