"""Which datasets a run learns from: named by --data or by data.mixture, weighed, and each the recording of one robot.

parts = parts_of((Path("data/arm"), Path("data/gantry")), config.data, robots_of(config))
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agents.experiment import DataConfig, ExperimentConfig
from worldmodel.data import Dataset, FrameCache
from worldmodel.errors import ConfigError, MismatchError
from worldmodel.types import WorldSpec

Sources = Path | Sequence[Path]
"""A dataset, or several that are mixed; none at all when the configuration names them."""


@dataclass(frozen=True)
class Part:
    """One dataset of a mixture."""

    dataset: Dataset
    """What was recorded."""
    weight: float
    """How often it is drawn from, relative to the others."""
    embodiment: int
    """Parts of one embodiment share batches."""


def parts_of(data: Sources, config: DataConfig, robots: Sequence[str] | None = None) -> tuple[Part, ...]:
    """The datasets, opened. ConfigError unless they are named in exactly one place; MismatchError when they do not fit.

    With `robots`, the sensors that a model of several embodiments reads, datasets named by --data of another robot, or that
    differ in those sensors or in the actions, are numbered as embodiments, in order.
    """
    paths = [data] if isinstance(data, Path) else list(data)
    if not paths and not config.mixture:
        raise ConfigError("no dataset is named; name one by --data, or several by --data each or by data.mixture")
    if paths and config.mixture:
        raise ConfigError(f"datasets are named by --data ({paths[0]}) and by data.mixture; name them in one place")
    if config.weights and len(config.weights) != len(paths):
        raise ConfigError(f"data.weights has {len(config.weights)} numbers; expected one for each of {len(paths)} --data")
    if paths:
        weights = config.weights or (1.0,) * len(paths)
        datasets = [Dataset.open(path) for path in paths]
        numbers = [0] * len(datasets) if robots is None else _embodiments(datasets, robots)
        return tuple(Part(*part) for part in zip(datasets, weights, numbers, strict=True))
    return tuple(Part(Dataset.open(part.path), part.weight, part.embodiment) for part in config.mixture)


def _embodiments(datasets: Sequence[Dataset], sensors: Sequence[str]) -> list[int]:
    """The number of each dataset's embodiment: that of the first one which shows and does the same, or a new one."""
    kinds: list[Dataset] = []
    numbers = []
    for dataset in datasets:
        number = next((n for n, kind in enumerate(kinds) if _alike(kind, dataset, sensors)), len(kinds))
        if number == len(kinds):
            kinds.append(dataset)
        numbers.append(number)
    return numbers


def _alike(one: Dataset, other: Dataset, sensors: Sequence[str]) -> bool:
    """Whether two datasets are of one robot: its name, which of these sensors it has, and its actions and their rate."""
    ours, theirs = (tuple(key for key in sensors if key in each.spec.sensors) for each in (one, other))
    same = (one.spec.robot, one.fps, ours) == (other.spec.robot, other.fps, theirs)
    return same and not one.spec.differences(other.spec, ours)


def robots_of(config: ExperimentConfig) -> tuple[str, ...] | None:
    """What `parts_of` tells robots apart by; None where the model is of one."""
    return config.model.sensors if config.model.embodiments else None


def worlds_of(parts: Sequence[Part]) -> tuple[WorldSpec, ...]:
    """What was recorded of each embodiment, as the first of its datasets says it."""
    by_number = {part.embodiment: part.dataset.spec for part in reversed(parts)}
    return tuple(by_number[number] for number in sorted(by_number))


def fingerprint_of(parts: Sequence[Part]) -> str:
    """The dataset's own fingerprint, or one of the whole mixture."""
    if len(parts) == 1:
        return parts[0].dataset.fingerprint
    content = [(part.dataset.fingerprint, part.weight, part.embodiment) for part in parts]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def require_one_model(parts: Sequence[Part], config: ExperimentConfig) -> None:
    """Raise ConfigError for embodiments that are misnumbered, or not asked for; MismatchError for datasets that do not fit."""
    numbers = [part.embodiment for part in parts]
    if not config.model.embodiments and len(set(numbers)) > 1:
        raise ConfigError("data.mixture names several embodiments, which needs model.embodiments: true")
    if set(numbers) != set(range(len(set(numbers)))):
        raise ConfigError(f"the embodiments are {numbers}; expected numbers from 0 on, none left out")
    for part in parts:
        first = next(other for other in parts if other.embodiment == part.embodiment)
        if part is not first:
            _require_agreement(first.dataset, part.dataset, tuple(config.model.sensors))


def recorded_blocks(dataset: Dataset, cache: FrameCache | None, num: int, block: int) -> np.ndarray:
    """At most `num` blocks of actions in a row (M, block * A), evenly over the dataset; none crosses an episode."""
    if cache is not None:
        actions, start, length = cache.arrays["action"], cache.episode_start, cache.episode_length
    else:
        actions = np.concatenate([values["action"] for _, values in dataset.frames(["action"])])
        length = np.array([row.length for row in dataset.episodes])
        start = np.cumsum(length) - length
    counts = np.maximum(length - block, 0)  # a frame less than the last, which has no action, for every further action
    rows = np.repeat(start, counts) + np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    if len(rows) > num:
        rows = rows[np.linspace(0, len(rows) - 1, num).astype(np.int64)] if num else rows[:0]
    return np.asarray(actions[rows[:, None] + np.arange(block)], np.float32).reshape(len(rows), block * actions.shape[1])


def _require_agreement(one: Dataset, other: Dataset, keys: tuple[str, ...]) -> None:
    """Raise MismatchError, in one line, unless one model can learn from both datasets."""
    lines = one.spec.differences(other.spec, keys)
    if one.fps != other.fps:
        lines.append(f"frames per second: {one.fps:g} expected, {other.fps:g} got")
    if lines:
        raise MismatchError(
            f"one model cannot learn from both {one.root} and {other.root}: {'; '.join(lines)}; mix datasets that agree in "
            f"{', '.join(keys)} and the action"
        )
