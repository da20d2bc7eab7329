"""MPPI: move the mean to the average of all candidates, weighted by exp(-cost / temperature).

Williams et al., "Information theoretic MPC" (2017), eq. 26-27, with the cost range of each iteration as the unit of the
temperature, so that one temperature fits every cost.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from agents.planners.cem import Gaussian
from agents.planners.plan import Generators
from agents.planners.sampling import SamplingConfig, normal
from worldmodel.checks import require_positive


@dataclass(frozen=True)
class MPPIConfig(SamplingConfig):
    """MPPI; the standard deviation is in actions scaled to [-1, 1]."""

    std: float = 0.3
    """Standard deviation of the perturbations, the same in every iteration."""
    temperature: float = 0.05
    """Sharpness of the weights, as a share of the difference between the mean and the lowest cost."""

    def __post_init__(self) -> None:
        """Raise ConfigError for a search that could not run."""
        super().__post_init__()
        require_positive(self, "std", "temperature")


class MPPI:
    """The update rule of MPPI."""

    def __init__(self, config: MPPIConfig) -> None:
        self.config = config

    def start(self, guess: Tensor) -> Gaussian:
        """A Gaussian around the guess (B, H, A)."""
        return Gaussian(guess, torch.full_like(guess, self.config.std))

    def sample(self, state: Gaussian, num: int, generators: Generators) -> Tensor:
        """Draws (B, num, H, A)."""
        return state.mean[:, None] + state.std[:, None] * normal(generators, state.mean, num)

    def update(self, state: Gaussian, candidates: Tensor, costs: Tensor) -> Gaussian:
        """The mean moves to the weighted average of candidates (B, N, H, A) by costs (B, N)."""
        usable = torch.isfinite(costs)  # (B, N); an infinite cost weighs nothing and sets no unit
        lowest = costs.amin(dim=1, keepdim=True)
        mean = costs.where(usable, 0.0).sum(dim=1, keepdim=True) / usable.sum(dim=1, keepdim=True).clamp(min=1)
        unit = (mean - lowest).clamp(min=1e-12)
        weights = torch.softmax(-(costs - lowest) / (self.config.temperature * unit), dim=1)  # (B, N)
        return Gaussian(torch.einsum("bn,bnha->bha", weights, candidates), state.std)
