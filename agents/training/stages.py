"""The stages between a recorded dataset and a report, each a function of folders: read, work, write.

    fit_model -> fit_heads_of -> (measure.py) -> score -> (film.py)

A stage finds what the one before it left in the run folder, so that any of them can be run again on its own.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gymnasium
import torch

from agents import strict
from agents.evaluation.evaluate import evaluate
from agents.evaluation.scores import CEILING, Evaluation
from agents.experiment import ExperimentConfig
from agents.players import make_agent
from agents.training.beginning import require_same_beginning
from agents.training.best import Best
from agents.training.recorded import RECORDED, keep
from agents.training.recordings import Recordings, open_recordings
from agents.training.runs import Heads, Run, load_run
from agents.training.saving import save_run
from agents.training.shaping import shaping
from agents.training.sources import Sources, fingerprint_of, parts_of, robots_of
from worldmodel.diagnostics import Health
from worldmodel.errors import CheckpointError, WorldModelError
from worldmodel.heads import fit_heads
from worldmodel.jepa import JEPA
from worldmodel.nn.embodied import Body
from worldmodel.objectives import build_objective
from worldmodel.progress import Progress
from worldmodel.train.begin import begin_from, scaled_as, seen_before
from worldmodel.train.checkpoint import MANIFEST, MODEL, load_checkpoint, read_manifest, save_model, write_manifest
from worldmodel.train.device import resolve_device
from worldmodel.train.logging import Loggers, LoggingConfig, aliases, open_logger
from worldmodel.train.manifest import Manifest
from worldmodel.train.ranks import Ranks
from worldmodel.train.trainer import Trainer

DIAGNOSTICS, EVALUATION, JOURNAL = "diagnostics.json", "evaluation.json", "training/evaluation.jsonl"
"""Files of a run folder, besides those of the checkpoint."""
IMAGINED = "figures/imagined.png"
"""What was imagined beside what happened, as a picture."""
NUM_GOAL_FRAMES = 1024
"""Recorded frames that a run without heads keeps, among which a goal is found."""


def trained(config: ExperimentConfig, data: Sources, run_dir: Path) -> bool:
    """Whether the run folder holds the whole model that `fit_model` would leave there."""
    try:
        manifest, fingerprint = (
            load_checkpoint(run_dir).manifest,
            fingerprint_of(parts_of(data, config.data, robots_of(config))),
        )
        require_same_beginning(config, run_dir)
    except WorldModelError:
        return False  # not there, or not whole: it is made again; or it began with other weights, and is refused there
    before, after = shaping(manifest.experiment), shaping(strict.to_plain(config))
    whole = config.train.max_cpu_seconds is not None or manifest.step == config.train.num_steps
    return whole and (manifest.data.fingerprint, before) == (fingerprint, after)


def with_heads(config: ExperimentConfig, run_dir: Path) -> bool:
    """Whether the run folder holds the heads, and the recorded actions, that `fit_heads_of` would add to its model."""
    manifest = read_manifest(run_dir)
    before, after = manifest.experiment, strict.to_plain(config)
    recorded = [values.get("planner", {}).get("num_recorded_actions") for values in (before, after)]
    return manifest.heads is not None and before.get("heads") == after["heads"] and recorded[0] == recorded[1]


def with_goals(run_dir: Path) -> bool:
    """Whether the run folder holds what `keep_recorded` would add to its model."""
    return RECORDED in read_manifest(run_dir).checksums


def fit_model(config: ExperimentConfig, data: Sources, run_dir: Path, *, resume: bool, progress: Progress) -> None:
    """Train the world model on recordings and leave it in the run folder, without heads.

    Resuming a run that is finished changes nothing: its heads and its scores stay. Of several processes all train, and the
    first one writes.
    """
    if resume and trained(config, data, run_dir):
        return
    if resume:
        require_same_beginning(config, run_dir)
    ranks = Ranks()
    recordings = open_recordings(data, config, progress)
    parent = None if config.train.init_from is None else load_checkpoint(Path(config.train.init_from))
    bodies = recordings.bodies()
    if parent is not None:
        scales = [scaled_as(parent.manifest, body.normalisation, number) for number, body in enumerate(bodies)]
        bodies = tuple(Body(body.spec, scale) for body, scale in zip(bodies, scales, strict=True))
    part = {"rank": ranks.rank, "world_size": ranks.world_size}
    train = recordings.batches(config.train.num_frames, config.train.batch_size, config.train.seed, **part)
    val = recordings.windows(config.train.num_frames, "val") if config.data.val_fraction > 0 else None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.train.seed)  # the weights' first values
        model = JEPA(config.model, bodies[0].spec, bodies[0].normalisation, bodies[1:])
        if parent is not None:
            begin_from(model, parent, config.train.init_encoder)
        objective = build_objective(config.objective, model)
    plain = strict.to_plain(config)
    shape = shaping(plain)
    identity: dict[str, Any] = {"dataset": recordings.fingerprint, "scaled_by": "training episodes"}
    identity |= {name: shape[name] for name in ("data", "model", "objective")}
    if recordings.streamed:
        identity["streamed"] = config.data.buffer_windows  # another buffer is another order
    if parent is not None:
        identity["init_from"] = parent.manifest.checksums[MODEL]
    seeds = recordings.seeds
    if parent is not None:
        seeds |= seen_before(parent.manifest, [world.env_id for world in recordings.worlds])

    def save(folder: Path, step: int) -> Manifest:
        target = objective.ema.encoder if objective.ema is not None else None
        return save_run(folder, model, recordings, config, step, target=target, seen=seeds)

    with open_logger(config.logging, run_dir, plain) as logger:
        best = None if config.logging.wandb == "disabled" else Best(run_dir, save, logger)
        health = Health(plans=config.objective.plans)
        trainer = Trainer(
            model, objective, train, val, config.train, logger, run_dir, identity=identity, diagnose=health, validated=best
        )
        step = trainer.fit(resume=resume, progress=progress)
        if best is not None and ranks.first:
            best.finish()
    if not ranks.first:
        return
    forget_results(run_dir)
    save(run_dir, step)
    if not config.objective.plans:  # no stage follows
        publish(config, run_dir)


def fit_heads_of(config: ExperimentConfig, data: Sources, run_dir: Path, *, progress: Progress) -> dict[str, float]:
    """Fit the heads of a trained model and add them to the run folder; how well they do on held-out labels."""
    run = load_run(run_dir, resolve_device(config.train.device))
    recordings = open_recordings(data, config, progress)
    require_same_data(run, recordings, run_dir)
    train = recordings.windows(max(config.train.num_frames, config.heads.max_steps_ahead + 1))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.train.seed)
        fitted = fit_heads(run.model, train, config.heads, torch.Generator().manual_seed(config.train.seed), progress)
    banks = [recordings.recorded_actions(config.planner.num_recorded_actions, n) for n in range(len(recordings.worlds))]
    heads = Heads(fitted.progress, fitted.picture, *banks)
    forget_results(run_dir)
    manifest = dataclasses.replace(run.manifest, heads=heads.record(), experiment=strict.to_plain(config), evaluations=())
    manifest = save_model(run_dir, run.model, heads, manifest)
    strict.dump(config, run_dir / "config.yaml")
    publish(config, run_dir, {f"heads/{name}": value for name, value in fitted.metrics.items()})
    return fitted.metrics


def labelled(config: ExperimentConfig, data: Sources) -> bool:
    """Whether the recordings have the labels that heads are fitted on; other people's worlds have none."""
    parts = parts_of(data, config.data, robots_of(config))
    return all({"status", "position"} <= set(part.dataset.label_names) for part in parts)


