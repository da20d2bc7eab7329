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

from agents.costs import GoalDistance, ProgressCost
from agents.training.recordings import AnyWindows, Recordings
from agents.training.runs import Run
from worldmodel.diagnostics import (
    MAX_HORIZON,
    HorizonReport,
    SurpriseScale,
    alarms,
    collapse,
    cost_rank,
    fit_surprise,
    goal_approach,
    horizon_errors,
    normality,
    plannability,
    surprise,
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
    """Everything, on validation episodes; surprise is calibrated on some windows of `calibration`, and checked on others, which
    may be of the same episodes.

    One embodiment is looked at, which the model is from now on. Without heads, in latent units alone. Goals are those of
    episodes that were solved, whoever acted: an actor is drawn for each action (`RecordConfig`), and a dataset does not say
    where it was the expert.
    """
    model, head = run.model, run.heads.progress if run.heads is not None else None
    model.embody(embodiment)
    drifting = draw(longest_windows(recordings, embodiment), NUM_WINDOWS, generator)
    drift = horizon_errors(model, drifting, head)

    order = torch.randperm(calibration.num_windows, generator=generator).numpy()
    usual = calibration.batch(np.sort(order[:NUM_WINDOWS]))
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
    seen = [latents_of(run, episode) for episode in solved]
    goal = goal_approach(seen)
    if goal is not None:
        measures |= {"goal_order": goal.order, "goal_falling_share": goal.falling_share, "goal_episodes": goal.num_episodes}
    if solved:
        measures["cost_rank"] = rank_of_solving(run, solved, seen, generator)
    scale = fit_surprise(model, usual) if len(z) > 1 else None
    if scale is not None and len(order) > NUM_WINDOWS + 1:
        z_scores = surprise_of(run, scale, calibration.batch(np.sort(order[NUM_WINDOWS : 2 * NUM_WINDOWS])))
        measures |= {"surprise_z_mean": float(z_scores.mean()), "surprise_z_std": float(z_scores.std())}
    return HealthReport(drift, len(drifting.actions), measures, scale)


def surprise_of(run: Run, scale: SurpriseScale, windows: Window) -> torch.Tensor:
    """z-scores (B,) of the second frames of windows, one action after the first: about N(0, 1) where the scale is right."""
    before, after = ({key: value[:, t : t + 1] for key, value in windows.observations.items()} for t in (0, 1))
    return surprise(run.model, scale, before, windows.actions[:, :1], after)


def rank_of_solving(run: Run, solved: list[Episode], seen: list[torch.Tensor], generator: torch.Generator) -> float:
    """`cost_rank` of the actions of solved episodes, with latents `seen` (T + 1, K, D), among uniformly random ones.

    The cost is what the run plans with; the distance to a goal is that to the end of the episode.
    """
    model, config = run.model, run.experiment().cost
    rows = torch.tensor([(e, t) for e, episode in enumerate(solved) for t in range(episode.num_actions)])
    rows = rows[torch.randperm(len(rows), generator=generator)[:NUM_COMPARED]].tolist()
    z = torch.stack([seen[e][t] for e, t in rows]).unsqueeze(1)  # (B, 1, K, D)
    done = torch.stack([torch.from_numpy(np.array(solved[e].actions[t], np.float32)) for e, t in rows])  # (B, A)
    low, high = (torch.tensor(bound, dtype=torch.float32) for bound in (model.spec.action.low, model.spec.action.high))
    others = low + (high - low) * torch.rand(len(rows), NUM_OTHERS, len(low), generator=generator)
    if run.heads is not None and config.name == "progress":
        cost = ProgressCost(run.heads.progress, config.progress)
    else:
        goals = torch.stack([seen[e][-1] for e, _ in rows])
        cost = GoalDistance(goals, config.goal, config.goal.weights(model.encoder.layout))
    return cost_rank(model, z, done.to(run.device), others.to(run.device), cost)


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


TOLD = ("std", "effective_rank", "action_ratio", "action_rank", "cost_rank", "cost_spread", "error_over_copy", "goal_order")
"""Numbers that are told on one line."""


def _object(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged ({error}); measure the run again") from None
