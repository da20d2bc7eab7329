"""What is in a dataset or a run, is it whole, does it fit its environment.

worldmodel inspect DATA|RUN
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Protocol

import gymnasium

from agents.console import Screen
from agents.datasets.inspect_data import draw_contents, show_contents
from agents.experiment import EnvConfig
from agents.report import collect
from agents.report.health import measured, surprise_line
from agents.report.training import last_terms
from agents.report.types import HorizonCurve
from agents.training.health import lines_of
from agents.training.runs import Run, load_run
from agents.worldspec import spec_of
from worldmodel.data import Dataset
from worldmodel.data.format.features import IMPORTED
from worldmodel.errors import DataError, WorldModelError
from worldmodel.train.checkpoint import MANIFEST
from worldmodel.train.logging import METRICS
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
        raise DataError(f"{path}: no such folder or view")
    if path.is_file() or (path / "meta").is_dir():
        problems, compared = show_dataset(path, make_env, screen, sheet)
    elif unfinished(path):
        show_unfinished(path, screen)
        return 0
    elif (path / MANIFEST).exists() or (path / "config.yaml").exists() or (path / "training").is_dir():
        problems, compared = show_run(path, make_env, screen), True
    else:
        raise DataError(f"{path} is neither a dataset (it has no meta folder) nor a run (it has no {MANIFEST})")
    for problem in problems:
        screen.say(f"PROBLEM   {problem}")
    whole = "whole, and fits its environment" if compared else "whole"
    screen.say(f"{len(problems)} problems" if problems else whole)
    return 2 if problems else 0


def show_dataset(path: Path, make_env: MakeEnv, screen: Screen, sheet: Path | None = None) -> tuple[list[str], bool]:
    """Print what a dataset holds, draw its contact sheet; what is wrong with it, and whether its environment was asked.

    That of an imported dataset need not be here, nor give what the map has made of its sensors: it is only told.
    """
    dataset = Dataset.open(path)
    show_contents(path, dataset, screen)
    draw_contents(path, dataset, sheet, screen)
    with screen.stage("verify") as progress:
        problems = dataset.verify(progress)
    if problems and dataset.layout.ours:
        screen.say(f"damaged: 'worldmodel repair {dataset.root}' drops exactly what is damaged, --dry-run shows it")
    if not dataset.spec.env_id or dataset.spec.env_id.startswith("imported/"):
        screen.say("the dataset names no environment to compare with")
        return problems, False
    differences = misfits(dataset.spec, None, make_env)
    if not (dataset.root / IMPORTED).exists():
        return problems + differences, True
    for line in differences:
        screen.say(f"note      {line}")
    return problems, not differences


def show_run(path: Path, make_env: MakeEnv, screen: Screen) -> list[str]:
    """Print a run's summary and return what is wrong with it."""
    run = load_run(path)
    manifest, data = run.manifest, run.manifest.data
    screen.say(f"run       {path}")
    lines = {
        "world": f"{manifest.spec.env_id}, robot {manifest.spec.robot}, control mode {manifest.spec.control_mode}",
        "model": f"{run.model.num_parameters / 1e6:.2f} M parameters, {manifest.step} updates",
        "sensors": run.model.config.sensors,
        "heads": _heads(run),
        "data": f"{data.num_episodes} episodes, {data.num_frames} frames, fingerprint {data.fingerprint[:16]}",
        "code": f"{manifest.commit}, " + ", ".join(f"{name} {version}" for name, version in manifest.packages.items()),
        "size": f"{sum(f.stat().st_size for f in path.glob('*.safetensors')) / 1e6:.1f} MB of weights",
    }
    if len(run.worlds) > 1:
        lines["embodiments"] = [f"{w.robot} ({w.action.dim} numbers an action)" for w in run.worlds]
    for name, value in lines.items():
        screen.say(f"  {name:<16}{_plain(value)}")
    for line in health_lines(path):
        screen.say(f"  {'health':<16}{line}")
    for evaluation in manifest.evaluations:
        screen.scores(evaluation)
    if not manifest.spec.env_id or manifest.spec.env_id.startswith("imported/"):
        screen.say("the run names no environment to compare with")
        return []
    read = run.model.config.sensors
    return [
        line for world in run.worlds for line in misfits(world, tuple(key for key in read if key in world.sensors), make_env)
    ]


def unfinished(path: Path) -> bool:
    """Whether the folder is of a training that has told of its updates, and has left no model yet."""
    return (path / METRICS).is_file() and not (path / MANIFEST).exists()


def show_unfinished(path: Path, screen: Screen) -> None:
    """Print how far a training has come, its loss and its health; it goes on, or was interrupted: the folder cannot tell."""
    found = collect(path)
    lines = [("state", f"not finished: in training, or interrupted; it has no {MANIFEST} yet")]
    for group in ("train", "val"):
        terms, step = last_terms(found.curves, group)
        told = ", ".join(f"{name} {value:.3g}" for name, value in terms.items())
        lines.append((group, f"{told}, after {step} updates" if terms else "nothing told yet"))
    screen.say(f"run       {path}")
    for name, line in lines + [("health", line) for line in health_lines(path)]:
        screen.say(f"  {name:<16}{line}")


def health_lines(path: Path) -> list[str]:
    """What was measured of a run's model, alarms first; of the last validation, where it was not measured after training."""
    found = collect(path)
    values, alarming, step = measured(found)
    if values and step is None:
        lines = lines_of(values, alarming)
        for number in range(1, len((found.manifest or {}).get("embodiments", ())) + 1):
            own = {
                name.removeprefix(f"embodiment_{number}_"): value
                for name, value in found.diagnostics.items()
                if name.startswith(f"embodiment_{number}_")
            }
            lines += [f"embodiment {number}: {line}" for line in lines_of(own, ())]
        if found.horizon is not None:
            lines.append(drift_line(found.horizon))
        if (line := surprise_line(found)) is not None:
            lines.append(f"surprise {line}")
        return lines
    return [f"{line}, at the last validation" for line in lines_of(values, alarming)] or ["not measured"]


def drift_line(curve: HorizonCurve) -> str:
    """Error over the horizon in one line: the first action ahead and the last, beside the copy of the present."""
    told = []
    for ahead in sorted({1, len(curve.predicted)}):
        known = curve.predicted_cm and not math.isnan(curve.predicted_cm[ahead - 1])  # else no object is left so far ahead
        cm = f", {curve.predicted_cm[ahead - 1]:.1f} cm (copy {curve.copied_cm[ahead - 1]:.1f})" if known else ""
        told.append(f"{ahead} ahead {curve.predicted[ahead - 1]:.2f} (copy {curve.copied[ahead - 1]:.2f}){cm}")
    return f"error {'; '.join(told)}; {curve.num_windows} windows"


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


def _heads(run: Run) -> str:
    """What reads the latent, or what stands in its place."""
    if run.heads is not None:
        return f"progress, picture; {len(run.heads.recorded_actions)} recorded actions"
    if run.recorded is None:
        return "none yet"
    frames = len(next(iter(run.recorded.frames.values())))
    return f"none, as there are no labels; {frames} frames that can be goals, {len(run.recorded.actions)} recorded actions"


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} ({v})" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return f"{value:.3g}" if isinstance(value, float) else str(value)
