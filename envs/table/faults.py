"""What makes a simulation worthless: MuJoCo's warnings, and numbers that are none."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import mujoco
import numpy as np


def fault_of(env: gym.Env[Any, Any]) -> str | None:
    """What went wrong in an environment's simulation since its last reset, in one line; None when nothing did.

    MuJoCo puts a simulation whose state explodes back to the model's defaults, warns, and goes on: what is observed from then
    on is no longer the episode. An environment without `data: mujoco.MjData` is never at fault.
    """
    data: Any = getattr(env.unwrapped, "data", None)
    if not isinstance(data, mujoco.MjData):
        return None
    warnings = data.warning.number
    if warnings.any():
        kind = int(np.flatnonzero(warnings)[0])
        return mujoco.mju_warningText(kind, int(data.warning.lastinfo[kind]))
    if not (np.isfinite(data.qpos).all() and np.isfinite(data.qvel).all()):
        return "qpos or qvel is not finite"
    return None
