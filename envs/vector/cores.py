"""Where processes that are asked together wake up: each on a core of its own.

Linux likes to wake a process on the core of the one that woke it. Two workers that are asked one after the other then wait for
each other on one core while the next one idles: up to a time slice of 3 ms, on average a seventh of a step of `ee_delta`. So a
worker waits tied to a core, its home, and is free to move as soon as it is awake. And the one at home where the asking process
runs is asked last, since it may take that core at once, before the others have been asked. Elsewhere than on Linux nothing of
this is done.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator


def homes(num_workers: int) -> list[int | None]:
    """The core where each of a pool's workers waits, round after round; None for all where cores cannot be chosen.

    None, too, for fewer workers than cores: those of several pools would crowd on the first cores, and the others stand idle.
    """
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else []
    if not cores or num_workers < len(cores):
        return [None] * num_workers
    return [cores[number % len(cores)] for number in range(num_workers)]


@contextlib.contextmanager
def waiting_at(home: int | None) -> Iterator[None]:
    """This thread is tied to one core until the block ends, and then to those that it was tied to before."""
    if home is None:
        yield
        return
    anywhere = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {home})
    except OSError:  # the core has been taken away from this process meanwhile
        anywhere = None
    try:
        yield
    finally:
        if anywhere is not None:
            with contextlib.suppress(OSError):
                os.sched_setaffinity(0, anywhere)


def present_core() -> int | None:
    """The core that runs this thread just now, or None where that cannot be told."""
    return _getcpu() if _getcpu is not None else None


_getcpu = getattr(ctypes.CDLL(None), "sched_getcpu", None) if hasattr(os, "sched_setaffinity") else None
