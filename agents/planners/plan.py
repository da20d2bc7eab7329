"""What a planner is asked, and what it answers.

B environments   N candidates   H horizon   A action dim   I iterations
T frames of context   K tokens a frame   D latent width
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from worldmodel.types import Cost, Latent, WorldModel

Generators = Sequence[torch.Generator]
"""One an environment, so that planning for many environments at once equals planning for each alone."""


@dataclass(frozen=True)
class PlanTrace:
    """How the search went, one entry an iteration that ran."""

    best: Tensor
    """(I, B): lowest cost seen up to and including this iteration."""
    mean: Tensor
    """(I, B): mean cost of this iteration's candidates."""
    seconds: tuple[float, ...]
    """Duration of each iteration [s]."""
    candidates: tuple[Tensor, ...] = ()
    """Each (B, N, H, A) in the units of the world; empty unless `keep_candidates`."""
    costs: tuple[Tensor, ...] = ()
    """Each (B, N); empty unless `keep_candidates`."""

    @property
    def num_iterations(self) -> int:
        """I."""
        return len(self.seconds)


@dataclass(frozen=True)
class Plan:
    """The best action sequence that the search has seen, for each environment."""

    actions: Tensor
    """(B, H, A), in bounds."""
    cost: Tensor
    """(B,): cost of these actions."""
    trace: PlanTrace
    """How the search went."""

    def shifted(self) -> Tensor:
        """The warm start of the next decision: one step later, the last action repeated, (B, H, A)."""
        return torch.cat([self.actions[:, 1:], self.actions[:, -1:]], dim=1)


class Planner(Protocol):
    """What an agent needs to know of a planner."""

    def plan(
        self,
        model: WorldModel,
        context: Latent,
        cost: Cost,
        *,
        generators: Generators,
        warm_start: Tensor | None = None,
        deadline: float | None = None,
    ) -> Plan:
        """The plan from context (B, T, K, D); see `SamplingPlanner.plan`."""
        ...
