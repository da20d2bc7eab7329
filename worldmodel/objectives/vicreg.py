"""VICReg's two regularisers: every channel keeps a standard deviation, and no two channels say the same.

Bardes, Ponce and LeCun, VICReg, ICLR 2022, equations 1 to 4; its third term, invariance, is prediction here:

    variance    v(Z) = 1/D sum_j max(0, gamma - sqrt(Var(z_j) + eps))                       (eqs. 1, 2)
    covariance  c(Z) = 1/D sum_{i != j} C(Z)_ij^2,   C(Z) = 1/(N - 1) sum_n (z_n - mean)(z_n - mean)^T   (eqs. 3, 4)

Taken at each place and time step on its own, over the batch of all ranks, as SIGReg is and for the same reason.

    B batch   T time   K tokens a frame   D latent width   N samples
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from worldmodel.checks import require_positive
from worldmodel.errors import DataError
from worldmodel.nn.across import mean_across, num_ranks
from worldmodel.nn.precision import at_least_float32, whole_precision


@dataclass(frozen=True)
class VICRegConfig:
    """What counts as spread enough."""

    gamma: float = 1.0
    """Standard deviation that every channel should have."""
    eps: float = 1e-4
    """Added to the variance: keeps the root's gradient finite where a channel has collapsed."""

    def __post_init__(self) -> None:
        """Raise ConfigError for a target that asks for nothing."""
        require_positive(self, "gamma", "eps")


def variance_and_covariance(z: Tensor, config: VICRegConfig) -> tuple[Tensor, Tensor]:
    """v and c (scalars), means over places and times, of latents z (B, T, K, D). DataError for a single sample."""
    num, width = len(z) * num_ranks(), z.shape[-1]
    if num < 2:
        raise DataError("a batch of one window has no variance; VICReg needs two or more")
    z = at_least_float32(z)
    centred = z - mean_across(z.mean(0))
    with whole_precision(z):
        products = torch.einsum("btkd,btke->tkde", centred, centred)
    covariance = mean_across(products / len(z)) * (num / (num - 1))
    diagonal = covariance.diagonal(dim1=-2, dim2=-1)  # (T, K, D)
    variance = (config.gamma - (diagonal + config.eps).sqrt()).clamp_min(0).mean()
    apart = covariance.square().sum((-2, -1)) - diagonal.square().sum(-1)  # (T, K)
    return variance, apart.mean() / width
