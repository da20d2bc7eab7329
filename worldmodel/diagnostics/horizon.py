"""How fast imagination drifts: prediction error over the horizon, beside the baseline of copying the last frame."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from worldmodel.jepa import JEPA
from worldmodel.types import Window


@dataclass(frozen=True)
class HorizonReport:
    """Mean squared latent errors h = 1..H actions ahead; a latent has unit variance."""

    predicted: tuple[float, ...]
    """Of the rollout from the first frame."""
    copied: tuple[float, ...]
    """Of saying that nothing changes after the first frame."""


@torch.no_grad()
def horizon_errors(model: JEPA, window: Window) -> HorizonReport:
    """Errors over the windows' length: T frames give H = T - 1. Sets the model to eval mode."""
    model.eval()
    device = next(model.parameters()).device
    z = model.encode({key: value.to(device) for key, value in window.observations.items()})
    imagined = model.rollout(z[:, :1], window.actions.to(device).unsqueeze(1))[:, 0]  # (B, H, K, D)
    predicted = (imagined - z[:, 1:]).square().mean(dim=(0, 2, 3))
    copied = (z[:, :1] - z[:, 1:]).square().mean(dim=(0, 2, 3))
    return HorizonReport(tuple(predicted.tolist()), tuple(copied.tolist()))
