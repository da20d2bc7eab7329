"""Can a planner use this model? Whether predictions depend on the action, rank actions rightly, and approach a goal.

A model may predict well by leaving everything as it is: nothing can be planned in it. So each recorded action is set beside
actions that were recorded in other windows, from the same latent.

B batch   T time   K tokens a frame   D latent width   A action dim   N other actions
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from worldmodel.errors import DataError
from worldmodel.types import Cost, WorldModel


@dataclass(frozen=True)
class PlannabilityReport:
    """How the last action of each window compares with others."""

    action_ratio: float
    """Distance between predictions for two actions, over the distance that the latent really moves (root mean squares).
    0: the action is ignored; about 1.4 where all change comes from the action and is predicted."""
    action_rank: float
    """Share of other actions whose prediction lies nearer to what really followed: 0 for a perfect model, 0.5 by chance."""
    cost_spread: float
    """Standard deviation of the candidates' costs over their mean, mean over windows; 0: a planner sees no difference."""
    error_over_copy: float
    """Squared error of the prediction for the recorded action, over that of saying that nothing changes."""
    num_windows: int
    """B."""
    num_candidates: int
    """1 + N."""


@torch.no_grad()
def plannability(
    model: WorldModel, z: Tensor, actions: Tensor, generator: torch.Generator, num_others: int = 8, cost: Cost | None = None
) -> PlannabilityReport:
    """Report on latents z (B, T, K, D) and the actions (B, T - 1, A) between them.

    `cost` is the planning cost whose spread is told; without one it is the squared distance to what really followed.
    """
    num_windows = len(z)
    num_others = min(num_others, num_windows - 1)
    if num_others < 1:
        raise DataError("plannability compares the actions of two windows or more")
    shifts = 1 + torch.randperm(num_windows - 1, generator=generator)[:num_others]
    last = actions[:, -1]
    candidates = torch.stack([last, *(last.roll(int(shift), 0) for shift in shifts)], dim=1).unsqueeze(2)  # (B, 1 + N, 1, A)
    # only the models that see several frames take the actions between them
    past = {"past_actions": actions[:, :-1]} if z.shape[1] > 2 else {}
    imagined = model.rollout(z[:, :-1], candidates, **past)  # (B, 1 + N, 1, K, D)
    ahead, real = imagined[:, :, 0], z[:, -1]
    apart = (ahead[:, 1:] - ahead[:, :1]).square().mean()
    moved = (real - z[:, -2]).square().mean()
    distance = (ahead - real.unsqueeze(1)).square().mean((-2, -1))  # (B, 1 + N)
    nearer = (distance[:, 1:] < distance[:, :1]).double() + 0.5 * (distance[:, 1:] == distance[:, :1]).double()
    costs = distance if cost is None else cost(imagined, candidates)
    spread = costs.std(dim=1) / costs.mean(dim=1).abs().clamp_min(1e-9)
    return PlannabilityReport(
        float((apart / moved.clamp_min(1e-12)).sqrt()),
        float(nearer.mean()),
        float(spread.mean()),
        float(distance[:, 0].mean() / moved.clamp_min(1e-12)),
        num_windows,
        1 + num_others,
    )


@torch.no_grad()
def cost_rank(model: WorldModel, z: Tensor, actions: Tensor, others: Tensor, cost: Cost) -> float:
    """Share of `others` (B, N, A) that the planning cost prefers to the action (B, A) recorded after latents z (B, 1, K, D).

    Ties count half: 0 where nothing is better than what was done, 0.5 where the cost tells nothing. It has a meaning only where
    the recorded actions lead to the goal, as in episodes that reached it. Imagined from one frame, one action ahead.
    """
    candidates = torch.cat([actions.unsqueeze(1), others], dim=1).unsqueeze(2)  # (B, 1 + N, 1, A)
    costs = cost(model.rollout(z, candidates), candidates)  # (B, 1 + N)
    better = (costs[:, 1:] < costs[:, :1]).double() + 0.5 * (costs[:, 1:] == costs[:, :1]).double()
    return float(better.mean())


@dataclass(frozen=True)
class GoalReport:
    """Latent distance to the last frame of episodes that reached their goal."""

    falling_share: float
    """Share of actions after which it is smaller, the last action left out."""
    order: float
    """Mean rank correlation of that distance with the actions left: 1 when it falls with every action, 0 for no relation."""
    num_episodes: int
    """Episodes of three actions or more."""


def goal_approach(episodes: Sequence[Tensor]) -> GoalReport | None:
    """Report on the latents (T, K, D) of whole episodes; None when all of them are too short to have an order."""
    falls, orders = [], []
    for z in episodes:
        if len(z) < 4:
            continue
        distance = (z[:-1] - z[-1]).square().mean((-2, -1)).double()  # (T - 1,), the goal's own zero left out
        falls.append((distance[1:] < distance[:-1]).double().mean())
        left = torch.arange(len(distance), 0, -1, dtype=torch.float64, device=z.device)
        orders.append(torch.corrcoef(torch.stack([distance.argsort().argsort().double(), left]))[0, 1])
    if not falls:
        return None
    return GoalReport(float(torch.stack(falls).mean()), float(torch.stack(orders).mean()), len(falls))
