"""Whether a trained model is any good, before it acts: collapse, plannability, drift, surprise, and what is alarming of it.

    found = health_of(run, recordings, generator)

H actions ahead   K tokens a frame   D latent width
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agents.costs import ProgressCost
from agents.training.recordings import AnyWindows, Recordings
from agents.training.runs import Run
from worldmodel.diagnostics import (
    MAX_HORIZON,
    HorizonReport,
    SurpriseScale,
    alarms,
    collapse,
    fit_surprise,
    goal_approach,
    horizon_errors,
    normality,
    plannability,
)
from worldmodel.errors import CheckpointError, DataError
from worldmodel.types import Episode, Window

NUM_WINDOWS = 256
"""Windows that each number is taken on, at most."""
ENOUGH_WINDOWS = 32
"""Drift is told up to the longest horizon of which there are so many windows."""
NUM_COMPARED, NUM_OTHERS = 128, 16
"""Windows whose action is compared with others, and how many others."""
NUM_EPISODES = 40
"""Validation episodes among which those that reached their goal are followed."""


@dataclass(frozen=True)
class HealthReport:
    """What was found."""

    horizon: HorizonReport
    """Error over the horizon, in latent units and in centimetres."""
    num_windows: int
    """Windows that it is a mean over: of episodes with at least H actions."""
    measures: dict[str, float | str]
    """Numbers by name; those of `worldmodel.diagnostics.ALARMS` among them."""
    surprise: SurpriseScale | None
    """What errors are usual; None of a single window, which cannot tell."""

    @property
    def alarms(self) -> list[str]:
        """A line for each thing that is wrong."""
        return alarms({name: value for name, value in self.measures.items() if isinstance(value, float)})


def health_of(
    run: Run, recordings: Recordings, generator: torch.Generator, calibration: AnyWindows, embodiment: int = 0
) -> HealthReport:
    """Everything, on validation episodes; `calibration` are the windows that surprise is calibrated on.

    One embodiment is looked at, which the model is from now on. Without heads, in latent units alone.
    """
    model, head = run.model, run.heads.progress if run.heads is not None else None
    model.embody(embodiment)
    drifting = draw(longest_windows(recordings, embodiment), NUM_WINDOWS, generator)
    drift = horizon_errors(model, drifting, head)

    usual = draw(calibration, NUM_WINDOWS, generator)
    with torch.no_grad():
        z = model.encode({key: value.to(run.device) for key, value in usual.observations.items()})
    spread = collapse(z)
    measures: dict[str, float | str] = {
        "std": spread.mean_std,
        "dead_share": spread.dead_share,
        "effective_rank": spread.effective_rank,
        "epps_pulley": normality(z),
        "error_over_copy": drift.predicted[0] / max(drift.copied[0], 1e-12),
    }
    if len(z) > 1:
        seen = min(model.config.context_length, z.shape[1] - 1) + 1
        rows, actions = slice(NUM_COMPARED), usual.actions[:NUM_COMPARED, : seen - 1].to(run.device)
        cost = ProgressCost(head) if head is not None else None
        plan = plannability(model, z[rows, :seen], actions, generator, NUM_OTHERS, cost)
        measures |= {name: getattr(plan, name) for name in ("action_ratio", "action_rank", "cost_spread")}
    solved = [episode for episode in recordings.validation_episodes(NUM_EPISODES, 3, embodiment) if episode.success]
    goal = goal_approach([latents_of(run, episode) for episode in solved])
    if goal is not None:
        measures |= {"goal_order": goal.order, "goal_falling_share": goal.falling_share, "goal_episodes": goal.num_episodes}
    surprise = fit_surprise(model, usual) if len(z) > 1 else None
    return HealthReport(drift, len(drifting.actions), measures, surprise)


def longest_windows(recordings: Recordings, embodiment: int = 0) -> AnyWindows:
    """Validation windows of up to `MAX_HORIZON` actions: the longest of which there are enough, or failing that, any."""
    found: AnyWindows | None = None
    for num_actions in range(MAX_HORIZON, 0, -1):
        try:
            windows = recordings.windows(num_actions + 1, "val", stride=1, embodiment=embodiment)
        except DataError:
            continue  # the episodes are shorter
        if windows.num_windows >= ENOUGH_WINDOWS:
            return windows
        found = found or windows
    return found if found is not None else recordings.windows(2, "val", stride=1, embodiment=embodiment)


def draw(windows: AnyWindows, num: int, generator: torch.Generator) -> Window:
    """At most `num` of the windows, at random."""
    return windows.batch(np.sort(torch.randperm(windows.num_windows, generator=generator)[:num].numpy()))


@torch.no_grad()
def latents_of(run: Run, episode: Episode) -> torch.Tensor:
    """Latents (T, K, D) of a whole episode, as the model sees it."""
    # copies, because episodes read from disk may not be written to
    sensors = [key for key in run.model.config.sensors if key in episode.observations]
    obs = {key: torch.from_numpy(np.array(episode.observations[key]))[None] for key in sensors}
    return run.model.encode({key: value.to(run.device) for key, value in obs.items()})[0]


def load_surprise(run_dir: Path) -> SurpriseScale:
    """The scale of surprise in RUN/diagnostics.json. CheckpointError when the run was not measured with one."""
    path = run_dir / "diagnostics.json"
    if not path.is_file() or "surprise" not in (values := _object(path)):
        raise CheckpointError(f"{path} holds no scale of surprise; measure the run again: worldmodel train --resume")
    return SurpriseScale.from_json(values["surprise"])


def lines_of(measures: dict[str, Any], lines: Sequence[str]) -> list[str]:
    """What is told of a run's health in plain text: the alarms, or that there are none, and the numbers behind them."""
    shown = [f"{name.replace('_', ' ')} {measures[name]:.2g}" for name in TOLD if isinstance(measures.get(name), float)]
    return [*(f"ALARM {line}" for line in lines), *([", ".join(shown)] if shown else [])]


TOLD = ("std", "effective_rank", "action_ratio", "action_rank", "cost_spread", "error_over_copy", "goal_order")
"""Numbers that are told on one line."""


def _object(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged ({error}); measure the run again") from None
