"""How fast imagination drifts: prediction error over the horizon, beside the baseline of copying the last frame.

B batch   T time   H horizon   K tokens a frame   D latent width   O object slots
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from worldmodel.heads.progress import ON_TABLE, ProgressHead
from worldmodel.jepa import JEPA
from worldmodel.types import Window

MAX_HORIZON = 16
"""Actions ahead that errors are told for, where windows are long enough."""


@dataclass(frozen=True)
class HorizonReport:
    """Errors h = 1..H actions ahead."""

    predicted: tuple[float, ...]
    """Mean squared latent error of the rollout from the first frame; a latent has unit variance."""
    copied: tuple[float, ...]
    """Of saying that nothing changes after the first frame."""
    predicted_cm: tuple[float, ...] = ()
    """Mean distance between where the head finds objects in the rollout and where those on the table are [cm]."""
    copied_cm: tuple[float, ...] = ()
    """Of where it finds them in the first frame."""
    seen_cm: tuple[float, ...] = ()
    """Of where it finds them in the frame itself: what the head cannot do better."""


@torch.no_grad()
def horizon_errors(model: JEPA, window: Window, head: ProgressHead | None = None, batch_size: int = 64) -> HorizonReport:
    """Errors over the windows' length: T frames give H = T - 1. In centimetres too, with a head and labels.

    Rollouts start from the first frame alone, however long the model's context. Sets the model to eval mode. A horizon at which
    no object is on the table has an error of not-a-number there.
    """
    model.eval()
    device = next(model.parameters()).device
    in_cm = head is not None and {"status", "position"} <= window.labels.keys()
    sums = torch.zeros(2, window.actions.shape[1], dtype=torch.float64)
    sums_cm = torch.zeros(4, window.actions.shape[1], dtype=torch.float64)
    for rows in torch.arange(len(window.actions)).split(batch_size):
        z = model.encode({key: value[rows].to(device) for key, value in window.observations.items()})
        imagined = model.rollout(z[:, :1], window.actions[rows].to(device).unsqueeze(1))[:, 0]  # (B, H, K, D)
        copied = z[:, :1].expand_as(imagined)
        errors = [(guess - z[:, 1:]).square().mean((-2, -1)).sum(0) for guess in (imagined, copied)]
        sums += torch.stack(errors).cpu().double()
        if head is not None and in_cm:
            there = (window.labels["status"][rows, 1:] == ON_TABLE).to(device)
            position = window.labels["position"][rows, 1:].to(device)
            distances = [_distance(head, guess, position, there) for guess in (imagined, copied, z[:, 1:])]
            sums_cm += torch.stack([*distances, there.sum((0, 2))]).cpu().double()
    predicted, copied = (sums / len(window.actions)).tolist()
    report = HorizonReport(tuple(predicted), tuple(copied))
    if not in_cm:
        return report
    found = (sums_cm[:3] / sums_cm[3]).tolist()
    return HorizonReport(report.predicted, report.copied, *(tuple(values) for values in found))


def _distance(head: ProgressHead, z: Tensor, position: Tensor, there: Tensor) -> Tensor:
    """Sum over objects that are `there` (B, H, O) of the distance [cm] from what the head reads off z (B, H, K, D), (H,)."""
    _, guess = head(z)
    return (100 * (guess - position).norm(dim=-1) * there).sum((0, 2))
