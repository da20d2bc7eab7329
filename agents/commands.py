"""What each command of the command line does; environments come from `make_env`, which cli.py hands in."""

from __future__ import annotations

import dataclasses
import functools
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
from agents.outputs import require_file, require_folder
from agents.players import require_players
from agents.recording.on_ray import ray_crew
from agents.recording.record import RecordConfig
from agents.recording.record import record as record_episodes
from agents.report.write import write_report
from agents.sweep import command as sweep
from agents.training import command as training
from agents.training import stages
from agents.training.runs import build_agent, load_run
from agents.worldspec import BUDGETS, action_word
from worldmodel.checks import require_seed
from worldmodel.errors import ConfigError
from worldmodel.train.checkpoint import read_manifest
from worldmodel.train.device import resolve_device

C = TypeVar("C", RecordConfig, EvalConfig)


def run(command: arguments.Command, make_env: MakeEnv, screen: Screen) -> int:
    """Do what the command says and return the exit code."""
    require_outputs(command)
    match command:
        case arguments.Demo():
            return demo.run(load_experiment(command.config, command.overrides), command.out, make_env, screen)
        case arguments.Record():
            return record(command, make_env, screen)
        case arguments.Train():
            config = load_experiment(command.config, command.overrides)
            run_dir = command.out or Path("runs") / command.config.stem
            return training.run(config, command.data, run_dir, command.resume, make_env, screen)
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


def require_outputs(command: arguments.Command) -> None:
    """Raise ConfigError for a place that cannot be written, before the work whose result it is for."""
    for name in ("out", "json", "video", "sheet"):
        if (place := getattr(command, name, None)) is not None:
            is_folder = name == "out" and not isinstance(command, arguments.Curate)
            (require_folder if is_folder else require_file)(f"--{name}", place)
    run = getattr(command, "run", None)
    elsewhere = isinstance(command, arguments.Play) and command.video is not None  # the run is only read then, W&B apart
    if run is not None and run.exists() and not elsewhere:  # where there is none its reader says so
        require_folder("--run", run)


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


def evaluate(command: arguments.Evaluate, make_env: MakeEnv, screen: Screen) -> int:
    """Score the agents and print the table."""
    trained = load_run(command.run, resolve_device("auto"))
    config = trained.experiment(command.overrides)
    names = None if command.agents is None else tuple(name.strip() for name in command.agents.split(","))
    settings = _replace(config.evaluate, {"num_episodes": command.episodes, "seed": command.seed, "agents": names})
    config = dataclasses.replace(config, evaluate=settings)
    _require_one_answer(config, trained.experiment(), command.overrides)
    require_players(settings.agents, trained.model.config.sensors)
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
    require_seed("--seed", command.seed)
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
