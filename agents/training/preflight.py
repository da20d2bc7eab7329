"""What would fail only after a model is trained, told before: who plays, which windows there are, and in which world.

require_ready(config, data, make_env, screen.say)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from agents.evaluation.protocol import recording_seed
from agents.experiment import ExperimentConfig
from agents.inspect import MakeEnv
from agents.players import costs_of, failed_sensors, require_players
from agents.training.sources import Part, Sources, parts_of, require_one_model, robots_of, worlds_of
from agents.worldspec import budget_of, spec_of
from worldmodel.data.loading.index import Split, WindowIndex
from worldmodel.errors import CheckpointError, ConfigError, DataError, MismatchError, WorldModelError
from worldmodel.jepa import JEPA
from worldmodel.nn.embodied import Body
from worldmodel.train.checkpoint import read_manifest
from worldmodel.train.device import resolve_device
from worldmodel.types import WorldSpec

LABELS = {"status", "position"}
"""What heads are fitted on."""
WITHOUT = "the model does without it there, as it learns to by model.encoder.sensor_dropout"


def require_ready(config: ExperimentConfig, data: Sources, make_env: MakeEnv, tell: Callable[[str], None]) -> None:
    """Raise ConfigError or DataError for what training would come through, and what follows it would not.

    `tell` hears of a world that cannot be made on this machine, or shows other things than were recorded: a model can be
    trained without it.
    """
    require_settings(config)
    parts = parts_of(data, config.data, robots_of(config))
    require_parts(config, parts)
    for part in parts:
        if lacking := _lacking(config, part.dataset.spec):
            tell(f"{part.dataset.root} has no {', '.join(lacking)}: {WITHOUT}")
    require_world(config, parts, make_env, tell)


def require_recording(config: ExperimentConfig, make_env: MakeEnv, **kwargs: Any) -> None:
    """Raise a WorldModelError for what would be told only when the episodes are recorded, or when they are learned from.

    The world is made as it is recorded, and as it is evaluated, with `kwargs` besides its own.
    """
    require_settings(config)
    if not config.objective.plans:
        raise ConfigError(
            "objective: nobody can plan with what it learns; pretrain with 'worldmodel record' and 'worldmodel train'"
        )
    labelled = set(config.record.labels) >= LABELS
    require_cost(config, labelled, "record.labels")
    env = make_env(config.env)
    try:
        spec = spec_of(env)
    finally:
        env.close()
    build(config, [spec])
    require_failing(config, [spec])
    require_fit(config, [spec], scored_world(config, make_env, **kwargs))
    budget, count = budget_of(spec.env_kwargs), config.record.num_episodes
    if isinstance(budget, int):  # else the world's own affair
        seeds = np.array([recording_seed(config.record.seed, number) for number in range(count)], np.int64)
        longest = np.full(count, budget + 1, np.int64)
        require_windows(config, [Episodes("what will be recorded", longest, seeds, labelled)])


def require_parts(config: ExperimentConfig, parts: Sequence[Part]) -> None:
    """Raise a WorldModelError for datasets that the model cannot learn from."""
    require_one_model(parts, config)
    require_windows(config, [Episodes.of(part) for part in parts])
    build(config, worlds_of(parts))
    require_failing(config, worlds_of(parts))


def require_failing(config: ExperimentConfig, worlds: Sequence[WorldSpec]) -> None:
    """Raise ConfigError for an agent of the evaluation that is to act without a sensor that the model was never without."""
    if _does_without(config):
        return
    cameras = {key for world in worlds for key, sensor in world.sensors.items() if sensor.kind == "image"}
    for name in config.evaluate.agents:
        for sensor in failed_sensors(name):
            if sensor not in cameras:
                raise ConfigError(
                    f"evaluate.agents: {name} cannot act without {sensor!r}, which the model is never without in training; set "
                    "model.encoder.sensor_dropout above 0, with another sensor besides"
                )


def require_cost(config: ExperimentConfig, labelled: bool, where: str) -> None:
    """Raise ConfigError for a cost that reads a head, where there are no labels to fit it on; `where` says who has none."""
    if not labelled and "progress" in costs_of(config.evaluate.agents, config.cost.name):
        raise ConfigError(
            f"cost.name=progress needs heads, which are fitted on the labels {' and '.join(sorted(LABELS))}, and {where} has "
            "not both; plan with cost.name=goal"
        )


def require_settings(config: ExperimentConfig) -> None:
    """Raise a WorldModelError for what needs no data to be told: who plays, and where it is computed."""
    try:
        require_players(config.evaluate.agents, config.model.sensors)
    except ConfigError as error:
        raise ConfigError(f"evaluate.agents: {error}") from error
    try:
        resolve_device(config.train.device)
    except ConfigError as error:
        raise ConfigError(f"train.device: {error}") from error


def require_parent(config: ExperimentConfig) -> None:
    """Raise CheckpointError when train.init_from names no run."""
    if config.train.init_from is None:
        return
    try:
        read_manifest(Path(config.train.init_from))
    except CheckpointError as error:
        raise CheckpointError(f"train.init_from: {error}; name the folder of a trained run, or null to begin anew") from error


class Episodes(NamedTuple):
    """What windows are cut from."""

    source: str
    """The dataset, for errors."""
    lengths: np.ndarray
    """(E,) int64, frames of each."""
    seeds: np.ndarray
    """(E,) int64, of the environment's resets."""
    labelled: bool
    """Whether heads are fitted on them."""

    @classmethod
    def of(cls, part: Part) -> Episodes:
        """Those of a dataset."""
        rows, labels = part.dataset.episodes, part.dataset.label_names
        lengths, seeds = (np.array([getattr(row, name) for row in rows], np.int64) for name in ("length", "seed"))
        return cls(str(part.dataset.root), lengths, seeds, set(labels) >= LABELS)


