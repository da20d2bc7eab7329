"""`worldmodel sweep FILE --data DATA --out DIR`: every trial that is not finished, then the table.

    DIR/NAME/...        a run folder for each trial, finished once it has a result.json
    DIR/results.json    the table, and .md and .png; written anew after each trial

It can be killed at any moment and called again: finished trials are skipped, the interrupted one goes on. Several may run
on different trials of one sweep at a time, as W&B's agents do.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.console import Screen, format_seconds
from agents.inspect import MakeEnv
from agents.sweep import table
from agents.sweep.schema import SweepConfig
from agents.sweep.space import Trial, drawn_elsewhere, load_sweep, trial_with, trials_of
from agents.sweep.summary import summarise
from agents.sweep.trial import RESULT, Result, adopt, load_result, read_result, require_scored, run_trial
from agents.training import stages
from agents.training.beginning import require_same_beginning
from agents.training.folder import held
from agents.training.preflight import (
    LABELS,
    require_cost,
    require_fit,
    require_parent,
    require_parts,
    require_settings,
    scored_world,
)
from agents.training.sources import Part, Sources, fingerprint_of, parts_of, robots_of
from worldmodel.errors import CheckpointError, ConfigError, WorldModelError
from worldmodel.types import WorldSpec


def run(path: Path, data: Sources, out: Path | None, words: Sequence[str], make_env: MakeEnv, screen: Screen) -> int:
    """Run what is not finished; 0, or 2 when a trial failed."""
    sweep = load_sweep(path)
    out = out or Path("runs") / "sweeps" / path.stem
    trials = trials_of(sweep, words, str(path))
    # the table is of all trials, also where the words name one of them, or values that were drawn elsewhere
    drawn = drawn_elsewhere(sweep, words)
    whole = trials_there(sweep, words, str(path), out) if drawn else trials_of(sweep, words, str(path), every=True)
    whole += [trial for trial in trials if trial.name not in {other.name for other in whole}]
    for trial in trials:
        require_scored(trial.experiment, trial.name)
    # a dataset that is not there is told before anything begins
    parts = learned_from(trials, data)
    results = {trial.name: finished(trial, out / trial.name, parts[trial.name].fingerprint) for trial in trials}
    waiting = [trial for trial in trials if results[trial.name] is None]
    require_runnable(waiting, parts, data, out, make_env)
    screen.say(f"{sweep.name}: {len(trials)} trials, {len(trials) - len(waiting)} finished already")
    if len(trials) == 1 and (found := results[trials[0].name]) is not None:
        summarise(found, trials[0].experiment, out / trials[0].name)

    failed: dict[str, str] = {}
    began, done = time.monotonic(), 0
    for number, trial in enumerate(waiting, start=1):
        taken = (time.monotonic() - began) / done if done else 0.0
        left = f", about {format_seconds(taken * (len(waiting) - done))} left" if done else ""
        screen.heading(f"[{number}/{len(waiting)}] {trial.name}{left}")
        try:
            with held(out / trial.name):
                found = run_trial(trial, data, out / trial.name, make_env, screen.stage)
            done += 1
            results[trial.name] = found
            screen.say(f"success {100 * (found.metrics['success'] or 0.0):.0f} % of {found.num_episodes}")
        except WorldModelError as error:  # the other trials can still tell something
            failed[trial.name] = str(error)
            screen.say(f"FAILED {trial.name}: {error}")
        write(out, sweep.name, path, whole, failed)
    shown = write(out, sweep.name, path, whole, failed)
    screen.table(sweep.name, table.SHOWN, [table.brief(row) for row in table.rows_of(shown)])
    screen.say(f"table: {out / 'results.md'}, {out / 'results.json'}, {out / 'results.png'}")
    if failed:
        name, why = next(iter(failed.items()))
        raise ConfigError(f"{len(failed)} of {len(trials)} trials failed; {name}: {why}")
    return 0


def trials_there(sweep: SweepConfig, words: Sequence[str], source: str, out: Path) -> list[Trial]:
    """The trials of this sweep, with these words laid over them, that have a result in the sweep's folder."""
    found = []
    for path in sorted(out.glob(f"*/{RESULT}")):
        try:
            trial = trial_with(sweep, read_result(path).parameters, words, source)
        except (ConfigError, CheckpointError):
            continue  # of another sweep, or of no use
        if trial.name == path.parent.name:
            found.append(trial)
    return found


@dataclass(frozen=True)
class Learned:
    """What a trial learns from."""

    parts: tuple[Part, ...]
    """The datasets, opened."""
    fingerprint: str
    """Of all of them together."""


def learned_from(trials: Sequence[Trial], data: Sources) -> dict[str, Learned]:
    """Name of each trial -> what it learns from: trials may weigh their datasets differently."""
    opened: dict[object, Learned] = {}
    found = {}
    for trial in trials:
        robots = robots_of(trial.experiment)
        key = (trial.experiment.data, robots)
        if key not in opened:
            parts = parts_of(data, trial.experiment.data, robots)
            opened[key] = Learned(parts, fingerprint_of(parts))
        found[trial.name] = opened[key]
    return found


def require_runnable(
    trials: Sequence[Trial], learned: Mapping[str, Learned], data: Sources, out: Path, make_env: MakeEnv
) -> None:
    """Raise ConfigError, which names the trial, for one that could not be trained or scored here: before the first begins."""
    worlds: dict[str, WorldSpec] = {}
    for trial in trials:
        config, parts = trial.experiment, learned[trial.name].parts
        key = json.dumps([dataclasses.asdict(config.env), config.evaluate.env_overrides()])
        try:
            require_settings(config)
            if not stages.trained(config, data, out / trial.name):
                require_parent(config)
            require_parts(config, parts)
            labelled = all(set(part.dataset.label_names) >= LABELS for part in parts)
            require_cost(config, labelled, "the dataset")
            if key not in worlds:
                worlds[key] = scored_world(config, make_env)
            require_fit(config, [part.dataset.spec for part in parts], worlds[key])
        except WorldModelError as error:
            raise ConfigError(f"trial {trial.name}: {error}") from error


def finished(trial: Trial, folder: Path, dataset: str) -> Result | None:
    """The result of a trial, its own or a neighbour's.

    ConfigError when it learned from another dataset, MismatchError when it began with other weights than it would now.
    """
    result = load_result(trial, folder)
    if result is not None:
        require_same_beginning(trial.experiment, folder, result.init_from)
    result = result or adopt(trial, folder, dataset)
    if result is not None and result.dataset != dataset:
        raise ConfigError(f"{folder} was run on another dataset; choose another --out, or delete it")
    return result


def write(out: Path, name: str, source: Path, trials: Sequence[Trial], failed: dict[str, str]) -> list[Result]:
    """Write the table of all trials that are finished, and return their results."""
    found: list[Result] = []
    missing: dict[str, str] = {}
    for trial in trials:
        why = failed.get(trial.name, "not finished")
        try:
            result = load_result(trial, out / trial.name)
        except (ConfigError, CheckpointError) as error:  # of a trial that was not asked for: the table goes without it
            result, why = None, str(error)
        if result is not None:
            found.append(result)
        else:
            missing[trial.name] = why
    out.mkdir(parents=True, exist_ok=True)
    table.save(out, name, source, found, missing)
    return found
