"""A run folder as an agent: model, heads, and recorded actions that are a planner's first candidates, read back strictly.

M recorded actions   A action dim
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import Tensor, nn

from agents import strict
from agents.costs import GoalDistance, ProgressCost
from agents.episode_goals import EpisodeGoals, has_episode_goals
from agents.experiment import CostConfig, ExperimentConfig, PlannerConfig
from agents.goals import goal_from_picture, goal_observation
from agents.mpc import MPCAgent
from agents.planners import Planner, build_planner
from agents.training.recorded import Recorded, load_recorded
from agents.worldspec import spec_of
from worldmodel.errors import CheckpointError, ConfigError, MismatchError, unknown_name
from worldmodel.heads import PictureHead, PictureHeadConfig, ProgressHead, ProgressHeadConfig
from worldmodel.jepa import JEPA, JEPAConfig
from worldmodel.nn.embodied import Body
from worldmodel.objectives import ObjectiveConfig
from worldmodel.train.checkpoint import load_checkpoint, load_weights
from worldmodel.train.manifest import Manifest
from worldmodel.types import Cost, WorldSpec

AGENT_SECTIONS = ("env", "planner", "cost", "evaluate", "logging")
"""Parts of the experiment that an agent is built from; the others only say how it came about."""


@dataclass(frozen=True)
class HeadsRecord:
    """What the manifest says of heads.safetensors."""

    progress: ProgressHeadConfig
    """Status and position."""
    picture: PictureHeadConfig
    """Latent -> picture."""
    num_recorded_actions: int
    """M."""
    recorded_of_others: tuple[tuple[int, int], ...] = ()
    """(M, A) of each further embodiment."""


class Heads(nn.Module):
    """What is stored in heads.safetensors: both heads, and the recorded actions (M, A), blocks where the model takes blocks."""

    recorded_actions: Tensor

    def __init__(self, progress: ProgressHead, picture: PictureHead, recorded_actions: Tensor, *others: Tensor) -> None:
        """`others`: recorded actions of further embodiments."""
        super().__init__()
        self.progress, self.picture = progress, picture
        self.register_buffer("recorded_actions", recorded_actions)
        self.num_embodiments = 1 + len(others)
        for number, actions in enumerate(others, start=1):
            self.register_buffer(f"recorded_actions_{number}", actions)

    def recorded(self, embodiment: int) -> Tensor:
        """Recorded actions of an embodiment, (M, A)."""
        return getattr(self, f"recorded_actions_{embodiment}") if embodiment else self.recorded_actions

    def record(self) -> dict[str, Any]:
        """As the manifest's plain values."""
        others = [self.recorded(number) for number in range(1, self.num_embodiments)]
        shapes = tuple((len(actions), actions.shape[1]) for actions in others)
        record = HeadsRecord(self.progress.config, self.picture.config, len(self.recorded_actions), shapes)
        return json.loads(json.dumps(dataclasses.asdict(record)))


