"""How far the process is that builds a cache, told to those that wait for it: two numbers in the file that it holds locked."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from worldmodel.progress import Progress

INTERVAL = 0.5
"""Time between two words [s]."""


class Telling:
    """A `Progress` that passes on what it is told, and leaves it in the lock file for others.

    Args:
        progress: who listens here.
        path: the lock file, which this process holds.
    """

    def __init__(self, progress: Progress, path: Path) -> None:
        self._progress, self._path = progress, path
        self._next = 0.0

    def update(self, done: int, total: int, **fields: str | float) -> None:
        """`done` of `total` frames are written."""
        self._progress.update(done, total, **fields)
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + INTERVAL
            with contextlib.suppress(OSError):  # a full disk is told by whoever writes the frames
                self._path.write_text(f"{done} {total}\n")


class Waiting:
    """Tells `progress` now and then how far another process is that holds the lock file; to be called while waiting."""

    def __init__(self, progress: Progress, path: Path) -> None:
        self._progress, self._path = progress, path
        self._next = 0.0

    def __call__(self) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + INTERVAL
        with contextlib.suppress(OSError, ValueError):  # it is being written just now, or not begun
            done, total = map(int, self._path.read_text().split())
            self._progress.update(done, total, waiting="another process builds this cache")
