"""Worlds that draw from NumPy's global generator, which nobody else then disturbs and whose seed is the episode's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


class OwnChance:
    """NumPy's global generator as one world sees it."""

    def __init__(self) -> None:
        self.seed(0)

    def seed(self, seed: int) -> None:
        """Begin again."""
        self._state = np.random.RandomState(seed % 2**32).get_state()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """While the world is at work the global generator is its own; before and after it is everybody's."""
        everybodys = np.random.get_state()
        np.random.set_state(self._state)
        try:
            yield
        finally:
            self._state = np.random.get_state()
            np.random.set_state(everybodys)
