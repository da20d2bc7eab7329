"""Goals: where a plan should lead, as a latent.

A goal picture comes from the world itself: `reset(options={"goal": True})` shows the task as it looks when it is done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
import torch

from worldmodel.errors import MismatchError
from worldmodel.types import Latent, Observation, WorldModel


def to_observation(frames: Mapping[str, np.ndarray], sensors: Sequence[str], device: torch.device | str = "cpu") -> Observation:
    """The sensors that a model reads, as tensors; frames hold (B, T, ...) arrays. Raises MismatchError for a missing one."""
    missing = [key for key in sensors if key not in frames]
    if missing:
        raise MismatchError(f"the observation has no {', '.join(missing)}; it has {', '.join(sorted(frames))}")
    return {key: torch.from_numpy(np.ascontiguousarray(frames[key])).to(device) for key in sensors}


def goal_observation(env: gymnasium.Env, seed: int) -> dict[str, np.ndarray]:
    """What the world shows when its task is done. Raises MismatchError when it cannot show that."""
    observation, info = env.reset(seed=seed, options={"goal": True})
    if not info.get("success", False):
        raise MismatchError(
            'this environment does not know reset(options={"goal": True}); use a cost that needs no goal picture'
        )
    return observation


@torch.no_grad()
def goal_from_picture(
    model: WorldModel, observation: Mapping[str, Any], sensors: Sequence[str], device: torch.device | str = "cpu"
) -> Latent:
    """The latent (K, D) of one goal observation, whose entries have no batch axis."""
    frames = {key: np.asarray(value)[None, None] for key, value in observation.items()}
    return model.encode(to_observation(frames, sensors, device))[0, 0]
