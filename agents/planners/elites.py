"""Elite resampling: perturb each of the best candidates by a shrinking noise.

A (mu + lambda) evolution strategy (Beyer and Schwefel 2002) without recombination. It never averages two candidates, so
that two different sweeps that are equally good stay two; the price is a slower descent than CEM's within one mode.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from agents.planners.plan import Generators
from agents.planners.sampling import SamplingConfig, normal, uniform
from worldmodel.checks import require_positive, require_share
from worldmodel.errors import ConfigError


@dataclass(frozen=True)
class ElitesConfig(SamplingConfig):
    """Elite resampling; standard deviations are in actions scaled to [-1, 1]."""

    num_elites: int = 4
    """Best candidates seen so far that are kept and perturbed."""
    init_std: float = 0.3
    """Standard deviation of the first perturbation."""
    std_decay: float = 0.7
    """Factor on the standard deviation after each iteration."""

    def __post_init__(self) -> None:
        """Raise ConfigError for a search that could not run."""
        super().__post_init__()
        if not 1 <= self.num_elites <= self.num_samples[0]:
            raise ConfigError(f"num_elites is {self.num_elites}; expected 1 to {self.num_samples[0]}, the first samples")
        require_positive(self, "init_std")
        require_share(self, "std_decay", zero=False)


@dataclass(frozen=True)
class Population:
    """The elites, best first; none before the first update."""

    elites: Tensor
    """(B, E, H, A); E is 0 before the first update."""
    costs: Tensor
    """(B, E)."""
    std: float
    """Standard deviation of the next perturbation."""


class EliteResampling:
    """The update rule of elite resampling."""

    def __init__(self, config: ElitesConfig) -> None:
        self.config = config

    def start(self, guess: Tensor) -> Population:
        """No elites yet: the first draws are uniform, whatever the guess (B, H, A)."""
        return Population(guess[:, None][:, :0], guess.new_zeros(len(guess), 0), self.config.init_std)

    def sample(self, state: Population, num: int, generators: Generators) -> Tensor:
        """Children (B, num, H, A): every elite gets its turn, the best ones first."""
        if state.elites.shape[1] == 0:
            return uniform(generators, state.elites.new_zeros(len(state.elites), *state.elites.shape[2:]), num)
        parents = state.elites[:, torch.arange(num, device=state.elites.device) % state.elites.shape[1]]
        return parents + state.std * normal(generators, state.elites[:, 0], num)

    def update(self, state: Population, candidates: Tensor, costs: Tensor) -> Population:
        """The best of the old elites and candidates (B, N, H, A) by costs (B, N)."""
        everyone, prices = torch.cat([state.elites, candidates], dim=1), torch.cat([state.costs, costs], dim=1)
        kept, chosen = prices.topk(self.config.num_elites, dim=1, largest=False)
        first = state.elites.shape[1] == 0
        std = state.std if first else state.std * self.config.std_decay
        return Population(everyone.take_along_dim(chosen[:, :, None, None], dim=1), kept, std)