def keep_recorded(config: ExperimentConfig, data: Sources, run_dir: Path, *, progress: Progress) -> None:
    """Keep, in place of heads, frames of a recording that can be goals, and actions for the planner."""
    recordings = open_recordings(data, config, progress)
    require_same_data(load_run(run_dir), recordings, run_dir)
    keep(recordings, run_dir, NUM_GOAL_FRAMES, config.planner.num_recorded_actions)
    publish(config, run_dir)


def publish(config: ExperimentConfig, run_dir: Path, metrics: Mapping[str, float] | None = None) -> None:
    """Hand a finished checkpoint to whoever keeps checkpoints, with what was measured when it was finished."""
    manifest = read_manifest(run_dir)
    with told(run_dir, manifest, config.logging) as logger:
        if metrics:
            logger.log(manifest.step, metrics)
        logger.publish_model(run_dir, [MANIFEST, *manifest.checksums], aliases(run_dir))


def require_same_data(run: Run, recordings: Recordings, run_dir: Path) -> None:
    """Raise CheckpointError unless the model of a run has learned from these recordings, cut in this way."""
    if recordings.fingerprint != run.manifest.data.fingerprint:
        named = ", ".join(str(part.dataset.root) for part in recordings.parts)
        raise CheckpointError(f"{run_dir} was not trained on {named} as it is now; train again, or name the right dataset")
    before, now = run.manifest.framing, recordings.framing
    if before != now:
        raise CheckpointError(f"{run_dir} was trained with {before}, the configuration says {now}; train again, or set it back")


