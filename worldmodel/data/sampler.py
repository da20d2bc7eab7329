"""Which windows make the next batch: an endless stream, shuffled anew every epoch, resumed exactly from one number."""

from __future__ import annotations

import numpy as np

from worldmodel.errors import CheckpointError, ConfigError


class ShuffledSampler:
    """An endless stream of indices cut into batches; every index comes once an epoch.

    A batch may reach over the end of an epoch, so that all batches are full, also when there are few windows. The order
    of an epoch depends on the seed and the epoch's number alone, so the place in the stream is the whole state.

    Args:
        num_windows: how many indices there are.
        batch_size: B, how many make a batch.
        seed: of the shuffling.
    """

    def __init__(self, num_windows: int, batch_size: int, seed: int):
        if num_windows < 1 or batch_size < 1:
            raise ConfigError(f"num_windows is {num_windows} and batch_size is {batch_size}; expected 1 or more")
        self.num_windows = num_windows
        self.batch_size = batch_size
        self.seed = seed
        self._consumed = 0
        self._order = (-1, np.zeros(0, np.int64))

    @property
    def epoch(self) -> int:
        """Number of whole epochs that have been given out."""
        return self._consumed // self.num_windows

    def next(self) -> np.ndarray:
        """The next batch of indices, (B,) int64."""
        parts, need = [], self.batch_size
        while need:
            order, place = self._epoch_order(self.epoch), self._consumed % self.num_windows
            parts.append(order[place : place + need])
            self._consumed += len(parts[-1])
            need -= len(parts[-1])
        return np.concatenate(parts)

    def state_dict(self) -> dict[str, int]:
        """The place in the stream, and what the stream depends on, as plain numbers."""
        return {"consumed": self._consumed, "seed": self.seed, "num_windows": self.num_windows, "batch_size": self.batch_size}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on exactly where `state` was taken.

        Raises:
            CheckpointError: the state is of another stream: other windows, another batch size or another seed.
        """
        ours = self.state_dict()
        differing = [name for name in ours if name != "consumed" and state.get(name) != ours[name]]
        if differing or not isinstance(state.get("consumed"), int) or state["consumed"] < 0:
            lines = ", ".join(f"{name} {state.get(name)!r} (here {ours[name]!r})" for name in differing or ["consumed"])
            raise CheckpointError(f"cannot resume the sampler: {lines}; resume with the data and settings of the run")
        self._consumed = state["consumed"]

    def _epoch_order(self, epoch: int) -> np.ndarray:
        if self._order[0] != epoch:
            self._order = (epoch, np.random.default_rng([self.seed, epoch]).permutation(self.num_windows))
        return self._order[1]