def require_windows(config: ExperimentConfig, datasets: Sequence[Episodes]) -> None:
    """Raise DataError, naming the setting, when a dataset lacks the windows that are trained, validated or fitted on."""
    num_frames = config.train.num_frames
    needed: list[tuple[str, int, Split]] = [("train.num_frames", num_frames, "train")]
    if config.data.val_fraction > 0:
        needed.append(("train.num_frames", num_frames, "val"))
    heads = config.objective.plans and all(each.labelled for each in datasets)
    ahead = config.heads.max_steps_ahead + 1
    if heads and ahead > num_frames:
        needed.append(("heads.max_steps_ahead", ahead, "train"))
    episodes: set[int] = set()  # those of all datasets have the same numbers, as when heads are fitted
    for setting, length, split in needed:
        found = [_windows(config, each, setting, length, split) for each in datasets]
        episodes = episodes if split == "val" else set().union(*(index.episode.tolist() for index in found))
        batch = config.train.batch_size
        if (split, length) == ("train", num_frames) and len(found) == 1 and len(found[0]) < batch:
            raise DataError(
                f"{datasets[0].source}: {len(found[0])} windows of {length} frames are less than one batch of {batch}; "
                "record more episodes, or lower train.batch_size"
            )
    held_out = max(1, round(config.heads.held_out * len(episodes)))
    if heads and held_out >= len(episodes):
        raise DataError(
            f"{len(episodes)} episodes have windows to fit heads on, of which heads.held_out {config.heads.held_out:g} leaves "
            "none; record more episodes, or lower heads.held_out"
        )


def require_world(config: ExperimentConfig, parts: Sequence[Part], make_env: MakeEnv, tell: Callable[[str], None]) -> None:
    """Make the world of the evaluation once; ConfigError for one that could be made nowhere."""
    specs = [part.dataset.spec for part in parts]
    try:
        found = scored_world(config, make_env)
    except WorldModelError as error:
        asked = {**config.env.kwargs, **config.evaluate.env_overrides()}
        # what was recorded elsewhere can be made there
        recorded = any(s.env_id == config.env.id and asked.items() <= s.env_kwargs.items() for s in specs)
        if isinstance(error, ConfigError) and not recorded:
            raise
        why = " ".join(str(error).split())
        tell(f"warning: {config.env.id} cannot be made here, which evaluate needs and training does not: {why}")
        return
    if not config.objective.plans:
        return  # nobody acts
    if lacking := _lacking(config, found):
        tell(f"{config.env.id} does not show {', '.join(lacking)}: {WITHOUT}")
    if lines := unfit(config, specs, found):
        tell(f"warning: evaluate will refuse {config.env.id}, which is not the world that was recorded: {'; '.join(lines)}")


def scored_world(config: ExperimentConfig, make_env: MakeEnv, **kwargs: Any) -> WorldSpec:
    """What the world of the evaluation shows, which is made for it with `kwargs` besides its own."""
    env = make_env(config.env, **kwargs, **config.evaluate.env_overrides())
    try:
        return spec_of(env)
    finally:
        env.close()


def require_fit(config: ExperimentConfig, recorded: Sequence[WorldSpec], found: WorldSpec) -> None:
    """Raise MismatchError unless agents can act in a world that was found, having learned from those that were recorded."""
    if config.objective.plans and (lines := unfit(config, recorded, found)):
        raise MismatchError(f"{config.env.id} of the evaluation is not the world that is recorded: {'; '.join(lines)}")


def build(config: ExperimentConfig, worlds: Sequence[WorldSpec]) -> None:
    """Build the model of these embodiments without its weights: ConfigError or MismatchError where they do not fit it."""
    if config.model.encoder.kind == "pretrained":
        return  # its weights are read from a folder
    bodies = [Body(config.data.framing.spec(world), {}) for world in worlds]
    try:
        with torch.device("meta"):
            JEPA(config.model, bodies[0].spec, {}, bodies[1:])
    except ConfigError as error:
        raise ConfigError(f"model: {error}") from error


def unfit(config: ExperimentConfig, recorded: Sequence[WorldSpec], found: WorldSpec) -> list[str]:
    """One line for each way in which a world does not fit the nearest of those that are learned from; none where it fits."""
    absent = _lacking(config, found)

    def differences(spec: WorldSpec) -> list[str]:
        return spec.differences(found, tuple(k for k in config.model.sensors if k in spec.sensors and k not in absent))

    return min(map(differences, recorded), key=len)


def _lacking(config: ExperimentConfig, spec: WorldSpec) -> list[str]:
    """Sensors that a world lacks and that the model can do without, as it learns to."""
    return [key for key in config.model.sensors if key not in spec.sensors] if _does_without(config) else []


def _does_without(config: ExperimentConfig) -> bool:
    """Whether the model learns to do without some of its sensors."""
    return config.model.encoder.sensor_dropout > 0 and len(config.model.sensors) > 1


def _windows(config: ExperimentConfig, episodes: Episodes, setting: str, num_frames: int, split: Split) -> WindowIndex:
    """The windows of a split."""
    return WindowIndex(
        episodes.lengths,
        episodes.seeds,
        num_frames,
        frame_skip=config.data.frame_skip,
        stride=config.data.stride,
        split=split,
        val_fraction=config.data.val_fraction,
        source=episodes.source,
        setting=setting,
    )
