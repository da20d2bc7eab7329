"""The recordings that a run learns from: one dataset or a mixture, from a cache or streamed, as the model sees them.

    recordings = open_recordings(Path("data/full"), config, progress)
    trainer = Trainer(model, objective, recordings.batches(num_frames=3, batch_size=64, seed=0), ...)

F frames   M recorded actions   k action block   A action dim
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agents.experiment import DataConfig, ExperimentConfig
from agents.training.sources import (
    Part,
    Sources,
    fingerprint_of,
    parts_of,
    recorded_blocks,
    require_one_model,
    robots_of,
    worlds_of,
)
from worldmodel.data import (
    Batches,
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
from worldmodel.data.loading.instructed import INSTRUCTION, InstructedWindows
from worldmodel.data.loading.sampler import EpochOrder
from worldmodel.data.split_stats import split_stats
from worldmodel.errors import DataError
from worldmodel.framing import Framing
from worldmodel.nn.embodied import Body
from worldmodel.normalisation import MeanStd, normalisation_of
from worldmodel.progress import Progress
from worldmodel.types import Episode, WorldSpec

logger = logging.getLogger(__name__)

AnyWindows = Windows | StreamedWindows | InstructedWindows | JoinedWindows
"""Windows of one dataset from a cache or from its shards, or of several."""


def open_recordings(data: Sources, config: ExperimentConfig, progress: Progress | None = None) -> Recordings:
    """The recordings of an experiment; caches are built where they are missing, which `progress` is told of.

    Raises DataError for a damaged dataset or a cache that may not be as large as it would be, MismatchError for datasets
    that one model cannot learn from.
    """
    parts = parts_of(data, config.data, robots_of(config))
    keys, settings = tuple(config.model.sensors), config.data
    require_one_model(parts, config)
    optional = config.model.encoder.sensor_dropout > 0
    directory = Path(settings.cache_dir) if settings.cache_dir is not None else None
    caches = []
    for part in parts:
        own = _own(keys, part.dataset.spec, optional)
        size = cache_bytes(part.dataset, own, settings.image_size) / 1e9
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
            caches.append(FrameCache.build(part.dataset, own, directory, progress, image_size=size_px))
    objective = config.objective
    asked = objective.contrastive_coef > 0 and objective.contrastive.source == INSTRUCTION
    return Recordings(parts, tuple(caches), keys, settings, optional, asked)


class Recordings:
    """Datasets that agree, cut into windows as the configuration says.

    Attributes:
        world: what was recorded, as the first dataset says it.
        worlds: what was recorded of each embodiment, as the first of its datasets says it.
        framing: which frames of it the model sees.
        spec: the world as the model sees it.
        streamed: whether any of them is read from its shards rather than from a cache.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        caches: Sequence[FrameCache | None],
        keys: tuple[str, ...],
        config: DataConfig,
        optional: bool = False,
        instructions: bool = False,
    ):
        """`optional`: whether a dataset may lack some of the sensors `keys`.

        `instructions`: whether windows carry the episode's task in words, as the label `instruction`.
        """
        self.parts, self.caches, self.keys, self.config = tuple(parts), tuple(caches), keys, config
        self.optional, self.instructions = optional, instructions
        self.worlds: tuple[WorldSpec, ...] = worlds_of(parts)
        self.world: WorldSpec = self.worlds[0]
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

    def normalisation(self, embodiment: int = 0) -> dict[str, MeanStd]:
        """Mean and standard deviation of the vectors that the model reads, and of the action, over an embodiment's datasets.

        Of the episodes that are trained on: those kept for validation say nothing.
        """
        world = self.worlds[embodiment]
        vectors = [key for key in _own(self.keys, world, self.optional) if world.sensors[key].kind == "vector"]
        columns = {key: sensor_columns(world)[key] for key in vectors} | {"action": "action"}
        datasets = [part.dataset for part in self.parts if part.embodiment == embodiment]
        found = [split_stats(dataset, columns.values(), "train", self.config.val_fraction) for dataset in datasets]
        stats = [each for each in found if each]  # a dataset may have no episode in the split
        merged = {c: merge([s[c] for s in stats]) for c in columns.values() if stats and all(c in s for s in stats)}
        return normalisation_of(merged, columns)

    def windows(
        self, num_frames: int, split: Split = "train", stride: int | None = None, embodiment: int | None = None
    ) -> AnyWindows:
        """Labelled windows of a split, `stride` apart or as the configuration says; of one embodiment, or of all."""
        chosen = [
            pair for pair in zip(self.parts, self.caches, strict=True) if embodiment is None or pair[0].embodiment == embodiment
        ]
        sources = [
            self._windows(part, cache, num_frames, split, self.config.stride if stride is None else stride)
            for part, cache in chosen
        ]
        numbers = [part.embodiment for part, _ in chosen]
        return sources[0] if numbers == [0] else JoinedWindows(sources, numbers)

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

    def bodies(self) -> tuple[Body, ...]:
        """Each embodiment as the model sees it."""
        return tuple(Body(self.framing.spec(world), self.normalisation(number)) for number, world in enumerate(self.worlds))

    def recorded_actions(self, num: int, embodiment: int = 0) -> Tensor:
        """At most `num` recorded blocks of actions (M, k * A), evenly over each dataset, from an embodiment's by weight."""
        chosen = [pair for pair in zip(self.parts, self.caches, strict=True) if pair[0].embodiment == embodiment]
        total = sum(part.weight for part, _ in chosen)
        banks = [
            recorded_blocks(part.dataset, cache, round(num * part.weight / total), self.framing.action_block)
            for part, cache in chosen
        ]
        return torch.from_numpy(np.concatenate(banks))

    def validation_episodes(self, num: int, num_actions: int, embodiment: int = 0) -> list[Episode]:
        """The first `num` validation episodes of an embodiment with at least so many actions, as the model sees them."""
        return list(islice(self._validation_episodes(num_actions, embodiment), num))

    def _validation_episodes(self, num_actions: int, embodiment: int) -> Iterator[Episode]:
        for part in self.parts:
            if part.embodiment != embodiment:
                continue
            for number, row in enumerate(part.dataset.episodes):
                long_enough = row.length > num_actions * self.framing.frame_skip
                if long_enough and in_validation(row.seed, self.config.val_fraction):
                    yield self.framing.episode(part.dataset.read_episode(number), part.dataset.spec)

    def _windows(
        self, part: Part, cache: FrameCache | None, num_frames: int, split: Split, stride: int
    ) -> Windows | StreamedWindows | InstructedWindows:
        settings: dict[str, Any] = {
            "stride": stride,
            "split": split,
            "val_fraction": self.config.val_fraction,
            "labels": True,
            "frame_skip": self.framing.frame_skip,
        }
        if cache is not None:
            windows = Windows(cache, num_frames, **settings)
        else:
            size, buffer = self.framing.image_size, self.config.buffer_windows
            own = _own(self.keys, part.dataset.spec, self.optional)
            windows = StreamedWindows(part.dataset, own, num_frames, image_size=size, buffer_windows=buffer, **settings)
        return InstructedWindows(windows, [row.instruction for row in part.dataset.episodes]) if self.instructions else windows


def _own(keys: tuple[str, ...], spec: WorldSpec, optional: bool) -> tuple[str, ...]:
    """Those of the sensors that a dataset has, where it may lack some; all of them where it may not."""
    return tuple(key for key in keys if key in spec.sensors) if optional else keys


def _order(windows: object, seed: int) -> EpochOrder | None:
    """The order in which an epoch of windows is cheap to read; None where every order is."""
    source = windows.windows if isinstance(windows, InstructedWindows) else windows
    return (lambda epoch: source.order(seed, epoch)) if isinstance(source, StreamedWindows) else None
