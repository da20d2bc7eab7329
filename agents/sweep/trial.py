"""One trial: train, fit heads, measure, evaluate, and a result.json at the end, without which it is not finished.

Each stage finds what was there before, so that a trial that was killed goes on where it was. result.json is written at once
or not at all; a trial that has one is never run again.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents import strict
from agents.evaluation.scores import this_machine
from agents.experiment import ExperimentConfig
from agents.inspect import MakeEnv
from agents.sweep.space import Trial
from agents.training import stages
from agents.training.beginning import weights_now, weights_then
from agents.training.measure import measure
from agents.training.runs import load_run
from agents.training.sources import Sources
from worldmodel.errors import CheckpointError, ConfigError
from worldmodel.progress import Progress
from worldmodel.train.checkpoint import read_manifest
from worldmodel.train.device import resolve_device
from worldmodel.train.files import dump_json, write_atomic
from worldmodel.train.logging import read_metrics
from worldmodel.train.provenance import code_commit

RESULT, TIMES, SETTINGS = "result.json", "cpu_seconds.json", "config.yaml"
"""Files of a trial's folder, besides those of a run."""
OURS = "worldmodel"
"""The agent whose success counts."""
OpenStage = Callable[[str], AbstractContextManager[Progress]]
"""Name of a stage -> where its progress is told."""


@dataclass(frozen=True)
class Result:
    """result.json."""

    name: str
    """Of the trial."""
    group: str
    """What it shares with its other seeds."""
    parameters: dict[str, Any]
    """Name -> value."""
    metrics: dict[str, float | None]
    """What was measured; null where there was nothing to measure."""
    successes: dict[str, int]
    """Agent -> episodes with success."""
    num_episodes: int
    """Episodes of each agent."""
    protocol: str
    """Hash of the evaluation's protocol: scores of different protocols do not compare."""
    cpu_seconds: dict[str, float]
    """Stage -> processor time [s]."""
    dataset: str
    """Fingerprint of what it learned from."""
    commit: str
    """Of the code."""
    machine: dict[str, Any]
    """What it ran on."""
    init_from: str | None = None
    """Digest of the weights that it began with; null where it began anew, and in results from before it was kept."""

    def save(self, folder: Path) -> None:
        """Write FOLDER/result.json."""
        write_atomic(folder / RESULT, (dump_json(dataclasses.asdict(self)) + "\n").encode())


def load_result(trial: Trial, folder: Path) -> Result | None:
    """The result of a trial; None when it is not finished. ConfigError when the folder was begun with other settings."""
    settings, path = folder / SETTINGS, folder / RESULT
    if settings.exists():
        before = dataclasses.replace(strict.load(ExperimentConfig, settings), logging=trial.experiment.logging)
        if changed := strict.differences(before, trial.experiment):
            what = "; ".join(changed)
            raise ConfigError(f"{folder} was begun with other settings ({what}); choose another --out, or delete it")
    return read_result(path) if path.exists() else None


def read_result(path: Path) -> Result:
    """A result.json. CheckpointError when it is damaged."""
    try:
        return strict.build(Result, json.loads(path.read_text(encoding="utf-8")), source=str(path))
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged ({error}); delete it to run the trial again") from None


def adopt(trial: Trial, folder: Path, dataset: str) -> Result | None:
    """The result of the same experiment in a neighbouring sweep's folder, kept in `folder` too; None where there is none.

    Every ablation has the default among its trials: it is run once. What began with other weights is another experiment.
    """
    beginning = weights_now(trial.experiment)
    if beginning is None and trial.experiment.train.init_from is not None:
        return None  # nobody can tell
    for path in sorted(folder.parent.parent.glob(f"*/*/{RESULT}")):
        neighbour = path.parent
        try:
            found = load_result(trial, neighbour)
            same = found is not None and (found.init_from or weights_then(neighbour)) == beginning
        except (ConfigError, CheckpointError):
            continue  # other settings, or of no use
        if found is not None and same and found.dataset == dataset and (neighbour / SETTINGS).exists():
            strict.dump(trial.experiment, folder / SETTINGS)
            result = dataclasses.replace(found, name=trial.name, group=trial.group, parameters=trial.parameters)
            result.save(folder)
            return result
    return None


