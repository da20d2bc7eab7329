"""Pictures of a world that draws itself: what `render()` gives, resized, and drawn fast where MuJoCo draws it."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from PIL import Image

MODEL_AT = ("model", "_model", "_env.physics.model", "physics.model", "sim.model")
"""Where environments keep their MuJoCo model: Gymnasium, ogbench, dm_control through shimmy."""


def draw_fast(env: gym.Env) -> bool:
    """Take smoothed edges and shadows off a MuJoCo world before it makes its renderer; whether it is one.

    Without a GPU they cost most of the time of a picture: rendering.py.
    """
    for path in MODEL_AT:
        quality: Any = env.unwrapped
        for name in (*path.split("."), "vis", "quality"):
            quality = getattr(quality, name, None)
        if quality is not None:
            quality.offsamples, quality.shadowsize = 0, 0
            return True
    return False


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
