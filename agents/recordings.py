"""The recordings that a run learns from: one dataset or a mixture, from a cache or streamed, as the model sees them.

    recordings = open_recordings(Path("data/full"), config, progress)
    trainer = Trainer(model, objective, recordings.batches(num_frames=3, batch_size=64, seed=0), ...)

F frames   M recorded actions   k action block   A action dim
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agents.experiment import DataConfig, ExperimentConfig
from worldmodel.data import (
    Batches,
    Dataset,
    FrameCache,
    JoinedWindows,
    MixtureSampler,
    ShuffledSampler,
    StreamedWindows,
    Windows,
    in_validation,
)
from worldmodel.data.format.features import sensor_columns
from worldmodel.data.format.statistics import merge
from worldmodel.data.loading.cache import cache_bytes
from worldmodel.data.loading.index import Split
from worldmodel.data.loading.sampler import EpochOrder
from worldmodel.errors import ConfigError, DataError, MismatchError
from worldmodel.framing import Framing
from worldmodel.normalisation import MeanStd, normalisation_of
from worldmodel.progress import Progress
from worldmodel.types import Episode, WorldSpec

logger = logging.getLogger(__name__)

Sources = Path | Sequence[Path]
"""A dataset, or several that are mixed; none at all when the configuration names them."""


AnyWindows = Windows | StreamedWindows | JoinedWindows
"""Windows of one dataset from a cache or from its shards, or of several."""


@dataclass(frozen=True)
class Part:
    """One dataset of a mixture."""

    dataset: Dataset
    """What was recorded."""
    weight: float
    """How often it is drawn from, relative to the others."""
    embodiment: int
    """Parts of one embodiment share batches."""


def parts_of(data: Sources, config: DataConfig) -> tuple[Part, ...]:
    """The datasets, opened. ConfigError unless they are named in exactly one place; MismatchError when they do not fit."""
    paths = [data] if isinstance(data, Path) else list(data)
    if not paths and not config.mixture:
        raise ConfigError("no dataset is named; name one by --data, or several by --data each or by data.mixture")
    if paths and config.mixture:
        raise ConfigError(f"datasets are named by --data ({paths[0]}) and by data.mixture; name them in one place")
    if config.weights and len(config.weights) != len(paths):
        raise ConfigError(f"data.weights has {len(config.weights)} numbers; expected one for each of {len(paths)} --data")
    if paths:
        weights = config.weights or (1.0,) * len(paths)
        return tuple(Part(Dataset.open(path), weight, 0) for path, weight in zip(paths, weights, strict=True))
    return tuple(Part(Dataset.open(part.path), part.weight, part.embodiment) for part in config.mixture)


def fingerprint_of(parts: Sequence[Part]) -> str:
    """The dataset's own fingerprint, or one of the whole mixture."""
    if len(parts) == 1:
        return parts[0].dataset.fingerprint
    content = [(part.dataset.fingerprint, part.weight, part.embodiment) for part in parts]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def open_recordings(data: Sources, config: ExperimentConfig, progress: Progress | None = None) -> Recordings:
    """The recordings of an experiment; caches are built where they are missing, which `progress` is told of.

    Raises DataError for a damaged dataset or a cache that may not be as large as it would be, MismatchError for datasets
    that one model cannot learn from.
    """
    parts, keys, settings = parts_of(data, config.data), tuple(config.model.sensors), config.data
    for part in parts[1:]:
        _require_agreement(parts[0].dataset, part.dataset, keys)
    directory = Path(settings.cache_dir) if settings.cache_dir is not None else None
    caches = []
    for part in parts:
        size = cache_bytes(part.dataset, keys, settings.image_size) / 1e9
        fits = size <= settings.cache_gb
        if settings.source == "cache" and not fits:
            raise DataError(
                f"the cache of {part.dataset.root} would take {size:.3g} GB, data.cache_gb is {settings.cache_gb:g}: raise it, "
                "lower data.image_size, or use data.source=stream"
            )
        if settings.source == "stream" or not fits:
            logger.info("%s is streamed; its cache would take %.3g GB", part.dataset.root, size)
            caches.append(None)
        else:
            size_px = settings.image_size
            caches.append(FrameCache.build(part.dataset, keys, directory, progress, image_size=size_px))
    return Recordings(parts, tuple(caches), keys, settings)


