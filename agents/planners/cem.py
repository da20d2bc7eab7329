"""Cross-entropy method: refit a Gaussian over action sequences to its elites.

De Boer et al., "A tutorial on the cross-entropy method" (2005). One Gaussian has one mode: where two different sweeps are
equally good, `elites.py` does not average them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from agents.planners.plan import Generators
from agents.planners.sampling import SamplingConfig, normal
from worldmodel.checks import require_at_least, require_positive
from worldmodel.errors import ConfigError


@dataclass(frozen=True)
class CEMConfig(SamplingConfig):
    """The cross-entropy method; standard deviations are in actions scaled to [-1, 1]."""

    num_elites: int = 8
    """Best candidates of an iteration that the Gaussian is refitted to."""
    init_std: float = 0.5
    """Standard deviation of the first Gaussian."""
    min_std: float = 0.05
    """The standard deviation never falls below this."""
    momentum: float = 0.1
    """Share of the old mean and std in the new ones, in [0, 1)."""

    def __post_init__(self) -> None:
        """Raise ConfigError for a search that could not run."""
        super().__post_init__()
        if not 1 <= self.num_elites <= min(self.num_samples):
            raise ConfigError(f"num_elites is {self.num_elites}; expected 1 to {min(self.num_samples)}, the fewest samples")
        require_positive(self, "init_std")
        require_at_least(self, 0, "min_std")
        if not 0 <= self.momentum < 1:
            raise ConfigError(f"momentum is {self.momentum}; expected a number in [0, 1)")


@dataclass(frozen=True)
class Gaussian:
    """A diagonal Gaussian over action sequences."""

    mean: Tensor
    """(B, H, A)."""
    std: Tensor
    """(B, H, A)."""


class CEM:
    """The update rule of the cross-entropy method."""

    def __init__(self, config: CEMConfig) -> None:
        self.config = config

    def start(self, guess: Tensor) -> Gaussian:
        """A wide Gaussian around the guess (B, H, A)."""
        return Gaussian(guess, torch.full_like(guess, self.config.init_std))

    def sample(self, state: Gaussian, num: int, generators: Generators) -> Tensor:
        """Draws (B, num, H, A)."""
        return state.mean[:, None] + state.std[:, None] * normal(generators, state.mean, num)

    def update(self, state: Gaussian, candidates: Tensor, costs: Tensor) -> Gaussian:
        """Refitted to the elites of candidates (B, N, H, A) by costs (B, N)."""
        chosen = costs.topk(self.config.num_elites, dim=1, largest=False).indices  # (B, E)
        elites = candidates.take_along_dim(chosen[:, :, None, None], dim=1)  # (B, E, H, A)
        keep = self.config.momentum
        mean = keep * state.mean + (1 - keep) * elites.mean(dim=1)
        # the population's std: defined for a single elite too
        std = keep * state.std + (1 - keep) * elites.std(dim=1, correction=0)
        return Gaussian(mean, std.clamp(min=self.config.min_std))
