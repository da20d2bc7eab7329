"""What each command of the command line does; environments come from `make_env`, which cli.py hands in."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from agents import arguments, demo, inspect
from agents.console import Screen, format_seconds
from agents.datasets import curating, exporting, importing
from agents.evaluation.evaluate import EvalConfig
from agents.experiment import ExperimentConfig, load_experiment
from agents.film import FILM_KWARGS, film, send
from agents.inspect import MakeEnv
from agents.recording.on_ray import ray_crew
from agents.recording.record import RecordConfig
from agents.recording.record import record as record_episodes
from agents.report.write import write_report
from agents.sweep import command as sweep
from agents.training import stages
from agents.training.folder import held, require_free
from agents.training.measure import measure
from agents.training.preflight import require_parent, require_ready
from agents.training.recordings import open_recordings
from agents.training.runs import build_agent, load_run
from agents.worldspec import BUDGETS, action_word
from worldmodel.errors import ConfigError
from worldmodel.train.checkpoint import MANIFEST, read_manifest
from worldmodel.train.device import resolve_device
from worldmodel.train.launch import joined, launched_rank
from worldmodel.train.ranks import Ranks
from worldmodel.train.sharded_state import has_state

C = TypeVar("C", RecordConfig, EvalConfig)


def run(command: arguments.Command, make_env: MakeEnv, screen: Screen) -> int:
    """Do what the command says and return the exit code."""
    match command:
        case arguments.Demo():
            return demo.run(load_experiment(command.config, command.overrides), command.out, make_env, screen)
        case arguments.Record():
            return record(command, make_env, screen)
        case arguments.Train():
            return train(command, make_env, screen)
        case arguments.Evaluate():
            return evaluate(command, make_env, screen)
        case arguments.Play():
            return play(command, make_env, screen)
        case arguments.Report():
            if not (unfinished := inspect.unfinished(command.run)):
                read_manifest(command.run)  # a folder that is no run is told so
            with screen.stage("report") as progress:
                path = write_report(command.run, progress=progress)
            if unfinished:
                screen.say("the run is not finished: the report shows its training so far")
            screen.say(f"report: {path}")
            return 0
        case arguments.Inspect():
            return inspect.show(command.path, make_env, screen, command.sheet)
        case arguments.Import():
            return importing.run(command.source, command.out, command.map, command.kind, screen)
        case arguments.Export():
            return exporting.run(command.data, command.to, command.out, command.labels, screen)
        case arguments.Repair():
            return curating.run_repair(command.data, command.out, command.dry_run, command.delete, screen)
        case arguments.Merge():
            return curating.run_merge(command.data, command.out, screen)
        case arguments.Curate():
            return curating.run_curate(command.data, command.where, command.out, screen)
        case arguments.Sweep():
            return sweep.run(command.file, command.data, command.out, command.overrides, make_env, screen)
        case _:
            raise AssertionError(command)


def record(command: arguments.Record, make_env: MakeEnv, screen: Screen) -> int:
    """Record until the dataset has as many episodes as it shall."""
    config = load_experiment(command.config, command.overrides)
    given = {"num_episodes": command.episodes, "seed": command.seed, "workers": command.workers}
    settings = _replace(config.record, given)
    root = command.out or Path("data") / command.config.stem
    env = make_env(config.env)  # a wrong environment is told here, in one line, rather than by every worker
    for line in getattr(env.unwrapped, "lacks", ()):
        screen.say(f"{config.env.id}: {line}")
    env.close()
    crew = None if command.ray is None else ray_crew(command.ray)
    with screen.stage("record") as progress:
        done = record_episodes(functools.partial(make_env, config.env), settings, root, progress, crew)
    screen.say(f"{done.num_new} episodes recorded in {format_seconds(done.seconds)}")
    screen.say(f"data: {root}, {done.num_episodes} episodes of seed {settings.seed}")
    return 0


def train(command: arguments.Train, make_env: MakeEnv, screen: Screen) -> int:
    """Train the model and fit its heads; of several processes, the first one holds the folder."""
    config = load_experiment(command.config, command.overrides)
    run_dir = command.out or Path("runs") / command.config.stem
    require_free(run_dir)
    with held(run_dir) if launched_rank() == 0 else contextlib.nullcontext():
        return _train(config, command, run_dir, make_env, screen)


def _train(config: ExperimentConfig, command: arguments.Train, run_dir: Path, make_env: MakeEnv, screen: Screen) -> int:
    """Every stage of training."""
    if not has_state(run_dir) and (run_dir / MANIFEST).exists():
        raise ConfigError(f"{run_dir} holds a trained model, and no training state to resume; choose another folder")
    if command.resume and not has_state(run_dir):
        raise ConfigError(f"{run_dir} holds no training state to resume; leave --resume out to begin")
    if launched_rank() == 0:
        require_ready(config, command.data, make_env, screen.say)
    try:
        with joined() as ranks:
            _fit(config, command, run_dir, ranks, screen)
        if not ranks.first:
            return 0  # what follows is the work of one process
        if not config.objective.plans:
            lacking = "its predictor goes by inferred actions" if config.objective.predicts else "it has no predictor"
            screen.say(f"pretrained: {lacking}, and no heads yet; train on with train.init_from={run_dir}")
            screen.say(f"run: {run_dir}")
            return 0
        if not stages.labelled(config, command.data):
            with screen.stage("goals") as progress:
                stages.keep_recorded(config, command.data, run_dir, progress=progress)
            screen.say("no heads: the recording has no labels status and position; plans follow a goal (cost.name: goal)")
        elif not stages.with_heads(config, run_dir):
            with screen.stage("heads") as progress:
                stages.fit_heads_of(config, command.data, run_dir, progress=progress)
    except KeyboardInterrupt:
        again = "the same command with --resume" if has_state(run_dir) else "the same command again"
        raise KeyboardInterrupt(f"what was learned is kept in {run_dir}; run {again} to go on") from None
    if config.data.val_fraction > 0:
        with screen.stage("measure") as progress:
            found = measure(config, command.data, run_dir, progress)
        word = action_word(read_manifest(run_dir).spec.control_mode)
        for ahead in range(3):
            if not math.isnan(error := found.get(f"position_cm_{ahead}", math.nan)):
                screen.say(f"the head finds objects to {error:.1f} cm {_when(ahead * config.data.frame_skip, word)}")
    else:
        screen.say("not measured: data.val_fraction is 0, there are no episodes to measure on")
    screen.say(f"run: {run_dir}")
    return 0


def _fit(config: ExperimentConfig, command: arguments.Train, run_dir: Path, ranks: Ranks, screen: Screen) -> None:
    """Train the model, unless it is trained already; every process that torchrun started comes here."""
    config.train.parallel.shape(ranks.world_size)  # a wrong number is told before anything is read
    if command.resume and stages.trained(config, command.data, run_dir):
        screen.say(f"{run_dir} is trained already, {read_manifest(run_dir).step} updates")
        return
    require_parent(config)
    with screen.stage("cache") as progress, ranks.first_then_others():
        recordings = open_recordings(command.data, config, progress)
    if recordings.streamed:
        screen.say("streaming from the shards: see data.source, data.cache_gb and data.buffer_windows")
    with screen.stage("train") as progress:
        stages.fit_model(config, command.data, run_dir, resume=command.resume, progress=progress)


def evaluate(command: arguments.Evaluate, make_env: MakeEnv, screen: Screen) -> int:
    """Score the agents and print the table."""
    trained = load_run(command.run, resolve_device("auto"))
    config = trained.experiment(command.overrides)
    names = None if command.agents is None else tuple(name.strip() for name in command.agents.split(","))
    settings = _replace(config.evaluate, {"num_episodes": command.episodes, "seed": command.seed, "agents": names})
    config = dataclasses.replace(config, evaluate=settings)
    _require_one_answer(config, trained.experiment(), command.overrides)
    env = make_env(config.env, **settings.env_overrides())
    try:
        with screen.stage("evaluate") as progress:
            found = stages.score(trained, config, env, progress, command.json)
    finally:
        env.close()
    screen.scores(found.to_json())
    return 0


def play(command: arguments.Play, make_env: MakeEnv, screen: Screen) -> int:
    """Act through one episode and film it; the exit code is 0 whether or not the table was cleared."""
    trained = load_run(command.run, resolve_device("auto"))
    config = trained.experiment(command.overrides)
    _require_one_answer(config, trained.experiment(), command.overrides)
    video = command.video or command.run / "videos" / f"play-{command.seed}.mp4"

    returns: list[float] = []
    word = action_word(trained.manifest.spec.control_mode)

    def tell(count: int, info: Mapping[str, Any]) -> None:
        if "return" in info:  # a world of steps and rewards, and of no objects
            returns.append(info["return"])
            return
        screen.say(f"{word} {count}: {info['num_cleared']} of {info['num_objects']} in the bin, {info['num_dropped']} dropped")

    env = make_env(config.env, **FILM_KWARGS, **config.evaluate.env_overrides())
    try:
        played = film(env, build_agent(trained, config.planner, config.cost, env), command.seed, video, tell)
    finally:
        env.close()
    if returns:
        screen.say(f"{'success' if played.success else 'no success'} in {played.num_actions} steps, return {returns[-1]:.4g}")
    else:
        screen.say(f"{'cleared' if played.success else 'not cleared'} in {played.num_actions} {word}s")
    screen.say(f"video: {video}")
    send(trained, config.logging, f"play/{command.seed}", video)
    return 0


def _replace(config: C, given: dict[str, Any]) -> C:
    """The config with those settings that were given on the command line."""
    return dataclasses.replace(config, **{name: value for name, value in given.items() if value is not None})


def _require_one_answer(config: ExperimentConfig, own: ExperimentConfig, overrides: tuple[str, ...]) -> None:
    """Raise ConfigError for a setting of the environment on the command line that the evaluation would lay its own over."""
    named = {text.partition("=")[0] for text in overrides}
    for key, value in config.evaluate.env_overrides().items():
        names = BUDGETS if key in BUDGETS else (key,)
        given = next((each for each in names if each in config.env.kwargs), key)  # by the name that this world has for it
        asked, before = (each.env.kwargs.get(given) for each in (config, own))
        if f"env.kwargs.{given}" in named or asked not in (before, None):
            name = f"evaluate.{EvalConfig.ENV_KEYS[key]}"
            raise ConfigError(
                f"command line: env.kwargs.{given}={asked} would do nothing, as this evaluation sets {name}={value}; "
                f"use {name}={asked}"
            )


def _when(ahead: int, word: str) -> str:
    return "as seen" if ahead == 0 else f"{ahead} {word}{'s' if ahead > 1 else ''} ahead"