class Recordings:
    """Datasets that agree, cut into windows as the configuration says.

    Attributes:
        world: what was recorded, as the first dataset says it.
        framing: which frames of it the model sees.
        spec: the world as the model sees it.
        streamed: whether any of them is read from its shards rather than from a cache.
    """

    def __init__(self, parts: Sequence[Part], caches: Sequence[FrameCache | None], keys: tuple[str, ...], config: DataConfig):
        self.parts, self.caches, self.keys, self.config = tuple(parts), tuple(caches), keys, config
        self.world: WorldSpec = parts[0].dataset.spec
        self.framing: Framing = config.framing
        self.spec: WorldSpec = self.framing.spec(self.world)
        self.streamed = any(cache is None for cache in caches)

    @property
    def fingerprint(self) -> str:
        """Changes whenever what was recorded, or how it is mixed, does."""
        return fingerprint_of(self.parts)

    @property
    def num_episodes(self) -> int:
        """Of all datasets."""
        return sum(part.dataset.num_episodes for part in self.parts)

    @property
    def num_frames(self) -> int:
        """Of all datasets."""
        return sum(part.dataset.num_frames for part in self.parts)

    @property
    def seeds(self) -> set[int]:
        """Seeds of all episodes: evaluation keeps away from them."""
        return set().union(*(part.dataset.seeds for part in self.parts))

    def normalisation(self) -> dict[str, MeanStd]:
        """Mean and standard deviation of the vectors that the model reads, and of the action, over all datasets."""
        vectors = [key for key in self.keys if self.world.sensors[key].kind == "vector"]
        columns = {key: sensor_columns(self.world)[key] for key in vectors} | {"action": "action"}
        stats = [part.dataset.stats for part in self.parts]
        merged = {c: merge([s[c] for s in stats]) for c in columns.values() if all(c in s for s in stats)}
        return normalisation_of(merged, columns)

    def windows(self, num_frames: int, split: Split = "train", stride: int | None = None) -> AnyWindows:
        """Labelled windows of a split, `stride` apart, or as far apart as the configuration says."""
        sources = [
            self._windows(part, cache, num_frames, split, self.config.stride if stride is None else stride)
            for part, cache in zip(self.parts, self.caches, strict=True)
        ]
        return sources[0] if len(sources) == 1 else JoinedWindows(sources, [part.embodiment for part in self.parts])

    def batches(self, num_frames: int, batch_size: int, seed: int, rank: int = 0, world_size: int = 1) -> Batches:
        """Endless batches for training; of several ranks, this one's part of each."""
        windows = self.windows(num_frames)
        if not isinstance(windows, JoinedWindows):
            order = _order(windows, seed)
            sampler = ShuffledSampler(windows.num_windows, batch_size, seed, rank=rank, world_size=world_size, order=order)
            return Batches(windows, sampler)
        weights, orders = [part.weight for part in self.parts], [_order(source, seed) for source in windows.sources]
        mixed = MixtureSampler(windows, weights, batch_size, seed, rank=rank, world_size=world_size, orders=orders)
        return Batches(windows, mixed)

    def recorded_actions(self, num: int) -> Tensor:
        """At most `num` recorded blocks of actions (M, k * A), evenly over each dataset, from the datasets by weight."""
        total = sum(part.weight for part in self.parts)
        banks = [
            _blocks(part.dataset, cache, round(num * part.weight / total), self.framing.action_block)
            for part, cache in zip(self.parts, self.caches, strict=True)
        ]
        return torch.from_numpy(np.concatenate(banks))

    def validation_episodes(self, num: int, num_actions: int) -> list[Episode]:
        """The first `num` validation episodes in which the model sees at least so many actions, as it sees them."""
        return list(islice(self._validation_episodes(num_actions), num))

    def _validation_episodes(self, num_actions: int) -> Iterator[Episode]:
        for part in self.parts:
            for number, row in enumerate(part.dataset.episodes):
                long_enough = row.length > num_actions * self.framing.frame_skip
                if long_enough and in_validation(row.seed, self.config.val_fraction):
                    yield self.framing.episode(part.dataset.read_episode(number), part.dataset.spec)

    def _windows(
        self, part: Part, cache: FrameCache | None, num_frames: int, split: Split, stride: int
    ) -> Windows | StreamedWindows:
        settings: dict[str, Any] = {
            "stride": stride,
            "split": split,
            "val_fraction": self.config.val_fraction,
            "labels": True,
            "frame_skip": self.framing.frame_skip,
        }
        if cache is not None:
            return Windows(cache, num_frames, **settings)
        size, buffer = self.framing.image_size, self.config.buffer_windows
        return StreamedWindows(part.dataset, self.keys, num_frames, image_size=size, buffer_windows=buffer, **settings)


def _order(windows: object, seed: int) -> EpochOrder | None:
    """The order in which an epoch of windows is cheap to read; None where every order is."""
    return (lambda epoch: windows.order(seed, epoch)) if isinstance(windows, StreamedWindows) else None


def _blocks(dataset: Dataset, cache: FrameCache | None, num: int, block: int) -> np.ndarray:
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
