"""Several datasets as one source of windows: joined under one numbering, drawn by weight, one embodiment a batch.

Datasets of one embodiment have the same sensors and actions, and are mixed within a batch. Different embodiments (other
cameras, rates or action spaces) never share one.

B batch   W windows   S datasets
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from worldmodel.data.loading.batches import Preparing, WindowSource
from worldmodel.data.loading.sampler import EpochOrder, ShuffledSampler, part_of, require_same_stream
from worldmodel.errors import CheckpointError, ConfigError
from worldmodel.types import Window


class JoinedWindows:
    """The windows of several sources, one source after the other; a batch is of one embodiment.

    Args:
        sources: where the windows come from.
        embodiments: number of each source's embodiment; sources that share one have the same sensors and actions.

    Attributes:
        first: (S + 1,) int64, number of each source's first window; the last is the number of all.
    """

    def __init__(self, sources: Sequence[WindowSource], embodiments: Sequence[int] | None = None):
        if not sources:
            raise ConfigError("a mixture of no datasets; expected one or more")
        self.sources = tuple(sources)
        self.embodiments = np.zeros(len(sources), np.int64) if embodiments is None else np.asarray(embodiments, np.int64)
        self.first = np.concatenate([[0], np.cumsum([source.num_windows for source in sources])])

    @property
    def num_windows(self) -> int:
        """W, of all sources together."""
        return int(self.first[-1])

    def source_of(self, indices: np.ndarray) -> np.ndarray:
        """Which source each of the windows (B,) is from."""
        return np.searchsorted(self.first, indices, side="right") - 1

    def prepare(self, indices: np.ndarray) -> None:
        """Begin to read those of the windows that are read from shards."""
        for number, rows in self._split(indices):
            source = self.sources[number]
            if isinstance(source, Preparing):
                source.prepare(indices[rows] - self.first[number])

    def batch(self, indices: np.ndarray) -> Window:
        """The windows at `indices` (B,) in this order; `episode_index` counts within each one's own `dataset`.

        Labels that not all of them have are left out. ValueError for windows of different embodiments.
        """
        split = self._split(indices)
        numbers = {int(self.embodiments[number]) for number, _ in split}
        if len(numbers) > 1:
            raise ValueError(f"a batch of the embodiments {sorted(numbers)}; expected windows of one")
        parts = [self.sources[number].batch(indices[rows] - self.first[number]) for number, rows in split]
        embodiment, dataset = numbers.pop(), torch.from_numpy(self.source_of(indices))
        if len(parts) == 1:
            return dataclasses.replace(parts[0], embodiment=embodiment, dataset=dataset)
        back = torch.from_numpy(np.argsort(np.concatenate([rows for _, rows in split]), kind="stable"))

        def joined(tensors: list[torch.Tensor]) -> torch.Tensor:
            return torch.cat(tensors)[back]

        labels = [name for name in parts[0].labels if all(name in part.labels for part in parts)]
        return Window(
            observations={key: joined([part.observations[key] for part in parts]) for key in parts[0].observations},
            actions=joined([part.actions for part in parts]),
            labels={name: joined([part.labels[name] for part in parts]) for name in labels},
            episode_index=joined([part.episode_index for part in parts]),
            frame_index=joined([part.frame_index for part in parts]),
            embodiment=embodiment,
            dataset=dataset,
            frame_skip=parts[0].frame_skip,
        )

    def _split(self, indices: np.ndarray) -> list[tuple[int, np.ndarray]]:
        """(source, places (n,) in the batch of the windows that are from it), of those that there are."""
        source = self.source_of(indices)
        return [(int(number), np.flatnonzero(source == number)) for number in np.unique(source)]


def by_embodiment(windows: object, indices: np.ndarray) -> list[np.ndarray]:
    """The windows (B,) in parts that each are of one embodiment; all of them at once where there is only one."""
    if not isinstance(windows, JoinedWindows):
        return [indices]
    kinds = windows.embodiments[windows.source_of(indices)]
    return [indices[kinds == kind] for kind in np.unique(kinds)]


class MixtureSampler:
    """An endless stream of batches of joined windows: the embodiment, then each window's dataset, are drawn by weight.

    Within a dataset every window comes once before any comes again, in a new order each time. With several ranks each takes
    its part of the same batch; the state is the same for any number of them.

    Args:
        windows: the joined windows.
        weights: (S,) how often a window is from each dataset, relative to the others.
        batch_size: B, of all ranks together.
        seed: of all draws.
        rank: which part of each batch this is.
        world_size: how many parts there are.
        orders: the order of each dataset's epochs, where it is not a shuffling of everything.
    """

    def __init__(
        self,
        windows: JoinedWindows,
        weights: Sequence[float],
        batch_size: int,
        seed: int,
        *,
        rank: int = 0,
        world_size: int = 1,
        orders: Sequence[EpochOrder | None] | None = None,
    ):
        share = np.asarray(weights, np.float64)
        if share.shape != (len(windows.sources),) or not (np.isfinite(share) & (share > 0)).all():
            raise ConfigError(
                f"weights are {list(weights)}; expected a positive number for each of {len(windows.sources)} datasets"
            )
        self.windows, self.batch_size, self.seed = windows, batch_size, seed
        self.weights = share / share.sum()
        self.part = part_of(batch_size, rank, world_size)
        self._streams = [
            ShuffledSampler(source.num_windows, batch_size, seed + number, order=order)
            for number, (source, order) in enumerate(zip(windows.sources, orders or [None] * len(share), strict=True))
        ]
        self._num_batches = 0

    def next(self) -> np.ndarray:
        """The next batch of indices, (B,) int64; of several ranks, this one's part."""
        rng = np.random.default_rng([self.seed, 1, self._num_batches])
        kinds = np.unique(self.windows.embodiments)
        totals = [self.weights[self.windows.embodiments == kind].sum() for kind in kinds]
        weights = np.where(self.windows.embodiments == rng.choice(kinds, p=totals), self.weights, 0.0)
        drawn = rng.choice(len(weights), self.batch_size, p=weights / weights.sum())  # (B,) which dataset
        indices = np.empty(self.batch_size, np.int64)
        for number, stream in enumerate(self._streams):
            rows = np.flatnonzero(drawn == number)
            indices[rows] = self.windows.first[number] + stream.take(len(rows))
        self._num_batches += 1
        return indices[self.part]

    def state_dict(self) -> dict[str, Any]:
        """The places in the streams, and what they depend on, as plain values."""
        return {
            "batches": self._num_batches,
            "streams": [stream.state_dict()["consumed"] for stream in self._streams],
            "num_windows": [stream.num_windows for stream in self._streams],
            "embodiments": self.windows.embodiments.tolist(),
            "weights": self.weights.tolist(),
            "seed": self.seed,
            "batch_size": self.batch_size,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on exactly where `state` was taken. CheckpointError for that of another mixture."""
        require_same_stream(self.state_dict(), state, "batches", "streams")
        places = state["streams"]
        if len(places) != len(self._streams) or min([state["batches"], *places]) < 0:
            raise CheckpointError(f"cannot resume the mixture: {places} are not places in {len(self._streams)} datasets")
        self._num_batches = state["batches"]
        for stream, consumed in zip(self._streams, places, strict=True):
            stream.load_state_dict(stream.state_dict() | {"consumed": consumed})
