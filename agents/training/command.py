"""`worldmodel train`: check, train, fit the heads and measure; each stage leaves its result in the run folder.

Run again with --resume after a stop, it goes on; of several processes that torchrun started, the first one holds the folder.
"""

from __future__ import annotations

import contextlib
import math
from pathlib import Path

from agents.console import Screen
from agents.experiment import ExperimentConfig
from agents.inspect import MakeEnv
from agents.training import stages
from agents.training.folder import held, require_free
from agents.training.measure import measure
from agents.training.preflight import require_parent, require_ready
from agents.training.recordings import open_recordings
from agents.training.sources import Sources
from agents.worldspec import action_word
from worldmodel.errors import ConfigError
from worldmodel.train.checkpoint import MANIFEST, read_manifest
from worldmodel.train.launch import joined, launched_rank
from worldmodel.train.ranks import Ranks
from worldmodel.train.sharded_state import has_state


def run(config: ExperimentConfig, data: Sources, run_dir: Path, resume: bool, make_env: MakeEnv, screen: Screen) -> int:
    """Train the model and fit its heads; of several processes, the first one holds the folder."""
    require_free(run_dir)
    with held(run_dir) if launched_rank() == 0 else contextlib.nullcontext():
        return _run(config, data, run_dir, resume, make_env, screen)


def _run(config: ExperimentConfig, data: Sources, run_dir: Path, resume: bool, make_env: MakeEnv, screen: Screen) -> int:
    """Every stage of training."""
    if not has_state(run_dir) and (run_dir / MANIFEST).exists():
        raise ConfigError(f"{run_dir} holds a trained model, and no training state to resume; choose another folder")
    if not resume and has_state(run_dir):
        raise ConfigError(f"{run_dir} holds a training run; go on with --resume, or choose another folder")
    if resume and not has_state(run_dir):
        raise ConfigError(f"{run_dir} holds no training state to resume; leave --resume out to begin")
    if launched_rank() == 0:
        require_ready(config, data, make_env, screen.say)
    try:
        with joined() as ranks:
            _fit(config, data, run_dir, resume, ranks, screen)
        if not ranks.first:
            return 0  # what follows is the work of one process
        if not config.objective.plans:
            lacking = "its predictor goes by inferred actions" if config.objective.predicts else "it has no predictor"
            screen.say(f"pretrained: {lacking}, and no heads yet; train on with train.init_from={run_dir}")
            screen.say(f"run: {run_dir}")
            return 0
        if not stages.labelled(config, data):
            with screen.stage("goals") as progress:
                stages.keep_recorded(config, data, run_dir, progress=progress)
            screen.say("no heads: the recording has no labels status and position; plans follow a goal (cost.name: goal)")
        elif not stages.with_heads(config, run_dir):
            with screen.stage("heads") as progress:
                stages.fit_heads_of(config, data, run_dir, progress=progress)
    except KeyboardInterrupt:
        again = "the same command with --resume" if has_state(run_dir) else "the same command again"
        raise KeyboardInterrupt(f"what was learned is kept in {run_dir}; run {again} to go on") from None
    if config.data.val_fraction > 0:
        with screen.stage("measure") as progress:
            found = measure(config, data, run_dir, progress)
        word = action_word(read_manifest(run_dir).spec.control_mode)
        for ahead in range(3):
            if not math.isnan(error := found.get(f"position_cm_{ahead}", math.nan)):
                screen.say(f"the head finds objects to {error:.1f} cm {_when(ahead * config.data.frame_skip, word)}")
    else:
        screen.say("not measured: data.val_fraction is 0, there are no episodes to measure on")
    screen.say(f"run: {run_dir}")
    return 0


def _fit(config: ExperimentConfig, data: Sources, run_dir: Path, resume: bool, ranks: Ranks, screen: Screen) -> None:
    """Train the model, unless it is trained already; every process that torchrun started comes here."""
    config.train.parallel.shape(ranks.world_size)  # a wrong number is told before anything is read
    if resume and stages.trained(config, data, run_dir):
        screen.say(f"{run_dir} is trained already, {read_manifest(run_dir).step} updates")
        return
    require_parent(config)
    with screen.stage("cache") as progress, ranks.first_then_others():
        recordings = open_recordings(data, config, progress)
    if recordings.streamed:
        screen.say("streaming from the shards: see data.source, data.cache_gb and data.buffer_windows")
    with screen.stage("train") as progress:
        stages.fit_model(config, data, run_dir, resume=resume, progress=progress)


def _when(ahead: int, word: str) -> str:
    return "as seen" if ahead == 0 else f"{ahead} {word}{'s' if ahead > 1 else ''} ahead"
