"""The part of the page that says whether the model is any good before it acts: alarms, and the numbers behind them."""

from __future__ import annotations

import math

from agents.report import page
from agents.report.scores import cell
from agents.report.types import ReportData
from worldmodel.diagnostics.alarms import ALARMS, alarms

HEALTH = {
    "std": "spread of the latent over frames (standard deviation)",
    "dead_share": "share of the latent that never changes",
    "effective_rank": "directions that a token really uses",
    "epps_pulley": "distance from a normal distribution (1.06 for a normal one)",
    "action_ratio": "how far another action moves the prediction, over how far the world moves",
    "action_rank": "other actions that would explain the outcome better (0.5 by chance)",
    "cost_rank": "random actions that the planner's cost prefers to those of solved episodes (0.5 by chance)",
    "cost_spread": "spread of the planner's costs over their mean",
    "error_over_copy": "error one action ahead, over that of saying that nothing changes",
    "goal_order": "goal distance falls along solved episodes (rank correlation)",
    "goal_falling_share": "actions of solved episodes after which it is smaller",
}
"""Measured number -> what it is."""


def measured(data: ReportData) -> tuple[dict[str, float | str], tuple[str, ...], int | None]:
    """Numbers by name and what is alarming of them: of the finished model, else of the last validation, after so many updates.

    The number of updates is None for a finished model's own.
    """
    if data.diagnostics.keys() & HEALTH.keys():
        return data.diagnostics, data.alarms, None
    curves = {name.removeprefix("val/"): curve for name, curve in data.curves.items() if name.startswith("val/")}
    last = {name: float(curve.values[-1]) for name, curve in curves.items() if name in HEALTH}
    return dict(last), tuple(alarms(last)), max((int(curves[name].steps[-1]) for name in last), default=0)


def health(data: ReportData) -> str:
    """Alarms first, then each number beside what is expected of it."""
    heading = "Is the model sound?"
    expected = {alarm.name: f"{'<' if alarm.too_high else '>'} {alarm.threshold:g}" for alarm in ALARMS}
    values, alarming, step = measured(data)
    rows = [
        (page.text(what), cell(values[name]), page.text(expected.get(name, "")))
        for name, what in HEALTH.items()
        if name in values
    ]
    if not rows:
        return page.section(heading, page.missing("The model's health is missing: it is not in diagnostics.json of this run."))
    told = [page.alarm(f"Alarm: {line}.") for line in alarming] or [page.lead("No alarm.")]
    when = [page.lead(f"At the last validation, after {step:,} updates.")] if step is not None else []
    table = page.table(("", "measured", "expected"), rows, numeric=(1, 2))
    line = surprise_line(data)
    surprise = page.lead(f"Surprise, {line}.") if line else page.missing("Surprise is missing: it was not calibrated.")
    return page.section(heading, *when, *told, table, surprise)


def surprise_line(data: ReportData) -> str | None:
    """What z-scores of surprise mean in this run, and what windows outside the calibration have; None without a scale."""
    scale = data.surprise
    if scale is None:
        return None
    usual, odd = (math.expm1(scale.mean[0] + z * scale.std[0]) for z in (0, 2))
    line = f"1 action ahead: z 0 is {usual:.2f} times the expected error, z 2 is {odd:.2f} times"
    mean, std = (data.diagnostics.get(f"surprise_z_{name}") for name in ("mean", "std"))
    if isinstance(mean, float) and isinstance(std, float):
        line += f"; other windows have z {mean:.2f} ± {std:.2f}"
    return f"{line}; calibrated on {scale.num_windows} windows, up to {len(scale.mean)} ahead"
