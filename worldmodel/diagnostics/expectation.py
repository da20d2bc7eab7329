"""Violation of expectation: is a model more surprised by what cannot happen than by what does?

Pairs of events share everything up to one edit of the outcome. AUROC of the surprise, for each kind of violation: the chance
that a violated event surprises more than a natural one, any natural one of that kind (Riochet et al., IntPhys,
arXiv:1803.07616; there also the easier question whether the violated event of each pair surprises more than its own natural).

P pairs   R draws   K tokens a frame
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from worldmodel.diagnostics.surprise import SurpriseScale, surprise
from worldmodel.errors import DataError
from worldmodel.jepa import JEPA


@dataclass(frozen=True)
class EventPair:
    """One transition, as it went and as it could not have gone."""

    kind: str
    """What was violated, such as vanished."""
    before: Mapping[str, np.ndarray]
    """Observation before the action, sensor -> array of one frame."""
    action: np.ndarray
    """(A,)."""
    natural: Mapping[str, np.ndarray]
    """Observation after it."""
    violated: Mapping[str, np.ndarray]
    """The same with the edit."""


@dataclass(frozen=True)
class ExpectationReport:
    """Of one kind."""

    auroc: float
    """Chance that a violated event surprises more than a natural one; 0.5 for a model that notices nothing."""
    low: float
    """Lower end of its 95 % interval."""
    high: float
    """Upper end."""
    paired: float
    """Share of pairs in which the violated event surprises more than the natural one."""
    natural_z: float
    """Median surprise of the natural events."""
    violated_z: float
    """Median surprise of the violated ones."""
    num_pairs: int
    """P."""


def auroc(low: np.ndarray, high: np.ndarray) -> float:
    """Chance that one of `high` (M,) exceeds one of `low` (N,), ties counting half (Mann and Whitney's U over M * N)."""
    if len(low) == 0 or len(high) == 0:
        raise DataError("AUROC needs a value of each class")
    low, high = np.asarray(low)[None], np.asarray(high)[:, None]
    return float((high > low).mean() + 0.5 * (high == low).mean())


def auroc_interval(natural: np.ndarray, violated: np.ndarray, num_draws: int = 2000) -> tuple[float, float]:
    """95 % interval of the AUROC of pairs (P,) and (P,): the percentile bootstrap (Efron and Tibshirani 1993, section 13.3).

    Whole pairs are drawn, as the two ends of one transition are no independent events. The draws are always the same.
    """
    higher = violated[:, None] > natural[None]
    chance = higher + 0.5 * (violated[:, None] == natural[None])  # (P, P): mean is the AUROC
    num = len(natural)
    counts = np.random.default_rng(0).multinomial(num, np.full(num, 1 / num), size=num_draws)  # (R, P)
    low, high = np.quantile((counts @ chance * counts).sum(1) / num**2, (0.025, 0.975))
    return float(low), float(high)


def violation_of_expectation(
    model: JEPA, scale: SurpriseScale, pairs: Sequence[EventPair], batch_size: int = 64
) -> dict[str, ExpectationReport]:
    """Kind -> how well surprise tells its violations; the observations must be as the model takes them."""
    if not pairs:
        raise DataError("there are no pairs of events to compare")
    natural = _surprises(model, scale, pairs, [pair.natural for pair in pairs], batch_size)
    violated = _surprises(model, scale, pairs, [pair.violated for pair in pairs], batch_size)
    kinds = np.array([pair.kind for pair in pairs])
    found = {}
    for kind in dict.fromkeys(kinds.tolist()):
        usual, odd = natural[kinds == kind], violated[kinds == kind]
        share = float((odd > usual).mean() + 0.5 * (odd == usual).mean())
        found[kind] = ExpectationReport(
            auroc(usual, odd), *auroc_interval(usual, odd), share, float(np.median(usual)), float(np.median(odd)), len(usual)
        )
    return found


def _surprises(
    model: JEPA, scale: SurpriseScale, pairs: Sequence[EventPair], after: Sequence[Mapping[str, np.ndarray]], batch_size: int
) -> np.ndarray:
    """z-scores (P,) of these ends of the transitions."""
    parts = []
    for start in range(0, len(pairs), batch_size):
        rows = range(start, min(start + batch_size, len(pairs)))
        actions = torch.from_numpy(np.stack([np.asarray(pairs[row].action, np.float32) for row in rows]))[:, None]
        seen = [_stack([side[row] for row in rows], model.config.sensors) for side in ([p.before for p in pairs], after)]
        parts.append(surprise(model, scale, seen[0], actions, seen[1]).cpu().numpy())
    return np.concatenate(parts)


def _stack(observations: Sequence[Mapping[str, np.ndarray]], sensors: Sequence[str]) -> dict[str, Tensor]:
    """Those sensors of single frames as (B, 1, ...)."""
    return {key: torch.from_numpy(np.stack([obs[key] for obs in observations]))[:, None] for key in sensors}
