"""One plain line for each way in which a run has gone wrong: what was measured, what was expected, what it means.

Thresholds are far from what a healthy run shows (the shipped one: std 0.8, no dead channel, effective rank 6 of 16, action
ratio 1.0, action rank 0.1, cost spread 0.2, error 0.3 of copying, goal order 0.8) and near what a broken one does: an
ignored action has ratio 0, rank 0.5 and spread 0. A run that trips none of them may still be poor.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Alarm:
    """One measured number and where it becomes alarming."""

    name: str
    """Of the number, as the diagnostics call it."""
    threshold: float
    """The last value that is no alarm."""
    too_high: bool
    """Whether values above the threshold alarm, or below."""
    meaning: str
    """What it says about the run."""

    def line(self, value: float) -> str | None:
        """The alarm, or None while the value is as expected. A value that is no number alarms."""
        wrong = value > self.threshold if self.too_high else value < self.threshold
        if not wrong and math.isfinite(value):
            return None
        side = "<" if self.too_high else ">"
        return f"{self.meaning} ({self.name.replace('_', ' ')} {value:.2g}; expected {side} {self.threshold:g})"


ALARMS = (
    Alarm("std", 0.2, False, "the latent has collapsed: it hardly changes from frame to frame"),
    Alarm("dead_share", 0.5, True, "most of the latent is dead: these places and channels never change"),
    Alarm("effective_rank", 1.5, False, "the latent has collapsed to a line: its channels all say the same"),
    Alarm("action_ratio", 0.2, False, "predictions ignore the action"),
    Alarm("action_rank", 0.4, True, "predictions do not tell the action that was done from others, which is 0.5"),
    Alarm("cost_spread", 0.01, False, "the planner sees no difference between candidates"),
    Alarm("error_over_copy", 0.95, True, "predictions are no better than saying that nothing changes"),
    Alarm("goal_order", 0.2, False, "latent distance to the goal does not fall along episodes that reach it"),
)


def alarms(measures: Mapping[str, float]) -> list[str]:
    """The lines for those of the numbers that are wrong, in the order of ALARMS; numbers that are absent are silent."""
    lines = (alarm.line(measures[alarm.name]) for alarm in ALARMS if alarm.name in measures)
    return [line for line in lines if line is not None]
