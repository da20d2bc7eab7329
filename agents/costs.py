"""What a plan should make small, computed from imagined latents.

B environments   N candidates   H horizon   K tokens a frame   D latent width   O object slots
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

import torch
from torch import Tensor

from worldmodel.errors import ConfigError
from worldmodel.layout import TokenLayout
from worldmodel.types import Latent

ON_TABLE, ON_FLOOR = 1, 3
"""Places in the progress head's logits: absent, on the table, in the bin, on the floor."""


@dataclass(frozen=True)
class GoalDistanceConfig:
    """Distance to a goal picture."""

    steps: Literal["last", "sum"] = "sum"
    """Count the last imagined step, or every step (sooner is better)."""
    vectors: float = 0.5
    """Share of the tokens without a place, which hold proprioception and other vectors, where there are pictures too. By their
    number alone they would be one token in 65, and a small thing that is far from its goal is as far wherever it moves, seen in
    pictures. DINO-WM (arXiv:2411.04983) too takes the mean of each for itself, and weighs the two by a setting."""

    def __post_init__(self) -> None:
        """Raise ConfigError for an unknown way of counting, or a share that is none."""
        if self.steps not in ("last", "sum"):
            raise ConfigError(f"steps is {self.steps!r}; expected 'last' or 'sum'")
        if not 0 <= self.vectors <= 1:
            raise ConfigError(f"vectors is {self.vectors:g}; expected 0 to 1")

    def weights(self, layout: TokenLayout) -> Tensor:
        """(K,) what each token counts, 1 together."""
        placed, extra = layout.num_placed, layout.num_extra
        if not placed or not extra:
            return torch.full((layout.num_tokens,), 1 / layout.num_tokens)
        shares = torch.tensor([(1 - self.vectors) / placed, self.vectors / extra])
        return shares.repeat_interleave(torch.tensor([placed, extra]))


@dataclass(frozen=True)
class GoalDistance:
    """Squared latent distance to a goal, token by token."""

    goal: Latent
    """(K, D), or (B, K, D) for a goal an environment."""
    config: GoalDistanceConfig = field(default_factory=GoalDistanceConfig)
    weights: Tensor | None = None
    """(K,) what each token counts (`GoalDistanceConfig.weights`); the same for all unless told."""

    def __post_init__(self) -> None:
        """Raise ConfigError for a goal that is no latent, or weights of other tokens."""
        if self.goal.ndim not in (2, 3):
            raise ConfigError(f"goal has shape {tuple(self.goal.shape)}; expected (K, D) or (B, K, D)")
        if self.weights is not None and self.weights.shape != self.goal.shape[-2:-1]:
            raise ConfigError(f"{tuple(self.weights.shape)} weights for {self.goal.shape[-2]} tokens; expected one each")

    def __call__(self, rollout: Latent, actions: Tensor) -> Tensor:
        """Cost of rollout (B, N, H, K, D), (B, N): summed over the width, averaged over the tokens by their weights."""
        goal = self.goal if self.goal.ndim == 2 else self.goal[:, None, None]  # (B, 1, 1, K, D)
        if self.config.steps == "last":
            rollout = rollout[:, :, -1:]
        distance = (rollout - goal).square().sum(dim=-1)  # (B, N, H, K)
        distance = distance.mean(dim=-1) if self.weights is None else distance @ self.weights.to(distance)  # (B, N, H)
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
