"""Fitting the progress head on labelled latents, and on what another head reads."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from worldmodel.heads.config import HeadsConfig
from worldmodel.heads.labelled import LabelledLatents
from worldmodel.heads.progress import ON_TABLE, ProgressHead


def progress_loss(head: ProgressHead, z: Tensor, status: Tensor, position: Tensor, position_coef: float) -> Tensor:
    """Cross entropy of the status, and smooth L1 of the normalised position of objects on the table.

    `status` is int64 (R, O), or the probability of each, (R, O, 4); positions (R, O, 2) count as much as they are on the table.
    """
    logits, guess = head(z)
    known = not status.is_floating_point()
    loss = F.cross_entropy(logits.flatten(0, -2), status.flatten() if known else status.flatten(0, -2))
    error = F.smooth_l1_loss(guess / head.position_scale, position / head.position_scale, reduction="none", beta=0.05).sum(-1)
    on_table = (status == ON_TABLE).float() if known else status[..., ON_TABLE]
    return loss + position_coef * (error * on_table).sum() / on_table.sum().clamp_min(1)


@torch.no_grad()
def progress_metrics(head: ProgressHead, data: LabelledLatents) -> dict[str, float]:
    """Mean position error [cm] of objects on the table, and the share of right statuses, for each number of steps ahead."""
    logits, guess = head(data.z)
    metrics = {}
    for ahead in data.steps.unique().tolist():
        rows = data.steps == ahead
        on_table = data.status[rows] == ON_TABLE
        error = (guess[rows] - data.position[rows]).norm(dim=-1)[on_table]
        metrics[f"position_cm_{ahead}"] = 100 * float(error.mean()) if len(error) else float("nan")
        metrics[f"status_accuracy_{ahead}"] = float((logits[rows].argmax(-1) == data.status[rows]).float().mean())
    return metrics


@dataclass(frozen=True)
class Taught:
    """What a head reads off seen frames, beside latents of the same frames."""

    z: Tensor
    """(R, K, D)."""
    status: Tensor
    """(R, O, 4) probabilities."""
    position: Tensor
    """(R, O, 2) [m]."""


@torch.no_grad()
def teach(head: ProgressHead, z: Tensor) -> Taught:
    """Readings of the seen latents z[:, 0] for all latents z (R, 1 + S, K, D) of each frame."""
    read = [head(part) for part in z[:, 0].split(1024)]
    status, position = torch.cat([logits.softmax(-1) for logits, _ in read]), torch.cat([guess for _, guess in read])
    views = z.shape[1]
    return Taught(z.flatten(0, 1), status.repeat_interleave(views, 0), position.repeat_interleave(views, 0))


def fit_progress(
    head: ProgressHead,
    train: LabelledLatents,
    check: LabelledLatents,
    config: HeadsConfig,
    generator: torch.Generator,
    told: Callable[..., None],
    taught: Taught | None = None,
) -> ProgressHead:
    """The head with the lowest held-out loss seen while training on labels, and on what it is taught as much again."""
    steps = config.progress_steps
    optimiser = torch.optim.AdamW(head.parameters(), config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.learning_rate, total_steps=steps, pct_start=0.1)
    best, best_loss = copy.deepcopy(head), float("inf")

    def disturbed(z: Tensor) -> Tensor:
        noise = torch.randn(z.shape, generator=generator).to(z.device)
        kept = (torch.rand(z.shape[:2], generator=generator) >= config.token_dropout).to(z.device)
        return (z + config.latent_noise * noise) * kept.unsqueeze(-1)

    def drawn(num_rows: int) -> Tensor:
        return torch.randint(0, num_rows, (config.batch_size,), generator=generator).to(train.z.device)

    for step in range(1, steps + 1):
        batch = train.select(drawn(len(train.z)))
        loss = progress_loss(head, disturbed(batch.z), batch.status, batch.position, config.position_coef)
        if taught is not None:
            rows = drawn(len(taught.z))
            z, status, position = disturbed(taught.z[rows]), taught.status[rows], taught.position[rows]
            loss = loss + progress_loss(head, z, status, position, config.position_coef)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 100 == 0 or step == steps:
            with torch.no_grad():
                value = float(progress_loss(head, check.z, check.status, check.position, config.position_coef))
            if value < best_loss:
                best, best_loss = copy.deepcopy(head), value
            told(step, loss=float(loss.detach()), held_out=value)
    return best
