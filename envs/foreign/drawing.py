"""Pictures of a world that draws itself: what `render()` gives, resized, and drawn fast where MuJoCo draws it."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from PIL import Image

MODEL_AT = ("model", "_model", "_env.physics.model", "physics.model", "sim.model")
"""Where environments keep their MuJoCo model: Gymnasium, ogbench, dm_control through shimmy."""


def draw_fast(env: gym.Env) -> bool:
    """Take smoothed edges, shadows and reflections off a MuJoCo world before it makes its renderer; whether it is one.

    Without a GPU they cost most of the time of a picture: rendering.py. Light falls as before.
    """
    model = model_of(env)
    if model is None:
        return False
    model.vis.quality.offsamples = 0
    model.light_castshadow[:] = 0
    model.mat_reflectance[:] = 0
    return True


def model_of(env: gym.Env) -> Any:
    """The MuJoCo model of a world, or dm_control's wrapper of it; None where there is none."""
    for path in MODEL_AT:
        model: Any = env.unwrapped
        for name in path.split("."):
            model = getattr(model, name, None)
        if hasattr(getattr(model, "vis", None), "quality"):
            return model
    return None


def take_context(env: gym.Env) -> None:
    """Make the GL context of Gymnasium's own MuJoCo renderer current, which it takes for granted.

    Without this its pictures come out black, or another world's, as soon as anything else in the process has drawn.
    """
    viewer = getattr(getattr(env.unwrapped, "mujoco_renderer", None), "viewer", None)
    if viewer is not None:
        viewer.make_context_current()


def resized(picture: np.ndarray, size: int) -> np.ndarray:
    """A picture (height, width, 3) uint8 as (size, size, 3): each new pixel the mean of the area that it covers.

    One that is not square is squeezed into a square, so that nothing is cut off.
    """
    if picture.shape[:2] == (size, size):
        return np.array(picture)
    return np.asarray(Image.fromarray(np.ascontiguousarray(picture)).resize((size, size), Image.Resampling.BOX)).copy()


def is_picture(value: Any) -> bool:
    """Whether a value is a picture (height, width, 3) uint8."""
    return isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.ndim == 3 and value.shape[2] == 3