def forget_results(run_dir: Path) -> None:
    """Remove what was measured of another model, or of other heads, that were in the run folder before."""
    figures = (run_dir / "figures" / name for name in ("strips.npz", "planner.npz"))
    for stale in (run_dir / DIAGNOSTICS, run_dir / IMAGINED, *figures, *run_dir.glob("evaluation*.json")):
        stale.unlink(missing_ok=True)


def score(run: Run, config: ExperimentConfig, env: gymnasium.Env, progress: Progress, path: Path | None = None) -> Evaluation:
    """Evaluate the agents that the configuration names; into the run folder, the manifest, and `path` when given.

    The evaluation that the run's experiment asks for is RUN/evaluation.json; any other (more objects, another planner, fewer
    episodes) stands beside it as RUN/evaluation-HASH.json. An interrupted one goes on from its journal.
    """
    absent = {} if hasattr(env.unwrapped, "expert_action") else {CEILING: "this world has no scripted expert"}
    agents = {name: make_agent(name, run, config, env) for name in config.evaluate.players if name not in absent}
    trained_on = run.manifest.data.train_seeds
    journal = run.directory / JOURNAL
    found = evaluate(env, agents, config.evaluate, trained_on=trained_on, journal=journal, progress=progress, absent=absent)
    suffix = "" if asks_the_same(config, run.experiment()) else f"-{found.hash}"
    for target in (run.directory / f"evaluation{suffix}.json", path):
        if target is not None:
            found.save(target)
    values = found.to_json()
    entry = {key: values[key] for key in ("protocol", "agents", "identities", "absent") if key in values}
    manifest = read_manifest(run.directory)
    mine = (found.protocol.hash, found.identities)
    others = (e for e in manifest.evaluations if (e["protocol"]["hash"], e.get("identities")) != mine)
    write_manifest(run.directory, dataclasses.replace(manifest, evaluations=(*others, entry)))
    with told(run.directory, manifest, config.logging) as logger:
        for name, result in found.scores.items():
            rates = {"success_rate": result.success.rate, "objects_cleared": result.objects_cleared, "dropped": result.dropped}
            logger.log(manifest.step, {f"eval{suffix}/{name}/{key}": value for key, value in rates.items()})
        logger.summarise({f"eval{suffix}": entry["agents"], f"protocol{suffix}": found.protocol.hash})
    return found


def asks_the_same(one: ExperimentConfig, other: ExperimentConfig) -> bool:
    """Whether two experiments are evaluated in the same way, by agents that plan in the same way."""

    def asked(config: ExperimentConfig) -> tuple[object, ...]:
        evaluation = dataclasses.replace(config.evaluate, agents=config.evaluate.players)
        return config.env, evaluation, config.planner, config.cost

    return asked(one) == asked(other)


@contextlib.contextmanager
def told(run_dir: Path, manifest: Manifest, config: LoggingConfig) -> Iterator[Loggers]:
    """The loggers of a run whose training is over, to be told of what came after."""
    with open_logger(config, run_dir, manifest.experiment) as logger:
        logger.start(manifest.step)
        yield logger
