"""`make`: an environment that nobody here wrote, by its Gymnasium id."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any

import gymnasium as gym

from envs.foreign.mending import mend
from envs.foreign.world import ForeignEnv

OURS = ("image_size", "success_return", "shadows", "film_every")
"""Keyword arguments of `ForeignEnv`; every other one goes to gymnasium.make."""


def make(env_id: str, **kwargs: Any) -> gym.Env:
    """The environment of an id, adapted; one that describes itself (`describe()`) is returned as it is.

    An id may name the module that registers it: "ogbench:pointmaze-medium-v0". `max_steps` is Gymnasium's max_episode_steps;
    `image_size`, `success_return`, `shadows` and `film_every` are explained in world.py; everything else is the world's own.

    Raises ValueError, in one line, for actions that cannot be planned in or a world that shows nothing; Gymnasium's errors
    for an unknown id; ModuleNotFoundError for a module that is not installed.
    """
    own = {key: value for key, value in kwargs.items() if key not in (*OURS, "max_steps")}
    settings = {key: kwargs[key] for key in OURS if key in kwargs}
    limits = {"max_episode_steps": kwargs["max_steps"]} if kwargs.get("max_steps") is not None else {}
    mend(env_id)
    try:
        inner = _make(env_id, {"render_mode": "rgb_array", **own}, limits)
    except (gym.error.Error, TypeError, ValueError, ImportError):
        raise
    except Exception as error:  # whatever another project's constructor raises, it was called in a way that it does not take
        raise ValueError(f"{type(error).__name__}: {error}") from error
    if hasattr(inner.unwrapped, "describe"):
        return inner
    told = {key: value for key, value in kwargs.items() if key not in ("film_every", "render_mode")}
    try:
        return ForeignEnv(inner, env_id, told, **settings)
    except BaseException:
        inner.close()
        raise


def _make(env_id: str, kwargs: dict[str, Any], limits: dict[str, int]) -> gym.Env:
    """With a picture to be rendered where the world knows render_mode at all."""
    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # pygame would look for a display, which nothing here needs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Gymnasium's own: of a render mode that there is not, of a newer version
        try:
            return gym.make(env_id, disable_env_checker=True, **limits, **kwargs)
        except TypeError as error:
            if "render_mode" not in str(error):
                raise
            rest = {key: value for key, value in kwargs.items() if key != "render_mode"}
            return gym.make(env_id, disable_env_checker=True, **limits, **rest)
