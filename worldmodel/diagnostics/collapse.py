"""Has the latent collapsed? Spread of each dimension, and how many directions are really used."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from worldmodel.objectives.sigreg import SIGReg, SIGRegConfig

NORMALITY_ROWS = 256
"""Frames that normality is tested on, at most: the statistic grows with their number where they are not normal."""


@dataclass(frozen=True)
class CollapseReport:
    """Spread of latents over the data, each place on its own."""

    std: Tensor
    """Standard deviation of each (place, channel), (K, D)."""
    mean_std: float
    """Mean of them."""
    dead_share: float
    """Share of (place, channel) pairs with a standard deviation below 0.05."""
    effective_rank: float
    """Mean over places of exp(entropy of the covariance's normalised eigenvalues): 1 (collapsed) to D (all used alike)."""


@torch.no_grad()
def collapse(z: Tensor) -> CollapseReport:
    """Report for latents z (R, K, D) or (B, T, K, D) (Roy and Vetterli 2007 for the effective rank)."""
    flat = z.flatten(0, -3).double()  # (R, K, D)
    centred = flat - flat.mean(0)
    std = centred.square().mean(0).sqrt()
    covariance = torch.einsum("rkd,rke->kde", centred, centred) / len(flat)
    eigenvalues = torch.linalg.eigvalsh(covariance).clamp_min(0)
    # A place that never changes uses no direction; it counts as rank one.
    share = eigenvalues / eigenvalues.sum(-1, keepdim=True).clamp_min(1e-12)
    entropy = -torch.special.xlogy(share, share).sum(-1)
    return CollapseReport(std.float(), float(std.mean()), float((std < 0.05).double().mean()), float(entropy.exp().mean()))


@torch.no_grad()
def normality(z: Tensor) -> float:
    """SIGReg's statistic of latents z (R, K, D) or (B, T, K, D) over all places: 1.06 for N(0, I) of any size, more otherwise.

    It is taken over the frames pooled, at most `NORMALITY_ROWS` of them evenly, on 16 directions a place that are always
    the same.
    """
    rows = z.flatten(0, -3)
    rows = rows[torch.linspace(0, len(rows) - 1, min(len(rows), NORMALITY_ROWS)).long().to(z.device)]
    test = SIGReg(SIGRegConfig(num_places=rows.shape[-2]))
    return float(test(rows.unsqueeze(1), torch.Generator().manual_seed(0)))
