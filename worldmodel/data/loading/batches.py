"""What training draws from: the next batch of windows, and a place to go on from."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import numpy as np

from worldmodel.types import Window


class Sampler(Protocol):
    """Decides which windows make the next batch."""

    def next(self) -> np.ndarray:
        """Indices of the next batch, (B,)."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Where it is, as JSON values."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to where `state_dict` was taken."""
        ...


class WindowSource(Protocol):
    """Windows of a dataset, by number."""

    @property
    def num_windows(self) -> int:
        """How many there are."""
        ...

    def batch(self, indices: np.ndarray) -> Window:
        """The windows at `indices`, (B,)."""
        ...


@runtime_checkable
class BatchSource(Protocol):
    """An endless stream of batches, wherever they come from: a cache, shards on a disk, several datasets."""

    @property
    def num_windows(self) -> int:
        """Different windows that there are."""
        ...

    def next(self) -> Window:
        """The next batch."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Where it is after the batches given out so far, as JSON values."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to where `state_dict` was taken: the batches that follow are the same. CheckpointError for another stream's."""
        ...


@runtime_checkable
class Preparing(Protocol):
    """Windows that can be told in advance which ones will be asked for."""

    def prepare(self, indices: np.ndarray) -> None:
        """Begin to read the windows at `indices`, (B,)."""
        ...


class Batches:
    """The windows that a sampler chooses, batch after batch.

    Args:
        windows: where they come from.
        sampler: which ones, in what order.
        read_ahead: batches that windows which can prepare are told of in advance.
    """

    def __init__(self, windows: WindowSource, sampler: Sampler, read_ahead: int = 16):
        self.windows = windows
        self.sampler = sampler
        self._prepare = windows.prepare if isinstance(windows, Preparing) else None
        self._depth = read_ahead if self._prepare is not None else 1
        self._chosen: deque[tuple[np.ndarray, dict[str, Any]]] = deque()
        self._state = sampler.state_dict()

    @property
    def num_windows(self) -> int:
        """Different windows that there are."""
        return self.windows.num_windows

    def next(self) -> Window:
        """The next batch."""
        while len(self._chosen) < self._depth:
            indices = self.sampler.next()
            if self._prepare is not None:
                self._prepare(indices)
            self._chosen.append((indices, self.sampler.state_dict()))
        indices, self._state = self._chosen.popleft()
        return self.windows.batch(indices)

    def __iter__(self) -> Iterator[Window]:
        """The batches from here on, endlessly."""
        while True:
            yield self.next()

    def state_dict(self) -> dict[str, Any]:
        """The sampler's state after the batches given out so far; what is only prepared does not count."""
        return self._state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to where `state_dict` was taken."""
        self.sampler.load_state_dict(state)
        self._chosen.clear()
        self._state = self.sampler.state_dict()
