"""Errors of predicted latents: after one action from a real latent, and after several from an imagined one.

B batch   T time   K tokens a frame   D latent width
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from worldmodel.jepa import JEPA

ErrorName = Literal["squared", "absolute"]
ERRORS = {"squared": F.mse_loss, "absolute": F.l1_loss}
"""What of a difference is averaged."""


@dataclass(frozen=True)
class PredictionErrors:
    """Mean errors over tokens and channels, squared ones unless told; a latent has unit variance."""

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
    error: ErrorName = "squared",
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
    mean_error = ERRORS[error]
    target = z if target is None else target
    if stop_gradient_target:
        target = target.detach()
    predicted = model.predict(z[:, :-1], actions)  # (B, T - 1, K, D)
    one_step = mean_error(predicted, target[:, 1:])

    start = num_transitions - rollout_steps
    first = predicted[:, start : start + 1]
    frames = torch.cat([z[:, : start + 1], first.detach() if stop_gradient_steps else first], dim=1)
    later = []
    for t in range(start + 1, num_transitions):
        imagined = model.step(frames, actions[:, : t + 1])
        later.append(mean_error(imagined, target[:, t + 1]))
        fed = imagined.detach() if stop_gradient_steps else imagined
        frames = torch.cat([frames, fed.unsqueeze(1)], dim=1)
    rollout = torch.stack(later).mean() if later else one_step.new_zeros(())
    with torch.no_grad():
        copy = mean_error(target[:, :-1], target[:, 1:])
    return PredictionErrors(one_step, rollout, copy)