@dataclass(frozen=True)
class Run:
    """A trained model with all that belongs to it, in evaluation mode."""

    directory: Path
    """Where it was read."""
    manifest: Manifest
    """What it says of itself."""
    model: JEPA
    """The world model."""
    heads: Heads | None
    """None while they are not fitted."""
    device: torch.device
    """Where the weights are."""
    recorded: Recorded | None = None
    """Frames and actions that are kept of a recording without labels, which has no heads."""

    def prepare(self, observations: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """Observations as the world gives them -> as the model takes them."""
        return self.manifest.framing.pictures(observations, self.manifest.spec)

    @property
    def worlds(self) -> tuple[WorldSpec, ...]:
        """The world of each embodiment, as it was recorded."""
        return (self.manifest.spec, *(body.spec for body in self.manifest.embodiments))

    def experiment(self, overrides: tuple[str, ...] = ()) -> ExperimentConfig:
        """The settings that an agent is built from, as the run was started with them, `key=value` overrides on top."""
        values = {name: self.manifest.experiment[name] for name in AGENT_SECTIONS if name in self.manifest.experiment}
        sections = {field.name for field in dataclasses.fields(ExperimentConfig)} - {*AGENT_SECTIONS}
        wrong = [text for text in overrides if text.partition("=")[0].split(".")[0] in sections]
        if wrong:
            raise ConfigError(f"command line: {wrong[0]!r} cannot be changed after training; only {', '.join(AGENT_SECTIONS)}")
        return strict.build(ExperimentConfig, values, overrides, source=f"{self.directory / 'manifest.json'}: experiment")


def load_run(directory: Path, device: torch.device | str = "cpu") -> Run:
    """The run in a folder. CheckpointError in one line for whatever is missing, damaged, or of another model."""
    checkpoint = load_checkpoint(directory)
    manifest, device = checkpoint.manifest, torch.device(device)
    source = str(directory / "manifest.json")
    spec = manifest.framing.spec(manifest.spec)  # the world as the model sees it
    others = [Body(manifest.framing.spec(body.spec), body.normalisation) for body in manifest.embodiments]
    model = JEPA(_config(JEPAConfig, manifest.model, f"{source}: model"), spec, manifest.normalisation, others)
    load_weights(model, checkpoint.model, str(directory / "model.safetensors"))
    heads = None
    if manifest.heads is not None and checkpoint.heads is not None:
        record = _config(HeadsRecord, manifest.heads, f"{source}: heads")
        actions = torch.zeros(record.num_recorded_actions, spec.action.dim)
        of_others = [torch.zeros(shape) for shape in record.recorded_of_others]
        heads = Heads(ProgressHead(record.progress), PictureHead(record.picture), actions, *of_others)
        load_weights(heads, checkpoint.heads, str(directory / "heads.safetensors"))
        heads = heads.to(device).eval()
    return Run(directory, manifest, model.to(device).eval(), heads, device, load_recorded(directory))


def sensors_of(run: Run, env: gymnasium.Env) -> tuple[str, ...]:
    """The sensors that the run's model, as the embodiment that it is now, reads of an environment.

    One that this robot was recorded without is not read of it, though another's may have taught it to the model.
    """
    return tuple(key for key in _there(run, env) if key in run.model.spec.sensors)


def require_fit(run: Run, env: gymnasium.Env) -> int:
    """Number of the run's embodiment that fits an environment; MismatchError naming every way in which the nearest does not."""
    found, sensors = spec_of(env), _there(run, env)
    lines = [world.differences(found, tuple(key for key in sensors if key in world.sensors)) for world in run.worlds]
    # robots that do the same are told apart by their names, and by what they have of the sensors that may be missing
    lacking = [sum((key in world.sensors) != (key in sensors) for key in run.model.config.sensors) for world in run.worlds]
    number = min(range(len(lines)), key=lambda n: (len(lines[n]), run.worlds[n].robot != found.robot, lacking[n]))
    if lines[number]:
        which = f" of embodiment {number}" if len(lines) > 1 else ""
        raise MismatchError(f"{run.directory}: environment does not fit{which}: " + "; ".join(lines[number]))
    return number


def require_plans(run: Run) -> None:
    """CheckpointError for a pretraining, whose model has not learned what the robot's actions do."""
    source = f"{run.directory / 'manifest.json'}: experiment.objective"
    objective = _config(ObjectiveConfig, run.manifest.experiment.get("objective", {}), source)
    if not objective.plans:
        lacking = "its predictor goes by inferred actions" if objective.predicts else "it has no trained predictor"
        raise CheckpointError(
            f"{run.directory} is a pretraining, which cannot plan: {lacking}; train on with train.init_from={run.directory}"
        )


def failing(run: Run, sensors: tuple[str, ...], without: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Sensors that are left when those of `without` fail, and the cameras among these, which go on with black pictures.

    Raises ConfigError for a sensor that the run does not read, MismatchError for one that it cannot do without.
    """
    cameras = {key for world in run.worlds for key, sensor in world.sensors.items() if sensor.kind == "image"}
    dead = tuple(key for key in without if key in sensors and key in cameras)
    for key in without:
        if key not in sensors:
            raise ConfigError(unknown_name("sensor", key, sensors))
        if key not in dead and key not in run.model.encoder.optional:
            raise MismatchError(
                f"{run.directory} cannot act without {key!r}, which it was never without in training; train with "
                "model.encoder.sensor_dropout above 0"
            )
    return tuple(key for key in sensors if key not in without or key in dead), dead


def build_agent(
    run: Run, planner: PlannerConfig | Planner, cost: CostConfig | Cost, env: gymnasium.Env, without: Sequence[str] = ()
) -> MPCAgent:
    """The planning agent of a run; `env` is asked for a goal picture when the cost needs one, and must fit.

    A planner or a cost of one's own takes the place of a configured one; such a planner has all the time that it takes. The
    run's model is the embodiment of this environment from now on. `without`: sensors that have failed.
    """
    require_plans(run)
    number = require_fit(run, env)
    run.model.embody(number)
    sensors, dead = failing(run, sensors_of(run, env), without)
    recorded = run.recorded.actions if run.recorded is not None and number == 0 else None  # kept of the first embodiment alone
    recorded = run.heads.recorded(number) if run.heads is not None else recorded
    seconds = None
    if isinstance(planner, PlannerConfig):
        seconds = planner.decision_seconds
        proposals = recorded if recorded is not None and len(recorded) else None
        planner = build_planner(planner.chosen, run.model.spec.action, proposals)
    return MPCAgent(
        run.model,
        planner,
        build_cost(run, cost, env) if isinstance(cost, CostConfig) else cost,
        sensors=sensors,
        dead=dead,
        context_length=run.manifest.context_length,
        action_block=run.manifest.action_block,
        tubelet=run.model.encoder.tubelet,
        prepare=run.prepare,
        decision_seconds=seconds,
        device=run.device,
    )


def build_cost(run: Run, cost: CostConfig, env: gymnasium.Env) -> Cost | EpisodeGoals:
    """The cost that a configuration names. CheckpointError when it reads a head that was not fitted."""
    weights = cost.goal.weights(run.model.encoder.layout)
    if cost.name == "goal" and has_episode_goals(env):
        return EpisodeGoals(run.model, sensors_of(run, env), run.prepare, run.recorded, cost.goal, str(run.device), weights)
    if cost.name == "goal":
        picture = run.prepare(goal_observation(env, seed=0))
        goal = goal_from_picture(run.model, picture, sensors_of(run, env), run.device)
        return GoalDistance(goal, cost.goal, weights)
    if run.heads is None and run.recorded is not None:
        raise CheckpointError(f"{run.directory} has no heads, as its recording has no labels: plan with cost.name=goal")
    if run.heads is None:
        raise CheckpointError(f"{run.directory} has no heads yet, which cost.name=progress needs; finish its training first")
    return ProgressCost(run.heads.progress, cost.progress)


def _there(run: Run, env: gymnasium.Env) -> tuple[str, ...]:
    """The sensors of a run that an environment has; a model that was trained for it does without some."""
    there, optional = spec_of(env).sensors, run.model.encoder.optional
    return tuple(key for key in run.model.config.sensors if key in there or key not in optional)


def _config(cls: type[strict.T], values: Mapping[str, Any], source: str) -> strict.T:
    try:
        return strict.build(cls, values, source=source)
    except ConfigError as error:
        raise CheckpointError(f"{error}; it was written by other code than this") from error
