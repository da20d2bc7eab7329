"""What is in a dataset or a run, is it whole, does it fit its environment.

worldmodel inspect DATA|RUN
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import gymnasium

from agents.console import Screen
from agents.experiment import EnvConfig
from agents.inspect_data import draw_contents, show_contents
from agents.runs import load_run
from agents.worldspec import spec_of
from worldmodel.data import Dataset
from worldmodel.errors import DataError, WorldModelError
from worldmodel.train.checkpoint import MANIFEST
from worldmodel.types import WorldSpec


class MakeEnv(Protocol):
    """Makes an environment, `overrides` over the configuration's keyword arguments."""

    def __call__(self, config: EnvConfig, **overrides: Any) -> gymnasium.Env:
        """The environment."""
        ...


def show(path: Path, make_env: MakeEnv, screen: Screen, sheet: Path | None = None) -> int:
    """Say what is in the folder or view; the exit code is 2 when it is damaged or does not fit its environment.

    `sheet` is where the contact sheet of a dataset goes; None is DATA/contact_sheet.png.
    """
    if not path.is_dir() and not (path.is_file() and path.suffix == ".json"):
        raise DataError(f"{path}: no such folder")
    if path.is_file() or (path / "meta").is_dir():
        problems = show_dataset(path, make_env, screen, sheet)
    elif (path / MANIFEST).exists() or (path / "config.yaml").exists() or (path / "training").is_dir():
        problems = show_run(path, make_env, screen)
    else:
        raise DataError(f"{path} is neither a dataset (it has no meta folder) nor a run (it has no {MANIFEST})")
    for problem in problems:
        screen.say(f"PROBLEM   {problem}")
    screen.say("whole, and fits its environment" if not problems else f"{len(problems)} problems")
    return 2 if problems else 0


def show_dataset(path: Path, make_env: MakeEnv, screen: Screen, sheet: Path | None = None) -> list[str]:
    """Print what a dataset holds, draw its contact sheet, and return what is wrong with it."""
    dataset = Dataset.open(path)
    show_contents(path, dataset, screen)
    draw_contents(path, dataset, sheet, screen)
    with screen.stage("verify") as progress:
        problems = dataset.verify(progress)
    if problems and dataset.layout.ours:
        screen.say(f"damaged: 'worldmodel repair {dataset.root}' drops exactly what is damaged, --dry-run shows it")
    if not dataset.spec.env_id:
        screen.say("the dataset names no environment to compare with")
        return problems
    return problems + misfits(dataset.spec, None, make_env)


def show_run(path: Path, make_env: MakeEnv, screen: Screen) -> list[str]:
    """Print a run's summary and return what is wrong with it."""
    run = load_run(path)
    manifest, data = run.manifest, run.manifest.data
    screen.say(f"run       {path}")
    lines = {
        "world": f"{manifest.spec.env_id}, robot {manifest.spec.robot}, control mode {manifest.spec.control_mode}",
        "model": f"{run.model.num_parameters / 1e6:.2f} M parameters, {manifest.step} updates",
        "sensors": run.model.config.sensors,
        "heads": "none yet" if run.heads is None else f"progress, picture; {len(run.heads.recorded_actions)} recorded actions",
        "data": f"{data.num_episodes} episodes, {data.num_frames} frames, fingerprint {data.fingerprint[:16]}",
        "code": f"{manifest.commit}, " + ", ".join(f"{name} {version}" for name, version in manifest.packages.items()),
        "size": f"{sum(f.stat().st_size for f in path.glob('*.safetensors')) / 1e6:.1f} MB of weights",
    }
    for name, value in lines.items():
        screen.say(f"  {name:<16}{_plain(value)}")
    for evaluation in manifest.evaluations:
        screen.scores(evaluation)
    return misfits(manifest.spec, run.model.config.sensors, make_env)


def misfits(spec: WorldSpec, sensors: tuple[str, ...] | None, make_env: MakeEnv) -> list[str]:
    """One line for each way in which the recorded world is not the one that its environment shows now."""
    try:
        env = make_env(EnvConfig(spec.env_id, dict(spec.env_kwargs)))
    except WorldModelError as error:
        return [str(error)]
    try:
        return [f"environment: {line}" for line in spec.differences(spec_of(env), sensors)]
    finally:
        env.close()


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} ({v})" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return f"{value:.3g}" if isinstance(value, float) else str(value)
