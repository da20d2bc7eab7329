"""What a latent and a predictor are worth: collapse, plannability, error over the horizon, surprise, what a probe finds."""

from __future__ import annotations

from worldmodel.diagnostics.alarms import ALARMS, Alarm, alarms
from worldmodel.diagnostics.collapse import CollapseReport, collapse, normality
from worldmodel.diagnostics.expectation import EventPair, ExpectationReport, auroc, auroc_interval, violation_of_expectation
from worldmodel.diagnostics.health import Health
from worldmodel.diagnostics.horizon import MAX_HORIZON, HorizonReport, horizon_errors
from worldmodel.diagnostics.plannability import GoalReport, PlannabilityReport, cost_rank, goal_approach, plannability
from worldmodel.diagnostics.probe import probe
from worldmodel.diagnostics.surprise import SurpriseScale, fit_surprise, surprise

__all__ = [
    "ALARMS",
    "MAX_HORIZON",
    "Alarm",
    "CollapseReport",
    "EventPair",
    "ExpectationReport",
    "GoalReport",
    "Health",
    "HorizonReport",
    "PlannabilityReport",
    "SurpriseScale",
    "alarms",
    "auroc",
    "auroc_interval",
    "collapse",
    "cost_rank",
    "fit_surprise",
    "goal_approach",
    "horizon_errors",
    "normality",
    "plannability",
    "probe",
    "surprise",
    "violation_of_expectation",
]
