"""Latents of labelled frames: the encoded ones, and those imagined from the unlabelled frames before them.

One frame of each drawn window is labelled, and that label is used for every latent of that frame: the encoded one, and
those imagined from the frames one and two actions before it. So a head is calibrated on what it will judge when planning,
and no label is used beyond the counted frames. `unlabelled_latents` gives the same of frames whose labels nobody knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from worldmodel.data.loading.mixture import by_embodiment
from worldmodel.errors import DataError
from worldmodel.jepa import JEPA
from worldmodel.nn.embodied import Body
from worldmodel.types import Window


class LabelledWindows(Protocol):
    """Windows of consecutive frames with the labels status (B, T, O) and position (B, T, O, 2)."""

    @property
    def num_windows(self) -> int:
        """How many there are."""
        ...

    def batch(self, indices: np.ndarray) -> Window:
        """The windows of these indices."""
        ...


@dataclass(frozen=True)
class LabelledLatents:
    """Latents of R frames with their labels; `steps` tells how many actions ahead each was imagined."""

    z: Tensor
    """(R, K, D)."""
    status: Tensor
    """(R, O) int64."""
    position: Tensor
    """(R, O, 2) [m]."""
    steps: Tensor
    """(R,) int64; 0 for encoded frames."""
    episode: Tensor
    """(R,) int64."""

    def select(self, rows: Tensor) -> LabelledLatents:
        """These rows (indices or a mask)."""
        return LabelledLatents(self.z[rows], self.status[rows], self.position[rows], self.steps[rows], self.episode[rows])


@torch.no_grad()
def labelled_latents(
    model: JEPA, windows: LabelledWindows, num_frames: int, max_steps: int, generator: torch.Generator, batch_size: int = 128
) -> tuple[LabelledLatents, int, Tensor]:
    """Latents of `num_frames` distinct labelled frames, how many frames that were, and their pictures (R, H, W, 3).

    The pictures are in the order of the rows with steps == 0: black for a robot without the camera, and none at all when the
    encoder sees no camera.
    Sets the model to eval mode. Raises DataError when the windows have no labels.
    """
    model.eval()
    device = next(model.parameters()).device
    order = torch.randperm(windows.num_windows, generator=generator).numpy()
    seen: set[tuple[int, ...]] = set()
    parts: list[LabelledLatents] = []
    pictures: list[Tensor] = []
    for indices in _batches(windows, order, batch_size):
        if len(seen) >= num_frames:
            break
        window = windows.batch(indices)
        model.embody(window.embodiment)
        if not {"status", "position"} <= window.labels.keys():
            raise DataError(f"heads need the labels status and position, the windows have {sorted(window.labels) or 'none'}")
        z = model.encode({key: value.to(device) for key, value in window.observations.items()})
        actions = window.actions.to(device)
        num_rows, time = z.shape[:2]
        # Which frame of each window is labelled: mostly the last, which can be imagined from the furthest.
        at = torch.randint(0, 2 * time, (num_rows,), generator=generator).clamp_max(time - 1)
        fresh = []
        # episodes count within their own dataset
        dataset = torch.zeros(num_rows, dtype=torch.int64) if window.dataset is None else window.dataset
        for row in range(num_rows):
            of = window.embodiment, int(dataset[row]), int(window.episode_index[row])
            key = (*of, int(window.frame_index[row] + at[row] * window.frame_skip))
            if key not in seen and len(seen) < num_frames:
                seen.add(key)
                fresh.append(row)
        chosen = torch.tensor(fresh, dtype=torch.int64)
        if model.encoder.image is not None:
            pictures.append(_pictures(window, model.encoder.image, model.bodies)[chosen, at[chosen]])
        for ahead in range(max_steps + 1):
            rows = chosen[at[chosen] >= ahead]
            latents = _latents_at(model, z[rows.to(device)], actions[rows.to(device)], at[rows], ahead)
            parts.append(
                LabelledLatents(
                    latents,
                    window.labels["status"][rows, at[rows]].long().to(device),
                    window.labels["position"][rows, at[rows]].float().to(device),
                    torch.full((len(rows),), ahead, device=device),
                    window.episode_index[rows].to(device),
                )
            )
    names = ("z", "status", "position", "steps", "episode")
    latents = LabelledLatents(*(torch.cat([getattr(p, name) for p in parts]) for name in names))
    return latents, len(seen), torch.cat(pictures) if pictures else torch.zeros(0, 1, 1, 3, dtype=torch.uint8)


@torch.no_grad()
def unlabelled_latents(
    model: JEPA, windows: LabelledWindows, num_frames: int, max_steps: int, generator: torch.Generator, batch_size: int = 128
) -> Tensor:
    """Latents of the last frames of `num_frames` windows at most, (R, 1 + S, K, D): encoded, and imagined 1 to S actions ahead.

    S is `max_steps`, or fewer where the windows are shorter. Labels are not looked at. Sets the model to eval mode.
    """
    model.eval()
    device = next(model.parameters()).device
    parts: list[Tensor] = []
    order = torch.randperm(windows.num_windows, generator=generator)[:num_frames].numpy()
    for indices in _batches(windows, order, batch_size):
        window = windows.batch(indices)
        model.embody(window.embodiment)
        z = model.encode({key: value.to(device) for key, value in window.observations.items()})
        last = torch.full((len(z),), z.shape[1] - 1)
        actions = window.actions.to(device)
        steps = range(min(max_steps, z.shape[1] - 1) + 1)
        parts.append(torch.stack([_latents_at(model, z, actions, last, ahead) for ahead in steps], dim=1))
    return torch.cat(parts)


def _pictures(window: Window, camera: str, bodies: Sequence[Body]) -> Tensor:
    """Pictures (B, T, H, W, 3) of a window."""
    if camera in window.observations:
        return window.observations[camera]
    shape = next(body.spec.sensors[camera].shape for body in bodies if camera in body.spec.sensors)
    return torch.zeros(len(window.actions), window.actions.shape[1] + 1, *shape, dtype=torch.uint8)


def _batches(windows: LabelledWindows, order: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    """The windows in this order, in sorted batches that are of one embodiment each."""
    for start in range(0, len(order), batch_size):
        yield from by_embodiment(windows, np.sort(order[start : start + batch_size]))


def _latents_at(model: JEPA, z: Tensor, actions: Tensor, at: Tensor, ahead: int) -> Tensor:
    """Latents (R, K, D) of the frames `at` (R,) of z (R, T, K, D), imagined from `ahead` actions before."""
    out = torch.empty_like(z[:, 0])
    for frame in at.unique().tolist():
        rows = (at == frame).nonzero().squeeze(1).to(z.device)
        first = frame - ahead
        if ahead == 0:
            out[rows] = z[rows, frame]
        else:
            future = actions[rows, first:frame].unsqueeze(1)
            out[rows] = model.rollout(z[rows, : first + 1], future, actions[rows, :first])[:, 0, -1]
    return out
