"""One experiment, from recording to report, as one strictly checked YAML file.

config = load_experiment(Path("configs/demo.yaml"), ("train.num_steps=100",))
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from agents import strict
from agents.costs import GoalDistanceConfig, ProgressCostConfig
from agents.evaluation.evaluate import EvalConfig
from agents.planners import CEMConfig, ElitesConfig, MPPIConfig, SamplingConfig
from agents.recording.record import RecordConfig
from worldmodel.checks import require_at_least, require_positive, require_seed, require_share
from worldmodel.errors import ConfigError
from worldmodel.framing import Framing
from worldmodel.heads import HeadsConfig
from worldmodel.jepa import JEPAConfig
from worldmodel.objectives import ObjectiveConfig
from worldmodel.train.config import TrainConfig
from worldmodel.train.logging import LoggingConfig


@dataclass(frozen=True)
class EnvConfig:
    """Which world."""

    id: str = "worldmodel/TableClear-v0"
    """Gymnasium id, with its namespace."""
    kwargs: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of gymnasium.make."""


@dataclass(frozen=True)
class MixturePart:
    """One dataset of a mixture."""

    path: str
    """Dataset folder, or a view file."""
    weight: float = 1.0
    """How often a window is drawn from it, relative to the others."""
    embodiment: int = 0
    """Datasets of one number share batches; different robots get different numbers."""

    def __post_init__(self) -> None:
        """Raise ConfigError for a dataset that would never be drawn from."""
        require_positive(self, "weight")
        require_at_least(self, 0, "embodiment")


@dataclass(frozen=True)
class DataConfig:
    """How recorded episodes become windows."""

    val_fraction: float = 0.05
    """Share of the episodes that is kept for validation."""
    stride: int = 1
    """Steps between the beginnings of two windows of an episode."""
    frame_skip: int = 1
    """Steps between two frames of a window; the actions between them are one block, which the model takes as one action."""
    image_size: int | None = None
    """Height and width of pictures as the model sees them [px], averaged by area; null for those of the recording."""
    source: Literal["auto", "cache", "stream"] = "auto"
    """Where windows come from: unpacked frames in a cache, or the shards. Auto streams what is larger than cache_gb."""
    cache_dir: str | None = None
    """Folder of caches; null is $WORLDMODEL_CACHE, or else the dataset's own folder."""
    cache_gb: float = 50.0
    """Largest cache of one dataset [GB]."""
    buffer_windows: int = 16384
    """Windows among which streaming shuffles; the episodes that they are in are kept in memory."""
    mixture: tuple[MixturePart, ...] = ()
    """Datasets that are drawn from by weight, in place of --data."""
    weights: tuple[float, ...] = ()
    """Weight of each --data, where there are several; empty for equal ones."""

    def __post_init__(self) -> None:
        """Raise ConfigError for a cut that leaves nothing."""
        require_share(self, "val_fraction", one=False)
        require_at_least(self, 1, "stride", "frame_skip")
        require_at_least(self, 2, "buffer_windows")
        require_positive(self, "cache_gb")
        if self.image_size is not None:
            require_at_least(self, 1, "image_size")
        if not all(0 < weight < math.inf for weight in self.weights):
            raise ConfigError(f"weights is {list(self.weights)}; expected positive numbers")

    @property
    def framing(self) -> Framing:
        """Which frames the model sees."""
        return Framing(self.frame_skip, self.image_size)


@dataclass(frozen=True)
class MeasureConfig:
    """How a trained model is measured before it acts."""

    num_probe_frames: int = 0
    """Labelled training frames on which a probe is fitted that measures the latent and serves no agent; 0 fits none."""

    def __post_init__(self) -> None:
        """Raise ConfigError for a probe of too few frames."""
        if self.num_probe_frames != 0 and self.num_probe_frames < 100:
            raise ConfigError(f"num_probe_frames is {self.num_probe_frames}; expected 0, or at least 100")


@dataclass(frozen=True)
class PlannerConfig:
    """Which planner, and how each of them searches."""

    name: Literal["cem", "elites", "mppi"] = "elites"
    """The one that plans; the others' settings lie unused."""
    cem: CEMConfig = field(default_factory=CEMConfig)
    """Cross-entropy method."""
    elites: ElitesConfig = field(default_factory=ElitesConfig)
    """Elite resampling."""
    mppi: MPPIConfig = field(default_factory=MPPIConfig)
    """Model-predictive path integral."""
    num_recorded_actions: int = 4096
    """Recorded actions that travel with the model as first candidates; 0 for none."""
    decision_seconds: float | None = None
    """Time after which a decision answers with the best so far [s]; null lets every search finish."""

    def __post_init__(self) -> None:
        """Raise ConfigError for a search that could not begin."""
        require_at_least(self, 0, "num_recorded_actions")
        if self.decision_seconds is not None:
            require_positive(self, "decision_seconds")

    @property
    def chosen(self) -> SamplingConfig:
        """The config of the planner that plans."""
        return getattr(self, self.name)


