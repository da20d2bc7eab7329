"""What the progress head finds on frames it never saw: position error and status accuracy, encoded and imagined."""

from __future__ import annotations

import torch

from worldmodel.heads.fit_progress import progress_metrics
from worldmodel.heads.labelled import LabelledWindows, labelled_latents
from worldmodel.heads.progress import ProgressHead
from worldmodel.jepa import JEPA


def probe(
    model: JEPA,
    head: ProgressHead,
    windows: LabelledWindows,
    generator: torch.Generator,
    num_frames: int = 1000,
    max_steps: int = 2,
) -> dict[str, float]:
    """position_cm_H (mean over objects on the table) and status_accuracy_H for H = 0..max_steps actions ahead.

    num_frames_H is on how many distinct frames: `num_frames` are asked for, but there may be fewer, and the first frames of
    an episode cannot be imagined from before.
    `windows` should be of episodes on which neither the model nor the head was fitted.
    """
    head.eval()
    data, _, _ = labelled_latents(model, windows, num_frames, max_steps, generator)
    counts = {f"num_frames_{ahead}": int((data.steps == ahead).sum()) for ahead in range(max_steps + 1)}
    return progress_metrics(head, data) | counts
