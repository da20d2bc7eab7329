"""Has the latent collapsed? Spread of each dimension, and how many directions are really used."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


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
