"""Planners by name: each is the loop of `sampling.py` with its own update rule."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from torch import Tensor

from agents.planners.cem import CEM, CEMConfig
from agents.planners.elites import EliteResampling, ElitesConfig
from agents.planners.mppi import MPPI, MPPIConfig
from agents.planners.plan import Plan, Planner, PlanTrace
from agents.planners.proposals import Proposals, RecordedActions
from agents.planners.sampling import SamplingConfig, SamplingPlanner, UpdateRule
from worldmodel.errors import ConfigError
from worldmodel.types import ActionSpec

PLANNERS: dict[str, tuple[type[SamplingConfig], Callable[[Any], UpdateRule]]] = {
    "cem": (CEMConfig, CEM),
    "elites": (ElitesConfig, EliteResampling),
    "mppi": (MPPIConfig, MPPI),
}
"""Name -> (its config, its update rule)."""


def build_planner(
    config: SamplingConfig,
    action: ActionSpec,
    proposals: Tensor | Proposals | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> SamplingPlanner:
    """The planner that a config belongs to."""
    for config_class, rule in PLANNERS.values():
        if type(config) is config_class:
            return SamplingPlanner(rule(config), config, action, proposals, clock)
    raise ConfigError(f"{type(config).__name__} is the config of no planner; available: {', '.join(sorted(PLANNERS))}")


__all__ = [
    "CEM",
    "MPPI",
    "PLANNERS",
    "CEMConfig",
    "EliteResampling",
    "ElitesConfig",
    "MPPIConfig",
    "Plan",
    "PlanTrace",
    "Planner",
    "Proposals",
    "RecordedActions",
    "SamplingConfig",
    "SamplingPlanner",
    "UpdateRule",
    "build_planner",
]
