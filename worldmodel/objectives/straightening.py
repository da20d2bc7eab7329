"""Temporal straightening: latents of a window should lie along a line, so that straight plans are good ones.

    1 - mean_t cos(v_t, v_{t+1}),   v_t = z_{t+1} - z_t

Curvature of a trajectory as in Henaff, Goris and Simoncelli, Nature Neuroscience 2019, eqs. 1 and 2 (there as the angle);
as a loss beside latent prediction it makes Euclidean distance a better guide for planning. A frame's latent is taken whole:
places at which nothing moves have a velocity of noise, and no direction.

B batch   T time   K tokens a frame   D latent width
"""

from __future__ import annotations

import torch
from torch import Tensor

from worldmodel.errors import ConfigError

EPS = 1e-6
"""Speed below which a latent counts as standing still: its cosine is 0, and its gradient stays finite."""


def curvature(z: Tensor) -> Tensor:
    """1 - mean cosine of consecutive velocities (scalar in [0, 2]) of latents z (B, T, K, D); ConfigError when T < 3."""
    if z.shape[1] < 3:
        raise ConfigError(
            f"straightening needs windows of 3 frames, got {z.shape[1]}; raise train.num_frames, "
            "or set objective.straightening_coef to 0"
        )
    velocity = (z[:, 1:] - z[:, :-1]).flatten(2)  # (B, T - 1, K * D)
    velocity = velocity / torch.linalg.vector_norm(velocity, dim=-1, keepdim=True).clamp_min(EPS)
    return 1 - (velocity[:, :-1] * velocity[:, 1:]).sum(-1).mean()
