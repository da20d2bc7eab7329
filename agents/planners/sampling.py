"""THE sample -> roll out -> score loop that every sampling planner shares.

A planner is this loop with an update rule (`cem.py`, `elites.py`, `mppi.py`): the rule says where the next candidates come
from; the loop does everything else. Rules see actions scaled to [-1, 1]; the world sees them in its own units, in bounds.

    B environments   N candidates   H horizon   A action dim   I iterations
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from agents.planners.plan import Generators, Plan, PlanTrace
from agents.planners.proposals import Proposals, RecordedActions
from worldmodel.errors import ConfigError, WorldModelError
from worldmodel.types import ActionSpec, Cost, Latent, WorldModel

State = TypeVar("State")


@dataclass(frozen=True)
class SamplingConfig:
    """What every sampling planner is told."""

    horizon: int = 2
    """Actions looked ahead, H."""
    num_samples: tuple[int, ...] = (128, 64, 64)
    """Candidate action sequences, one number an iteration."""
    num_proposals: int = 128
    """Candidates of the first iteration that are taken from the proposals, where there are proposals."""
    keep_candidates: bool = False
    """Keep every candidate and its cost in the trace (for pictures; costs memory)."""

    def __post_init__(self) -> None:
        """Raise ConfigError for a search that could not run."""
        if self.horizon < 1:
            raise ConfigError(f"horizon is {self.horizon}; expected at least 1")
        if not self.num_samples or min(self.num_samples) < 1:
            raise ConfigError(
                f"num_samples is {self.num_samples}; expected one positive number an iteration, such as (128, 64)"
            )
        if self.num_proposals < 0:
            raise ConfigError(f"num_proposals is {self.num_proposals}; expected at least 0")


class UpdateRule(Protocol[State]):
    """What tells one sampling planner from another. Actions are scaled to [-1, 1] here."""

    def start(self, guess: Tensor) -> State:
        """The search distribution around a first guess (B, H, A): the shifted previous plan, or zeros."""
        ...

    def sample(self, state: State, num: int, generators: Generators) -> Tensor:
        """Candidates (B, num, H, A); the loop clips them to [-1, 1]."""
        ...

    def update(self, state: State, candidates: Tensor, costs: Tensor) -> State:
        """The next distribution, from candidates (B, N, H, A) and their costs (B, N)."""
        ...


class SamplingPlanner:
    """The loop around one update rule.

    `proposals` gives candidates of the first iteration in place of sampled ones: a bank (M, A) of recorded actions, or
    any callable of `Proposals`. `clock` returns monotonic seconds.
    """

    def __init__(
        self,
        rule: UpdateRule,
        config: SamplingConfig,
        action: ActionSpec,
        proposals: Tensor | Proposals | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.rule = rule
        self.config = config
        self.proposals = RecordedActions(proposals) if isinstance(proposals, Tensor) else proposals
        self.clock = clock
        self.low = torch.tensor(action.low, dtype=torch.float32)
        self.high = torch.tensor(action.high, dtype=torch.float32)
        if isinstance(self.proposals, RecordedActions) and self.proposals.bank.shape[1] != action.dim:
            raise ConfigError(f"proposals have {self.proposals.bank.shape[1]} elements an action; this world has {action.dim}")

    @torch.no_grad()
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
        """The cheapest action sequence found from context (B, T, K, D).

        `warm_start` (B, H, A) is tried as it is, and searched around. `deadline` is a reading of the clock [s]: an iteration
        that would not fit before it is not begun, except the first. Raises WorldModelError when no candidate of an
        environment has a finite cost.
        """
        low, high = self.low.to(context.device), self.high.to(context.device)
        guess = self._guess(context, warm_start, low, high)
        state = self.rule.start(guess)
        best_actions, best_cost = guess, torch.full(guess.shape[:1], math.inf, device=context.device)
        best, mean, seconds, kept_candidates, kept_costs = [], [], [], [], []

        for iteration, num in enumerate(self.config.num_samples):
            begun = self.clock()
            if deadline is not None and iteration > 0:
                expected = seconds[-1] * num / self.config.num_samples[iteration - 1]
                if begun + expected > deadline:
                    break

            # sample
            if iteration == 0:
                scaled = self._first_candidates(state, num, context, guess, warm_start is not None, generators, low, high)
            else:
                scaled = self.rule.sample(state, num, generators).clamp(-1.0, 1.0)
            candidates = _unscale(scaled, low, high)

            # roll out, score
            costs = cost(model.rollout(context, candidates), candidates).float()  # (B, N)
            costs = costs.nan_to_num(nan=math.inf, posinf=math.inf, neginf=-math.inf)  # what is not a number is never the best

            # keep the best ever seen
            index = costs.argmin(dim=1)
            rows = torch.arange(len(index), device=index.device)
            better = costs[rows, index] < best_cost
            best_actions = torch.where(better[:, None, None], candidates[rows, index], best_actions)
            best_cost = torch.where(better, costs[rows, index], best_cost)

            # refit, but not after the last iteration
            if iteration + 1 < len(self.config.num_samples):
                state = self.rule.update(state, scaled, costs)

            best.append(best_cost)
            mean.append(costs.mean(dim=1))
            if self.config.keep_candidates:
                kept_candidates.append(candidates)
                kept_costs.append(costs)
            seconds.append(self.clock() - begun)

        if not torch.isfinite(best_cost).all():
            raise WorldModelError("no candidate has a finite cost; the model has diverged: check its training curves")
        trace = PlanTrace(torch.stack(best), torch.stack(mean), tuple(seconds), tuple(kept_candidates), tuple(kept_costs))
        return Plan(best_actions, best_cost, trace)

    def _guess(self, context: Latent, warm_start: Tensor | None, low: Tensor, high: Tensor) -> Tensor:
        """The scaled centre of the first distribution, (B, H, A)."""
        shape = (context.shape[0], self.config.horizon, len(low))
        if warm_start is None:
            return torch.zeros(shape, device=context.device)
        if tuple(warm_start.shape) != shape:
            raise ConfigError(f"warm start has shape {tuple(warm_start.shape)}; expected (B, H, A) = {shape}")
        return _scale(warm_start.to(context.device), low, high)

    def _first_candidates(
        self,
        state: object,
        num: int,
        context: Latent,
        guess: Tensor,
        warm: bool,
        generators: Generators,
        low: Tensor,
        high: Tensor,
    ) -> Tensor:
        """Scaled (B, num, H, A): the warm start, then proposals, then draws from the rule's own start."""
        parts = [guess[:, None]] if warm else []
        room = num - len(parts)
        if self.proposals is not None and min(room, self.config.num_proposals) > 0:
            wanted = min(room, self.config.num_proposals)
            proposed = self.proposals(context, wanted, self.config.horizon, generators).to(context.device)
            parts.append(_scale(proposed[:, :wanted], low, high))
            room -= parts[-1].shape[1]
        if room > 0:
            parts.append(self.rule.sample(state, room, generators))
        return torch.cat(parts, dim=1).clamp(-1.0, 1.0)


def normal(generators: Generators, like: Tensor, num: int) -> Tensor:
    """Standard normal draws (B, num, H, A), each environment's from its own generator; `like` is (B, H, A)."""
    shape = (num, *like.shape[1:])
    return torch.stack([torch.randn(shape, generator=g, device=g.device) for g in generators]).to(like.device)


def uniform(generators: Generators, like: Tensor, num: int) -> Tensor:
    """Uniform draws in [-1, 1), (B, num, H, A), each environment's from its own generator; `like` is (B, H, A)."""
    shape = (num, *like.shape[1:])
    draws = torch.stack([torch.rand(shape, generator=g, device=g.device) for g in generators])
    return (2.0 * draws - 1.0).to(like.device)


def _scale(actions: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """From the world's units to [-1, 1]; an element that cannot vary is 0."""
    half = (high - low) / 2
    return torch.where(half > 0, (actions - (high + low) / 2) / half.clamp(min=1e-12), torch.zeros_like(actions))


def _unscale(scaled: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """From [-1, 1] to the world's units; the clamp keeps rounding inside the bounds."""
    return torch.clamp((high + low) / 2 + scaled * (high - low) / 2, low, high)