def run_trial(trial: Trial, data: Sources, folder: Path, make_env: MakeEnv, stage: OpenStage) -> Result:
    """Do what is not done yet of a trial, and leave its result in its folder."""
    config = trial.experiment
    strict.dump(config, folder / SETTINGS)

    def train(progress: Progress) -> None:
        stages.fit_model(config, data, folder, resume=True, progress=progress)

    def heads(progress: Progress) -> None:
        fit = stages.fit_heads_of if stages.labelled(config, data) else stages.keep_recorded
        fit(config, data, folder, progress=progress)

    def with_heads() -> bool:
        return stages.with_heads(config, folder) or stages.with_goals(folder)

    def measured(progress: Progress) -> None:
        measure(config, data, folder, progress)

    def evaluate(progress: Progress) -> None:
        env = make_env(config.env, **config.evaluate.env_overrides())
        try:
            stages.score(load_run(folder, resolve_device(config.train.device)), config, env, progress)
        finally:
            env.close()

    steps: dict[str, tuple[Callable[[], bool], Callable[[Progress], None]]] = {
        "train": (lambda: stages.trained(config, data, folder), train),
        "heads": (with_heads, heads),
        "measure": ((folder / stages.DIAGNOSTICS).exists, measured),
        "evaluate": ((folder / stages.EVALUATION).exists, evaluate),
    }
    for name, (done, work) in steps.items():
        if not done():
            began = time.process_time()
            with stage(name) as progress:
                work(progress)
            _add_time(folder, name, time.process_time() - began)
    result = _collect(trial, folder)
    result.save(folder)
    return result


def _collect(trial: Trial, folder: Path) -> Result:
    """What the run's own files say."""
    manifest = read_manifest(folder)
    found = json.loads((folder / stages.DIAGNOSTICS).read_text(encoding="utf-8"))
    evaluation = json.loads((folder / stages.EVALUATION).read_text(encoding="utf-8"))
    curves: dict[str, float] = {}
    for row in read_metrics(folder):
        curves |= {name: value for name, value in row.items() if value is not None}
    spent = curves["train/cpu_seconds"]
    scores = evaluation["agents"]
    count = scores[OURS]["n"]
    metrics = {
        "loss": curves.get("val/loss"),
        "error_over_copy": found["measures"].get("error_over_copy"),
        "effective_rank": found["measures"].get("effective_rank"),
        **{f"probe_cm_{ahead}": found["probe"].get(f"position_cm_{ahead}") for ahead in range(3)},
        "success": scores[OURS]["success"]["rate"],
        "objects_cleared": scores[OURS]["objects_cleared"],
        "plan_ms": scores[OURS]["plan_ms"]["p50"],
        "updates": float(manifest.step),
        "samples_per_cpu_s": manifest.step * trial.experiment.train.batch_size / spent,
        "parameters": found["measures"].get("parameters"),
        "alarms": float(len(found["alarms"])),
    }
    return Result(
        name=trial.name,
        group=trial.group,
        parameters=trial.parameters,
        metrics=metrics,
        successes={agent: round(score["success"]["rate"] * score["n"]) for agent, score in scores.items()},
        num_episodes=count,
        protocol=evaluation["protocol"]["hash"],
        # the training's own count outlives a kill, the other stages are counted when they end
        cpu_seconds=_times(folder) | {"train": spent},
        dataset=manifest.data.fingerprint,
        commit=code_commit(),
        machine=this_machine(),
        init_from=weights_then(folder),
    )


def require_scored(config: ExperimentConfig, name: str) -> None:
    """Raise ConfigError for a trial that could not be compared: no plans, no agent that plans, no episodes to measure on."""
    if not config.objective.plans:
        what = "actions is inferred" if config.objective.predicts else "prediction_coef is 0"
        raise ConfigError(f"trial {name}: objective.{what}, which is pretraining: it has no score; use train.init_from")
    if OURS not in config.evaluate.agents:
        raise ConfigError(f"trial {name}: evaluate.agents is {list(config.evaluate.agents)}; expected {OURS} among them")
    if config.data.val_fraction == 0:
        raise ConfigError(f"trial {name}: data.val_fraction is 0; expected more, there would be no episodes to measure on")


def _times(folder: Path) -> dict[str, float]:
    path = folder / TIMES
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _add_time(folder: Path, name: str, seconds: float) -> None:
    times: Mapping[str, float] = _times(folder)
    write_atomic(folder / TIMES, dump_json({**times, name: times.get(name, 0.0) + seconds}).encode())
