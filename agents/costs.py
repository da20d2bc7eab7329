"""What a plan should make small, computed from imagined latents.

B environments   N candidates   H horizon   K tokens a frame   D latent width   O object slots
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

import torch
from torch import Tensor

from worldmodel.errors import ConfigError
from worldmodel.types import Latent

NUM_STATUSES = 4
"""Absent, on the table, in the bin, on the floor: the order of the progress head's logits."""
ON_TABLE, ON_FLOOR = 1, 3


@dataclass(frozen=True)
class GoalDistanceConfig:
    """Distance to a goal picture."""

    steps: Literal["last", "sum"] = "sum"
    """Count the last imagined step, or every step (sooner is better)."""


@dataclass(frozen=True)
class GoalDistance:
    """Squared latent distance to a goal, place by place."""

    goal: Latent
    """(K, D), or (B, K, D) for a goal an environment."""
    config: GoalDistanceConfig = field(default_factory=GoalDistanceConfig)

    def __post_init__(self) -> None:
        """Raise ConfigError for a goal that is no latent, or an unknown way of counting."""
        if self.goal.ndim not in (2, 3):
            raise ConfigError(f"goal has shape {tuple(self.goal.shape)}; expected (K, D) or (B, K, D)")
        if self.config.steps not in ("last", "sum"):
            raise ConfigError(f"steps is {self.config.steps!r}; expected 'last' or 'sum'")

    def __call__(self, rollout: Latent, actions: Tensor) -> Tensor:
        """Cost of rollout (B, N, H, K, D), (B, N): summed over the width, averaged over the places."""
        goal = self.goal if self.goal.ndim == 2 else self.goal[:, None, None]  # (B, 1, 1, K, D)
        if self.config.steps == "last":
            rollout = rollout[:, :, -1:]
        distance = (rollout - goal).square().sum(dim=-1).mean(dim=-1)  # (B, N, H)
        return distance.sum(dim=-1)


class ProgressReader(Protocol):
    """What reads the state of the task off a latent."""

    def __call__(self, latent: Latent) -> tuple[Tensor, Tensor]:
        """Status logits (..., O, 4) and positions (..., O, 2) [m], from (..., K, D)."""
        ...


@dataclass(frozen=True)
class ProgressCostConfig:
    """Expected number of objects that are still to be cleared."""

    floor_coef: float = 2.0
    """Price of an object on the floor; one on the table costs 1."""
    distance_coef: float = 0.0
    """Extra price of an object on the table for each metre between it and the bin."""
    discount: float = 0.9
    """Weight of each later step relative to the one before it, in (0, 1]."""

    def __post_init__(self) -> None:
        """Raise ConfigError for a weight that is out of range."""
        if self.floor_coef < 0 or self.distance_coef < 0 or not 0 < self.discount <= 1:
            raise ConfigError("floor_coef and distance_coef must be at least 0, and discount in (0, 1]")


@dataclass(frozen=True)
class ProgressCost:
    """Discounted sum over the imagined steps of what a progress head reads, so that sooner is better.

    One step costs, summed over the object slots:
    P(on table) * (1 + distance_coef * distance to the bin) + floor_coef * P(on floor).
    """

    head: ProgressReader
    """Reads status and position off latents."""
    config: ProgressCostConfig = field(default_factory=ProgressCostConfig)
    bin_corners: tuple[tuple[float, float], tuple[float, float]] | None = None
    """Lower and upper corner (x, y) of the bin [m]; needed when distance_coef is not 0."""

    def __post_init__(self) -> None:
        """Raise ConfigError when the distance is asked for and the bin's place is not known."""
        if self.config.distance_coef > 0 and self.bin_corners is None:
            raise ConfigError("distance_coef is set, but this world does not say where its bin is; set distance_coef to 0")

    def __call__(self, rollout: Latent, actions: Tensor) -> Tensor:
        """Cost of rollout (B, N, H, K, D), (B, N)."""
        logits, position = self.head(rollout)  # (B, N, H, O, 4), (B, N, H, O, 2)
        probability = torch.softmax(logits.float(), dim=-1)
        price = torch.ones_like(probability[..., ON_TABLE])
        if self.config.distance_coef > 0:
            price = price + self.config.distance_coef * self._distance(position.float())
        slots = probability[..., ON_TABLE] * price + self.config.floor_coef * probability[..., ON_FLOOR]  # (B, N, H, O)
        steps = slots.sum(dim=-1)  # (B, N, H)
        weights = self.config.discount ** torch.arange(steps.shape[-1], device=steps.device, dtype=steps.dtype)
        return (steps * weights).sum(dim=-1)

    def _distance(self, position: Tensor) -> Tensor:
        """Metres from positions (..., 2) to the nearest point of the bin, (...)."""
        assert self.bin_corners is not None
        low, high = position.new_tensor(self.bin_corners[0]), position.new_tensor(self.bin_corners[1])
        return (position - position.clamp(low, high)).norm(dim=-1)
