"""Fitting the heads on a frozen world model, from a small labelled share of frames.

The progress head is fitted twice. The first one reads seen frames better than imagined ones, so it then teaches a second one
on frames without labels: what it reads off a seen frame is what the second shall read off the same frame imagined
(self-training, as in Noisy Student, Xie et al. 2020, here from the easy view of a frame to the hard one).
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from worldmodel.errors import DataError
from worldmodel.heads.config import HeadsConfig
from worldmodel.heads.fit_progress import fit_progress, progress_metrics, teach
from worldmodel.heads.labelled import LabelledWindows, labelled_latents, unlabelled_latents
from worldmodel.heads.picture import PictureHead, PictureHeadConfig
from worldmodel.heads.progress import ON_TABLE, ProgressHead, ProgressHeadConfig
from worldmodel.jepa import JEPA
from worldmodel.progress import NoProgress, Progress

logger = logging.getLogger(__name__)


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
    encoder, action = model.config.encoder, model.bodies[0].spec.action
    num_tokens = 0 if model.encoder.layout.num_placed else model.encoder.num_tokens
    calibration = action.image_from_action
    head = ProgressHead(
        ProgressHeadConfig(
            encoder.grid, encoder.token_dim, data.status.shape[-1], config.progress_width, calibration, num_tokens
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
    rounds = 2 if config.num_unlabelled_frames > 0 else 1
    total = rounds * config.progress_steps + config.picture_steps

    def told(done: int, **fields: float) -> None:
        listener.update(done, total, **fields)

    untrained = copy.deepcopy(head)
    head = fit_progress(head, train, check, config, generator, told)
    if config.num_unlabelled_frames > 0:
        z = unlabelled_latents(model, windows, config.num_unlabelled_frames, config.max_steps_ahead, generator)
        taught = teach(head, z)

        def told_again(done: int, **fields: float) -> None:
            told(config.progress_steps + done, **fields)

        head = fit_progress(untrained, train, check, config, generator, told_again, taught)
    metrics = progress_metrics(head, check)
    camera = model.encoder.image
    sizes = [body.spec.sensors[camera].shape[0] for body in model.bodies if camera in body.spec.sensors] if camera else []
    size = sizes[0] if sizes else 2 * encoder.grid
    picture = PictureHead(PictureHeadConfig(encoder.grid, encoder.token_dim, size, config.picture_width, num_tokens)).to(
        data.z.device
    )
    encoded = data.z[data.steps == 0]
    metrics["picture_mse"] = _fit_picture(picture, encoded, pictures, config, generator, told, rounds * config.progress_steps)
    logger.info("heads fitted on %d labelled frames: %s", num_labelled, metrics)
    return FittedHeads(head.eval(), picture.eval(), num_labelled, metrics)


def _fit_picture(
    head: PictureHead,
    z: Tensor,
    pictures: Tensor,
    config: HeadsConfig,
    generator: torch.Generator,
    told: Callable[..., None],
    before: int,
) -> float:
    """Trains the head on encoded latents (R, K, D) and their pictures uint8 (R, H, W, 3); the last weighted squared error.

    `before` is the number of steps that were told before its first.
    """
    shown = pictures.flatten(1).any(1).bool()  # not those of a robot without the camera
    if config.picture_steps == 0 or not bool(shown.any()):
        return float("nan")
    z, pictures = z[shown.to(z.device)], pictures[shown]
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
            told(before + step, picture_mse=value)
    return value
