"""Fitting the heads on a frozen world model, from a small labelled share of frames."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from worldmodel.checks import require_at_least, require_positive, require_share
from worldmodel.errors import ConfigError, DataError
from worldmodel.heads.labelled import LabelledLatents, LabelledWindows, labelled_latents
from worldmodel.heads.picture import PictureHead, PictureHeadConfig
from worldmodel.heads.progress import ON_TABLE, ProgressHead, ProgressHeadConfig
from worldmodel.jepa import JEPA
from worldmodel.progress import NoProgress, Progress

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class HeadsConfig:
    """How the heads are fitted."""

    num_labelled_frames: int = 2000
    """Labelled frames used in all, held-out ones included."""
    max_steps_ahead: int = 2
    """Labels are used for latents imagined up to so many actions ahead."""
    progress_steps: int = 2000
    """Optimiser steps of the progress head."""
    progress_width: int = 64
    """Channels of the progress head."""
    batch_size: int = 128
    """Latents a step."""
    learning_rate: float = 2e-3
    """Peak of the one-cycle schedule."""
    weight_decay: float = 0.02
    """AdamW weight decay."""
    latent_noise: float = 0.1
    """Standard deviation of the noise added to latents (which have unit variance)."""
    token_dropout: float = 0.02
    """Share of tokens set to zero."""
    position_coef: float = 4.0
    """Weight of the position error beside the status error."""
    held_out: float = 0.1
    """Share of the labelled episodes that choose the best head and are never trained on."""
    picture_steps: int = 400
    """Optimiser steps of the picture head; zero leaves it untrained."""
    picture_width: int = 32
    """Channels of the picture head."""

    def __post_init__(self) -> None:
        """Raise ConfigError for runs too short to have a warm-up, and for what could not be fitted."""
        require_at_least(self, 20, "num_labelled_frames")
        require_at_least(self, 1, "progress_width", "batch_size", "picture_width")
        require_at_least(self, 0, "max_steps_ahead", "picture_steps", "weight_decay", "latent_noise", "position_coef")
        require_positive(self, "learning_rate")
        require_share(self, "token_dropout", one=False)
        require_share(self, "held_out", zero=False, one=False)
        if self.progress_steps < 20 or 0 < self.picture_steps < 20:
            raise ConfigError(
                f"heads need 20 steps or more (picture_steps may be 0), got progress_steps {self.progress_steps} "
                f"and picture_steps {self.picture_steps}"
            )


@dataclass(frozen=True)
class FittedHeads:
    """The heads, and how well they do on the held-out labelled frames."""

    progress: ProgressHead
    """Status and position."""
    picture: PictureHead
    """Latent -> picture."""
    num_labelled_frames: int
    """Distinct labelled frames that were used, held-out ones included."""
    metrics: dict[str, float]
    """position_cm_H and status_accuracy_H at H actions ahead (0: encoded), picture_mse.

    The held-out frames also choose the best head while it is fitted, so these are a little too good; `diagnostics.probe`
    measures on episodes that chose nothing.
    """


def progress_loss(head: ProgressHead, z: Tensor, status: Tensor, position: Tensor, position_coef: float) -> Tensor:
    """Cross entropy of the status, and smooth L1 of the normalised position of objects on the table."""
    logits, guess = head(z)
    loss = F.cross_entropy(logits.flatten(0, -2), status.flatten())
    error = F.smooth_l1_loss(guess / head.position_scale, position / head.position_scale, reduction="none", beta=0.05).sum(-1)
    on_table = (status == ON_TABLE).float()
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


def fit_heads(
    model: JEPA,
    windows: LabelledWindows,
    config: HeadsConfig,
    generator: torch.Generator,
    progress: Progress | None = None,
) -> FittedHeads:
    """Both heads, fitted on the frozen model; `windows` need at least max_steps_ahead + 1 frames, and labels.

    The model is left in eval mode and its weights are untouched.
    """
    listener = progress if progress is not None else NoProgress()
    data, num_labelled, pictures = labelled_latents(
        model, windows, config.num_labelled_frames, config.max_steps_ahead, generator
    )
    encoder, action = model.config.encoder, model.spec.action
    head = ProgressHead(
        ProgressHeadConfig(
            encoder.grid, encoder.token_dim, data.status.shape[-1], config.progress_width, action.image_from_action
        )
    ).to(data.z.device)
    head.set_position_scale(data.position[data.status == ON_TABLE])
    episodes = data.episode.unique()
    order = torch.randperm(len(episodes), generator=generator).to(episodes.device)
    held_out = torch.isin(data.episode, episodes[order[: max(1, round(config.held_out * len(episodes)))]])
    if bool(held_out.all()):
        raise DataError(
            f"the {num_labelled} labelled frames come from {len(episodes)} episodes, of which held_out {config.held_out:g} "
            "leaves none to fit heads on; record more episodes, or lower heads.held_out"
        )
    train, check = data.select(~held_out), data.select(held_out)
    total = config.progress_steps + config.picture_steps

    def told(done: int, **fields: float) -> None:
        listener.update(done, total, **fields)

    head = _fit_progress(head, train, check, config, generator, told)
    metrics = progress_metrics(head, check)
    picture = PictureHead(
        PictureHeadConfig(
            encoder.grid, encoder.token_dim, model.spec.sensors[model.encoder.image].shape[0], config.picture_width
        )
    ).to(data.z.device)
    encoded = data.z[data.steps == 0]
    metrics["picture_mse"] = _fit_picture(picture, encoded, pictures, config, generator, told)
    logger.info("heads fitted on %d labelled frames: %s", num_labelled, metrics)
    return FittedHeads(head.eval(), picture.eval(), num_labelled, metrics)


def _fit_progress(
    head: ProgressHead,
    train: LabelledLatents,
    check: LabelledLatents,
    config: HeadsConfig,
    generator: torch.Generator,
    told: Callable[..., None],
) -> ProgressHead:
    """The head with the lowest held-out loss seen while training."""
    steps = config.progress_steps
    optimiser = torch.optim.AdamW(head.parameters(), config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.learning_rate, total_steps=steps, pct_start=0.1)
    best, best_loss = copy.deepcopy(head), float("inf")
    device = train.z.device
    for step in range(1, steps + 1):
        rows = torch.randint(0, len(train.z), (config.batch_size,), generator=generator).to(device)
        batch = train.select(rows)
        noise = torch.randn(batch.z.shape, generator=generator).to(device)
        kept = (torch.rand(batch.z.shape[:2], generator=generator) >= config.token_dropout).to(device)
        loss = progress_loss(
            head,
            (batch.z + config.latent_noise * noise) * kept.unsqueeze(-1),
            batch.status,
            batch.position,
            config.position_coef,
        )
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


def _fit_picture(
    head: PictureHead, z: Tensor, pictures: Tensor, config: HeadsConfig, generator: torch.Generator, told: Callable[..., None]
) -> float:
    """Trains the head on encoded latents (R, K, D) and their pictures uint8 (R, H, W, 3); the last weighted squared error."""
    if config.picture_steps == 0:
        return float("nan")
    optimiser = torch.optim.AdamW(head.parameters(), config.learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.learning_rate, total_steps=config.picture_steps)
    value = float("nan")
    head.background.copy_(pictures.float().mean(0).permute(2, 0, 1) / 255)
    for step in range(1, config.picture_steps + 1):
        rows = torch.randint(0, len(z), (32,), generator=generator)
        target = pictures[rows].to(z.device).permute(0, 3, 1, 2).float() / 255
        # A table is mostly table: what differs from the mean picture counts for more, or objects stay faint.
        weight = 1 + 30 * (target - head.background).abs().amax(1, keepdim=True)
        loss = (weight * (head(z[rows.to(z.device)]) - target).square()).sum() / weight.expand_as(target).sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        value = float(loss.detach())
        if step % 50 == 0 or step == config.picture_steps:
            told(config.progress_steps + step, picture_mse=value)
    return value
