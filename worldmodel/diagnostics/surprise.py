"""Surprise: how far an observed outcome is from the predicted one, as a z-score calibrated on validation windows.

A prediction is expected to err most where it says that something changes: an object that is pushed comes to rest in many
places, a still one stays. So each place's squared error e_k counts in units of what was usual for the change c_k that the
model predicted there, and the mean over places, which is about 1 where all is as usual, is standardised as a logarithm:

    s = log(1 + mean_k e_k / (floor + slope * c_k)),    z = (s - mean) / std

floor and slope are the least-squares line of error over predicted change, mean and std those of s, all four for each number
of actions ahead. (On TableClear the plain mean of e_k told vanished objects with an AUROC of 0.94, this one with 0.96.)

B batch   T time   H horizon   K tokens a frame   D latent width   A action dim
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from worldmodel.errors import DataError, WorldModelError
from worldmodel.jepa import JEPA
from worldmodel.types import Observation, Window

TINY = 1e-8


@dataclass(frozen=True)
class SurpriseScale:
    """What is usual h = 1..H actions ahead; element h - 1 of each."""

    floor: tuple[float, ...]
    """Expected squared error of a place at which no change is predicted."""
    slope: tuple[float, ...]
    """Further error for each unit of squared predicted change."""
    mean: tuple[float, ...]
    """Of s, over validation windows."""
    std: tuple[float, ...]
    """Of s."""
    num_windows: int
    """Windows that it was fitted on."""

    def z(self, present: Tensor, predicted: Tensor, seen: Tensor, ahead: int = 1) -> Tensor:
        """z-scores (B,) of seen latents (B, K, D), predicted `ahead` actions before from present ones."""
        if not 1 <= ahead <= len(self.mean):
            raise WorldModelError(f"surprise is calibrated for 1 to {len(self.mean)} actions ahead, got {ahead}")
        h = ahead - 1
        return (_score(present, predicted, seen, self.floor[h], self.slope[h]) - self.mean[h]) / self.std[h]

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> SurpriseScale:
        """The inverse of `to_json`. DataError for anything else."""
        try:
            columns = [tuple(float(x) for x in values[name]) for name in ("floor", "slope", "mean", "std")]
            scale = cls(*columns, num_windows=int(values["num_windows"]))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"no scale of surprise ({error!r}); measure the run again") from None
        if len({len(column) for column in columns}) != 1 or not all(x > 0 for x in (*scale.floor, *scale.std)):
            raise DataError("the scale of surprise is damaged; measure the run again")
        return scale


@torch.no_grad()
def fit_surprise(model: JEPA, window: Window) -> SurpriseScale:
    """The scale, of windows (B, T, ...) of natural events: imagined from the first frame, up to T - 1 actions ahead."""
    if len(window.actions) < 2:
        raise DataError("surprise is calibrated on two windows or more")
    z, imagined = _imagine(model, window.observations, window.actions)
    columns: list[tuple[float, float, float, float]] = []
    for h in range(imagined.shape[1]):
        seen, predicted = z[:, h + 1], imagined[:, h]
        floor, slope = _regress(_squared(predicted, z[:, 0]), _squared(predicted, seen))
        s = _score(z[:, 0], predicted, seen, floor, slope)
        columns.append((floor, slope, float(s.mean()), max(float(s.std()), TINY)))
    floors, slopes, means, stds = zip(*columns, strict=True)
    return SurpriseScale(floors, slopes, means, stds, len(z))


@torch.no_grad()
def surprise(model: JEPA, scale: SurpriseScale, before: Observation, actions: Tensor, after: Observation) -> Tensor:
    """z-scores (B,) of what was seen `after` (B, 1, ...) the actions (B, H, A) that followed `before` (B, 1, ...).

    The prediction is from that one frame, however long the model's context, as in the calibration. WorldModelError for H > 1
    where a latent depends on the frame before it too, which is neither of the two.
    """
    if model.encoder.tubelet > 1 and actions.shape[1] > 1:
        raise WorldModelError(
            f"latents of {model.encoder.tubelet} frames: surprise is told one action ahead, got {actions.shape[1]}"
        )
    model.eval()
    device = next(model.parameters()).device
    # one after the other in one film, as in the windows of the calibration
    z = model.encode({key: torch.cat([value, after[key]], dim=1).to(device) for key, value in before.items()})
    predicted = model.rollout(z[:, :1], actions.to(device).unsqueeze(1))[:, 0, -1]
    return scale.z(z[:, 0], predicted, z[:, 1], actions.shape[1])


def _imagine(model: JEPA, observations: Observation, actions: Tensor, batch_size: int = 64) -> tuple[Tensor, Tensor]:
    """Latents (B, T, K, D), and those imagined from each first frame (B, T - 1, K, D)."""
    model.eval()
    device = next(model.parameters()).device
    seen, imagined = [], []
    for rows in torch.arange(len(actions)).split(batch_size):
        z = model.encode({key: value[rows].to(device) for key, value in observations.items()})
        seen.append(z)
        imagined.append(model.rollout(z[:, :1], actions[rows].to(device).unsqueeze(1))[:, 0])
    return torch.cat(seen), torch.cat(imagined)


def _squared(one: Tensor, other: Tensor) -> Tensor:
    """Mean squared difference of each place, (B, K)."""
    return (one - other).square().mean(-1)


def _score(present: Tensor, predicted: Tensor, seen: Tensor, floor: float, slope: float) -> Tensor:
    """s, (B,)."""
    usual = floor + slope * _squared(predicted, present)
    return (_squared(predicted, seen) / usual).mean(-1).log1p()


def _regress(change: Tensor, error: Tensor) -> tuple[float, float]:
    """Floor (positive) and slope (0 or more) of the least-squares line of error over change, each (B, K)."""
    x, y = change.flatten().double(), error.flatten().double()
    spread = (x - x.mean()).square().mean()
    slope = max(float(((x - x.mean()) * (y - y.mean())).mean() / spread.clamp_min(1e-12)), 0.0)
    # A floor near zero would turn the noise of still places into the whole of s.
    floor = max(float(y.mean()) - slope * float(x.mean()), 0.1 * float(y.mean()), TINY)
    return floor, slope
