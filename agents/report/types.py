"""What a report is made of: typed values that the stages write into a run folder and `collect` reads back.

T actions shown   N candidates   A action dim   V planner views
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from agents.evaluation.protocol import Interval, wilson
from agents.evaluation.scores import Returns
from worldmodel.diagnostics.surprise import SurpriseScale
from worldmodel.types import ActionSpec


@dataclass(frozen=True)
class GroupScore:
    """The score on the episodes that began with one number of objects."""

    num_objects: int
    """Objects on the table at the start."""
    n: int
    """Episodes."""
    success: Interval
    """Episodes cleared."""


@dataclass(frozen=True)
class Score:
    """One row of the score table."""

    name: str
    """Name of the agent."""
    n: int
    """Episodes."""
    success: Interval
    """Episodes cleared."""
    objects_cleared: float
    """Share of all objects that ended in the bin, in [0, 1]."""
    dropped: float
    """Share of all objects that ended on the floor, in [0, 1]."""
    plan_ms: tuple[float, float] | None
    """Time of one decision [ms], (p50, p95); None for an agent that was not timed."""
    episodes: tuple[dict[str, Any], ...] = ()
    """Its rows of the file's episodes, when they were kept."""
    identity: str = ""
    """Hash of what it was made of; empty when it was not kept."""
    returns: Returns | None = None
    """Sum of the rewards of an episode; None when it was not kept."""

    @property
    def groups(self) -> tuple[GroupScore, ...]:
        """Success by number of objects at the start, fewest first."""
        results: dict[int, list[bool]] = {}
        for episode in self.episodes:
            results.setdefault(int(episode["num_objects"]), []).append(bool(episode["success"]))
        return tuple(GroupScore(k, len(won), wilson(sum(won), len(won))) for k, won in sorted(results.items()))


@dataclass(frozen=True)
class Evaluation:
    """The evaluation as `evaluate --json` writes it."""

    protocol: dict[str, Any]
    """What was run, with its "hash"."""
    scores: tuple[Score, ...]
    """One an agent, in the order of the file."""
    machine: dict[str, Any] = field(default_factory=dict)
    """What the decisions were timed on."""
    absent: dict[str, str] = field(default_factory=dict)
    """Floor or ceiling that the world cannot have -> why."""


@dataclass(frozen=True)
class Curve:
    """One logged metric."""

    steps: np.ndarray
    """(M,) int64 training steps, increasing."""
    values: np.ndarray
    """(M,) float64."""


@dataclass(frozen=True)
class Strip:
    """A stretch of an episode beside what the model imagined from its first frame and the same actions."""

    real: np.ndarray
    """(T + 1, H, W, 3) uint8: the frames observed."""
    imagined: np.ndarray
    """(T + 1, H, W, 3) uint8: the first frame encoded and decoded, then the decoded predictions after 1 ... T actions."""
    actions: np.ndarray
    """(T, A) float32: the action between one frame and the next."""


@dataclass(frozen=True)
class PlannerView:
    """The candidates of one decision over the picture it was made from."""

    picture: np.ndarray
    """(H, W, 3) uint8."""
    candidates: np.ndarray
    """(N, A) float32: the first action of each candidate."""
    costs: np.ndarray
    """(N,) float: lower is better."""
    chosen: np.ndarray
    """(A,) float32: the action that was executed."""


@dataclass(frozen=True)
class HorizonCurve:
    """Prediction error 1 ... H actions ahead, beside a predictor that repeats the present."""

    predicted: tuple[float, ...]
    """Mean squared latent error of the model; a latent has unit variance."""
    copied: tuple[float, ...]
    """Of the present latent taken as the prediction."""
    num_windows: int
    """Windows averaged over."""
    predicted_cm: tuple[float, ...] = ()
    """Error of objects' places read off the prediction [cm]; empty where that was not measured."""
    copied_cm: tuple[float, ...] = ()
    """Off the present latent."""
    seen_cm: tuple[float, ...] = ()
    """Off the latent of the frame itself."""


@dataclass(frozen=True)
class ProbeRow:
    """What the progress head finds on frames it was not fitted on."""

    sweeps: int
    """Predicted actions between the observed frame and the latent; 0 for an observed one."""
    position_cm: float
    """Mean distance to the true position of the objects on the table [cm]."""
    status_accuracy: float
    """Share of objects whose status (on the table, in the bin, on the floor) is right."""
    num_frames: int
    """Frames averaged over."""


@dataclass(frozen=True)
class ReportData:
    """Everything that a report can show; what is missing is said to be missing."""

    title: str
    """Name of the run."""
    evaluation: Evaluation | None = None
    """Scores."""
    others: dict[str, Evaluation] = field(default_factory=dict)
    """Further evaluations, such as one for each number of objects, by name."""
    curves: dict[str, Curve] = field(default_factory=dict)
    """Logged metric, such as train/loss, -> its curve."""
    strips: tuple[Strip, ...] = ()
    """Imagined beside real."""
    action: ActionSpec | None = None
    """How to draw an action on a picture; None leaves the arrows out."""
    planner_views: tuple[PlannerView, ...] = ()
    """Decisions seen from inside."""
    horizon: HorizonCurve | None = None
    """Prediction error over the horizon."""
    probe: tuple[ProbeRow, ...] = ()
    """Probe error after predicted actions."""
    diagnostics: dict[str, float | str] = field(default_factory=dict)
    """Other measured numbers, by name."""
    alarms: tuple[str, ...] = ()
    """What is wrong with the model, a line each."""
    surprise: SurpriseScale | None = None
    """What errors are usual."""
    manifest: dict[str, Any] | None = None
    """The manifest, as plain JSON values."""
    config: str | None = None
    """The resolved configuration, as YAML text."""
    videos: tuple[Path, ...] = ()
    """Video files (mp4)."""