@dataclass(frozen=True)
class CostConfig:
    """What a plan should make small."""

    name: Literal["progress", "goal"] = "progress"
    """The progress head's reading, or the distance to a goal picture."""
    progress: ProgressCostConfig = field(default_factory=ProgressCostConfig)
    """Expected number of objects still to be cleared."""
    goal: GoalDistanceConfig = field(default_factory=GoalDistanceConfig)
    """Distance to a goal picture."""


@dataclass(frozen=True)
class ExperimentConfig:
    """Everything that a run depends on; RUN/config.yaml holds the resolved one."""

    env: EnvConfig = field(default_factory=EnvConfig)
    """The world."""
    record: RecordConfig = field(default_factory=RecordConfig)
    """What is recorded there."""
    data: DataConfig = field(default_factory=DataConfig)
    """How it is cut."""
    model: JEPAConfig = field(default_factory=JEPAConfig)
    """What learns."""
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    """What it learns from."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """How it is fitted."""
    heads: HeadsConfig = field(default_factory=HeadsConfig)
    """What is read off it."""
    measure: MeasureConfig = field(default_factory=MeasureConfig)
    """What the latent is found to hold."""
    planner: PlannerConfig = field(default_factory=PlannerConfig)
    """How it is searched."""
    cost: CostConfig = field(default_factory=CostConfig)
    """For what."""
    evaluate: EvalConfig = field(default_factory=EvalConfig)
    """How it is scored."""
    logging: LoggingConfig = field(default_factory=LoggingConfig)
    """Who is told."""

    def __post_init__(self) -> None:
        """Raise ConfigError for parts that do not fit each other."""
        steps = self.objective.rollout_steps
        if self.objective.rollout_coef > 0 and self.train.num_frames < steps + 1:
            raise ConfigError(
                f"train.num_frames is {self.train.num_frames}; expected at least {steps + 1}, "
                f"one more than objective.rollout_steps, which is {steps}"
            )
        if self.train.num_frames < self.objective.num_frames:
            raise ConfigError(
                f"train.num_frames is {self.train.num_frames}; expected at least {self.objective.num_frames}: "
                "objective.inverse_dynamics_steps needs one frame more, objective.straightening_coef needs three"
            )
        seen = self.model.context_length
        if self.objective.predicts and self.train.num_frames < seen + 1:
            raise ConfigError(
                f"train.num_frames is {self.train.num_frames}; expected at least {seen + 1}, one more than "
                f"model.context_length, which is {seen}: a prediction sees so many frames, and training should show them"
            )
        if self.train.init_encoder == "target" and self.train.init_from is None:
            raise ConfigError("train.init_encoder is target, and train.init_from is null; name the run whose target it is")
        if self.model.encoder.frozen and self.train.init_from is None:
            raise ConfigError(
                "model.encoder.frozen is true, and train.init_from is null: nobody has trained that encoder; name a run, or "
                "leave the encoder free (a pretrained network alone is frozen by model.encoder.pretrained.frozen)"
            )
        require_seed("evaluate.seed", self.evaluate.seed)
        if not self.evaluate.agents:
            raise ConfigError("evaluate.agents is empty; expected names, such as [random, worldmodel, expert]")

    def require_whole_windows(self) -> None:
        """Raise ConfigError when an episode of this world cannot hold the frames that training or the heads look at."""
        steps = self.env.kwargs.get("max_sweeps")
        if not isinstance(steps, int):
            return  # the environment's own choice, or something that the environment will refuse
        budget = steps // self.data.frame_skip
        skipping = f" with data.frame_skip {self.data.frame_skip}" if self.data.frame_skip > 1 else ""
        room = f"but an episode of env.kwargs.max_sweeps {steps} has {budget + 1} frames at most{skipping}"
        if self.train.num_frames > budget + 1:
            raise ConfigError(f"train.num_frames is {self.train.num_frames}, {room}")
        if self.heads.max_steps_ahead > budget:
            ahead = self.heads.max_steps_ahead
            raise ConfigError(f"heads.max_steps_ahead is {ahead}, which needs {ahead + 1} frames, {room}")


def load_experiment(path: Path, overrides: Sequence[str] = ()) -> ExperimentConfig:
    """The experiment of a YAML file with `key=value` overrides. ConfigError in one line for any slip."""
    config = strict.load(ExperimentConfig, path, overrides)
    try:
        config.require_whole_windows()
    except ConfigError as error:
        raise strict.between(str(path), (text.partition("=")[0] for text in overrides), str(error)) from error
    return config
