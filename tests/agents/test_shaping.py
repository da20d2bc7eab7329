"""Settings that came later change nothing where they are not used: a run from before them is still the same run."""

from __future__ import annotations

import dataclasses

from agents import strict
from agents.stages import shaping_objective
from worldmodel.objectives import ObjectiveConfig

FIRST = {
    "prediction_coef": 1.0,
    "rollout_coef": 1.0,
    "rollout_steps": 2,
    "stop_gradient_target": False,
    "sigreg_coef": 0.05,
    "sigreg": {"num_places": 16, "num_projections": 16, "num_knots": 17, "t_max": 3.0},
    "inverse_dynamics_coef": 0.0,
}
"""The objective as the first manifests hold it."""


def test_an_old_run_is_still_the_same_run() -> None:
    assert shaping_objective(strict.to_plain(ObjectiveConfig())) == shaping_objective(FIRST) == FIRST


def test_any_setting_that_is_changed_makes_another_run() -> None:
    changes = [{"target": "ema"}, {"variance_coef": 1.0}, {"inverse_dynamics_steps": 2}, {"rollout_coef": 0.5}]
    found = [shaping_objective(strict.to_plain(dataclasses.replace(ObjectiveConfig(), **c))) for c in changes]
    assert all(one != FIRST for one in found)
    assert [one.get("target") for one in found] == ["ema", None, None, None]
