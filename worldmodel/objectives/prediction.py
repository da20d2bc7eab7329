"""Errors of predicted latents: after one action from a real latent, and after several from an imagined one.

B batch   T time   K tokens a frame   D latent width
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from worldmodel.jepa import JEPA


@dataclass(frozen=True)
class PredictionErrors:
    """Mean squared errors over tokens and channels; a latent has unit variance."""

    one_step: Tensor
    """From real latents, one action ahead."""
    rollout: Tensor
    """From imagined latents, mean over the second to the last rollout step; zero when rollout_steps is 1."""
    copy: Tensor
    """Of saying that nothing changes, one action ahead: the baseline of one_step. No gradient."""


def prediction_errors(
    model: JEPA,
    z: Tensor,
    actions: Tensor,
    rollout_steps: int,
    stop_gradient_target: bool = False,
    *,
    target: Tensor | None = None,
    stop_gradient_steps: bool = False,
) -> PredictionErrors:
    """Errors for latents z (B, T, K, D) and the actions (B, T - 1, A) between them.

    The rollout covers the window's last `rollout_steps` transitions; its first step is the teacher-forced one. Gradients
    pass through all steps, or only through the last one each (`stop_gradient_steps`, as JEPA-WMs do), and,
    unless stopped, into the targets too (what keeps them from collapsing is SIGReg). `target` (B, T, K, D) stands in for
    z as what is aimed at, such as an EMA encoder's latents.
    """
    num_transitions = actions.shape[1]
    if not 1 <= rollout_steps <= num_transitions:
        raise ValueError(
            f"a rollout of {rollout_steps} steps needs windows of {rollout_steps + 1} frames, got {num_transitions + 1}"
        )
    target = z if target is None else target
    if stop_gradient_target:
        target = target.detach()
    predicted = model.predict(z[:, :-1], actions)  # (B, T - 1, K, D)
    one_step = F.mse_loss(predicted, target[:, 1:])

    start = num_transitions - rollout_steps
    first = predicted[:, start : start + 1]
    frames = torch.cat([z[:, : start + 1], first.detach() if stop_gradient_steps else first], dim=1)
    later = []
    for t in range(start + 1, num_transitions):
        imagined = model.step(frames, actions[:, : t + 1])
        later.append(F.mse_loss(imagined, target[:, t + 1]))
        fed = imagined.detach() if stop_gradient_steps else imagined
        frames = torch.cat([frames, fed.unsqueeze(1)], dim=1)
    rollout = torch.stack(later).mean() if later else one_step.new_zeros(())
    with torch.no_grad():
        copy = F.mse_loss(target[:, :-1], target[:, 1:])
    return PredictionErrors(one_step, rollout, copy)
