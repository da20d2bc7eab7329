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

ON_TABLE, ON_FLOOR = 1, 3
"""Places in the progress head's logits: absent, on the table, in the bin, on the floor."""


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

    floor_coef: float = 6.0
    """Price of an object on the floor; one on the table costs 1."""
    discount: float = 0.9
    """Weight of each later step relative to the one before it, in (0, 1]."""

    def __post_init__(self) -> None:
        """Raise ConfigError for a weight that is out of range."""
        if not self.floor_coef >= 0 or not 0 < self.discount <= 1:
            raise ConfigError(
                f"floor_coef must be at least 0 and discount in (0, 1], got {self.floor_coef:g} and {self.discount:g}"
            )


@dataclass(frozen=True)
class ProgressCost:
    """Discounted sum over the imagined steps of what a progress head reads, so that sooner is better.

    One step costs, summed over the object slots: P(on table) + floor_coef * P(on floor).
    """

    head: ProgressReader
    """Reads status and position off latents."""
    config: ProgressCostConfig = field(default_factory=ProgressCostConfig)

    def __call__(self, rollout: Latent, actions: Tensor) -> Tensor:
        """Cost of rollout (B, N, H, K, D), (B, N)."""
        logits, _ = self.head(rollout)  # (B, N, H, O, 4)
        probability = torch.softmax(logits.float(), dim=-1)
        slots = probability[..., ON_TABLE] + self.config.floor_coef * probability[..., ON_FLOOR]  # (B, N, H, O)
        steps = slots.sum(dim=-1)  # (B, N, H)
        weights = self.config.discount ** torch.arange(steps.shape[-1], device=steps.device, dtype=steps.dtype)
        return (steps * weights).sum(dim=-1)
