"""What validation tells of a model while it trains: numbers for the log, and an alarm once something stays wrong.

B batch   T time   K tokens a frame   D latent width   A action dim
"""

from __future__ import annotations

import dataclasses
import logging

import torch
from torch import Tensor

from worldmodel.diagnostics.alarms import alarms
from worldmodel.diagnostics.collapse import collapse, normality
from worldmodel.diagnostics.plannability import plannability
from worldmodel.types import WorldModel

logger = logging.getLogger(__name__)

NUM_WINDOWS = 32
"""Windows whose actions are compared, at most: a few hundred imagined frames, a quarter of a second on one core."""
PATIENCE = 3
"""Validations in a row at which the same thing has to be wrong: a young predictor moves nothing, and is no alarm."""


class Health:
    """health(model, z, actions) -> numbers by name. Always the same draws, none of which training draws from."""

    def __init__(self, num_others: int = 4, *, plans: bool = True) -> None:
        """`num_others`: actions of other windows that each recorded one is compared with.

        `plans`: whether the model learns what actions do; pretraining on films does not.
        """
        self.num_others, self.plans = num_others, plans
        self._wrong: dict[str, int] = {}

    def __call__(self, model: WorldModel, z: Tensor, actions: Tensor) -> dict[str, float]:
        """Of latents z (B, T, K, D) and the actions (B, T - 1, A) between them; `alarms` counts what is wrong now.

        What stays wrong for `PATIENCE` calls is logged once as a warning, and again when it comes back.
        """
        report = collapse(z)
        found = {"std": report.mean_std, "dead_share": report.dead_share, "effective_rank": report.effective_rank}
        found["epps_pulley"] = normality(z)
        if self.plans and len(z) > 1:
            generator = torch.Generator().manual_seed(0)
            report = plannability(model, z[:NUM_WINDOWS], actions[:NUM_WINDOWS], generator, self.num_others)
            plan = dataclasses.asdict(report)
            found |= {name: plan[name] for name in ("action_ratio", "action_rank", "cost_spread", "error_over_copy")}
        lines = alarms(found)
        self._tell(lines)
        return found | {"alarms": float(len(lines))}

    def _tell(self, lines: list[str]) -> None:
        """Count how long each thing has been wrong; a line is known by its words before the numbers."""
        counts = {}
        for line in lines:
            meaning = line.split(" (")[0]
            counts[meaning] = self._wrong.get(meaning, 0) + 1
            if counts[meaning] == PATIENCE:
                logger.warning("%s", line)
        self._wrong = counts
