"""What an episode looks like when its task is done, shown without leaving the episode."""

from __future__ import annotations

import contextlib
import copy
from collections import deque
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import mujoco
import numpy as np

if TYPE_CHECKING:
    from envs.tabletop import TabletopEnv


def goal_of(env: TabletopEnv, begun: tuple[Mapping[str, Any], Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """The observation of the present episode's goal; then everything is as it was, to the bit.

    `begun` is the state of the environment's generator and the options with which the episode was reset: the same draw, done,
    has its objects, its marks and its variations.
    """
    state, options = begun
    parts = (env, env.task, env.task.asking, env.world, env.control, env.variations, env.readings, env.sensors)
    with _as_they_were(*parts), _the_same(env.model, env.data), _the_same_numbers(env.np_random):
        env.np_random.bit_generator.state = state
        return env.reset(options={**options, "goal": True})[0]


@contextlib.contextmanager
def _as_they_were(*things: object) -> Iterator[None]:
    """The attributes of these are what they were when the block ends; what arrays and queues hold, too."""
    kept = [(thing, dict(vars(thing))) for thing in things if thing is not None]
    inside = [(value, value.copy()) for _, values in kept for value in values.values() if isinstance(value, np.ndarray | deque)]
    try:
        yield
    finally:
        for thing, values in kept:
            vars(thing).clear()
            vars(thing).update(values)
        for value, copied in inside:
            if isinstance(value, np.ndarray):
                if value.flags.writeable:
                    value[...] = copied
            else:
                value.clear()
                value.extend(copied)


@contextlib.contextmanager
def _the_same(model: mujoco.MjModel, data: mujoco.MjData) -> Iterator[None]:
    """The simulation is in the same state when the block ends, at the same place in memory."""
    kept = copy.copy(data)
    try:
        yield
    finally:
        mujoco.mj_copyData(data, model, kept)


@contextlib.contextmanager
def _the_same_numbers(rng: np.random.Generator) -> Iterator[None]:
    """The generator draws what it would have drawn when the block ends."""
    state = rng.bit_generator.state
    try:
        yield
    finally:
        rng.bit_generator.state = state
