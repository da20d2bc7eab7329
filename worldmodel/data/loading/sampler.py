"""Which windows make the next batch: an endless stream, shuffled anew every epoch, resumed exactly from one number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from worldmodel.errors import CheckpointError, ConfigError

EpochOrder = Callable[[int], np.ndarray]
"""Number of an epoch -> every index once, (W,) int64. It must depend on nothing else."""


class ShuffledSampler:
    """An endless stream of indices cut into batches; every index comes once an epoch.

    A batch may reach over the end of an epoch, so that all batches are full, also when there are few windows. The order
    of an epoch depends on the seed and the epoch's number alone, so the place in the stream is the whole state.

    With several ranks, each takes its own part of the same batch: together they see what one process would see, in an epoch
    no index twice, and the state says nothing of them, so that it is saved by two and resumed by one.

    Args:
        num_windows: how many indices there are.
        batch_size: B, how many make a batch, of all ranks together.
        seed: of the shuffling.
        rank: which part of each batch this is.
        world_size: how many parts there are; it divides the batch size.
        order: the order of an epoch, where it is not a shuffling of everything.
    """

    def __init__(
        self,
        num_windows: int,
        batch_size: int,
        seed: int,
        *,
        rank: int = 0,
        world_size: int = 1,
        order: EpochOrder | None = None,
    ):
        if num_windows < 1 or batch_size < 1:
            raise ConfigError(f"num_windows is {num_windows} and batch_size is {batch_size}; expected 1 or more")
        self.num_windows = num_windows
        self.batch_size = batch_size
        self.seed = seed
        self.part = part_of(batch_size, rank, world_size)
        self._make_order = order or self._shuffled
        self._consumed = 0
        self._order = (-1, np.zeros(0, np.int64))

    @property
    def epoch(self) -> int:
        """Number of whole epochs that have been given out."""
        return self._consumed // self.num_windows

    def next(self) -> np.ndarray:
        """The next batch of indices, (B,) int64; of several ranks, this one's part, (B / world_size,)."""
        return self.take(self.batch_size)[self.part]

    def take(self, num: int) -> np.ndarray:
        """The next `num` indices of the stream, (num,) int64."""
        parts, need = [np.zeros(0, np.int64)], num
        while need:
            order, place = self._epoch_order(self.epoch), self._consumed % self.num_windows
            parts.append(order[place : place + need])
            self._consumed += len(parts[-1])
            need -= len(parts[-1])
        return np.concatenate(parts)

    def state_dict(self) -> dict[str, int]:
        """The place in the stream, and what the stream depends on, as plain numbers."""
        return {"consumed": self._consumed, "seed": self.seed, "num_windows": self.num_windows, "batch_size": self.batch_size}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on exactly where `state` was taken.

        Raises:
            CheckpointError: the state is of another stream: other windows, another batch size or another seed.
        """
        require_same_stream(self.state_dict(), state, "consumed")
        if not isinstance(state["consumed"], int) or state["consumed"] < 0:
            raise CheckpointError(f"cannot resume the sampler: consumed is {state['consumed']!r}; expected 0 or more")
        self._consumed = state["consumed"]

    def _epoch_order(self, epoch: int) -> np.ndarray:
        if self._order[0] != epoch:
            self._order = (epoch, self._make_order(epoch))
        return self._order[1]

    def _shuffled(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self.seed, epoch]).permutation(self.num_windows)


def part_of(batch_size: int, rank: int, world_size: int) -> slice:
    """The places in a batch that are this rank's. ConfigError when the batch does not divide into the ranks."""
    if not 0 <= rank < world_size:
        raise ConfigError(f"rank is {rank} of {world_size}; expected 0 to {world_size - 1}")
    if batch_size % world_size:
        raise ConfigError(f"batch_size is {batch_size}; expected a multiple of the {world_size} processes that share a batch")
    size = batch_size // world_size
    return slice(rank * size, (rank + 1) * size)


def require_same_stream(ours: dict[str, Any], state: dict[str, Any], *places: str) -> None:
    """Raise CheckpointError unless `state` is of the stream that `ours` is of; `places` say only where in it."""
    differing = [name for name in ours if name not in places and state.get(name) != ours[name]]
    differing += [name for name in places if name not in state]
    if differing:
        lines = ", ".join(f"{name} {state.get(name)!r} (here {ours[name]!r})" for name in differing)
        raise CheckpointError(f"cannot resume the sampler: {lines}; resume with the data and settings of the run")
