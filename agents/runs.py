"""A run folder as an agent: model, heads, and recorded actions that are a planner's first candidates, read back strictly.

M recorded actions   A action dim
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import Tensor, nn

from agents import strict
from agents.costs import GoalDistance, ProgressCost
from agents.experiment import CostConfig, ExperimentConfig, PlannerConfig
from agents.goals import goal_from_picture, goal_observation
from agents.mpc import MPCAgent
from agents.planners import build_planner
from agents.worldspec import spec_of
from worldmodel.errors import CheckpointError, ConfigError
from worldmodel.heads import PictureHead, PictureHeadConfig, ProgressHead, ProgressHeadConfig
from worldmodel.jepa import JEPA, JEPAConfig
from worldmodel.train.checkpoint import load_checkpoint, load_weights
from worldmodel.train.manifest import Manifest
from worldmodel.types import Cost

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


class Heads(nn.Module):
    """What is stored in heads.safetensors: both heads, and the recorded actions (M, A), blocks where the model takes blocks."""

    recorded_actions: Tensor

    def __init__(self, progress: ProgressHead, picture: PictureHead, recorded_actions: Tensor) -> None:
        super().__init__()
        self.progress, self.picture = progress, picture
        self.register_buffer("recorded_actions", recorded_actions)

    def record(self) -> dict[str, Any]:
        """As the manifest's plain values."""
        record = HeadsRecord(self.progress.config, self.picture.config, len(self.recorded_actions))
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

    def prepare(self, observations: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """Observations as the world gives them -> as the model takes them."""
        return self.manifest.framing.pictures(observations, self.manifest.spec)

    def experiment(self, overrides: tuple[str, ...] = ()) -> ExperimentConfig:
        """The settings that an agent is built from, as the run was started with them, `key=value` overrides on top."""
        values = {name: self.manifest.experiment[name] for name in AGENT_SECTIONS if name in self.manifest.experiment}
        wrong = [text for text in overrides if text.partition("=")[0].split(".")[0] not in AGENT_SECTIONS]
        if wrong:
            raise ConfigError(f"command line: {wrong[0]!r} cannot be changed after training; only {', '.join(AGENT_SECTIONS)}")
        return strict.build(ExperimentConfig, values, overrides, source=f"{self.directory / 'manifest.json'}: experiment")


def load_run(directory: Path, device: torch.device | str = "cpu") -> Run:
    """The run in a folder. CheckpointError in one line for whatever is missing, damaged, or of another model."""
    checkpoint = load_checkpoint(directory)
    manifest, device = checkpoint.manifest, torch.device(device)
    source = str(directory / "manifest.json")
    spec = manifest.framing.spec(manifest.spec)  # the world as the model sees it
    model = JEPA(_config(JEPAConfig, manifest.model, f"{source}: model"), spec, manifest.normalisation)
    load_weights(model, checkpoint.model, str(directory / "model.safetensors"))
    heads = None
    if manifest.heads is not None and checkpoint.heads is not None:
        record = _config(HeadsRecord, manifest.heads, f"{source}: heads")
        actions = torch.zeros(record.num_recorded_actions, spec.action.dim)
        heads = Heads(ProgressHead(record.progress), PictureHead(record.picture), actions)
        load_weights(heads, checkpoint.heads, str(directory / "heads.safetensors"))
        heads = heads.to(device).eval()
    return Run(directory, manifest, model.to(device).eval(), heads, device)


def require_fit(run: Run, env: gymnasium.Env) -> None:
    """Raise MismatchError naming every way in which an environment does not fit a run."""
    run.manifest.spec.require_fit(spec_of(env), f"{run.directory}: environment", run.model.config.sensors)


def build_agent(run: Run, planner: PlannerConfig, cost: CostConfig, env: gymnasium.Env) -> MPCAgent:
    """The planning agent of a run; `env` is asked for a goal picture when the cost needs one, and must fit."""
    require_fit(run, env)
    recorded = run.heads.recorded_actions if run.heads is not None and len(run.heads.recorded_actions) > 0 else None
    return MPCAgent(
        run.model,
        build_planner(planner.chosen, run.model.spec.action, recorded),
        build_cost(run, cost, env),
        sensors=run.model.config.sensors,
        context_length=run.manifest.context_length,
        action_block=run.manifest.action_block,
        prepare=run.prepare,
        decision_seconds=planner.decision_seconds,
        device=run.device,
    )


def build_cost(run: Run, cost: CostConfig, env: gymnasium.Env) -> Cost:
    """The cost that a configuration names. CheckpointError when it reads a head that was not fitted."""
    if cost.name == "goal":
        picture = run.prepare(goal_observation(env, seed=0))
        return GoalDistance(goal_from_picture(run.model, picture, run.model.config.sensors, run.device), cost.goal)
    if run.heads is None:
        raise CheckpointError(f"{run.directory} has no heads yet, which cost.name=progress needs; finish its training first")
    return ProgressCost(run.heads.progress, cost.progress)


def _config(cls: type[strict.T], values: Mapping[str, Any], source: str) -> strict.T:
    try:
        return strict.build(cls, values, source=source)
    except ConfigError as error:
        raise CheckpointError(f"{error}; it was written by other code than this") from error
