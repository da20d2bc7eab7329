"""Locks between processes that the kernel releases when their holder ends, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from worldmodel.data.format.files import one_line
from worldmodel.errors import DataError

DELETED = 1.0
"""Longest time that a folder is waited for that somebody deletes just now [s]: one that cannot be made is never there."""


@contextlib.contextmanager
def lock(path: Path, *, exclusive: bool, wait: float, busy: str, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold a lock file, shared or exclusive.

    Args:
        path: the lock file, made when absent; whoever holds it alone may delete it.
        exclusive: alone, or together with others that hold it shared.
        wait: how long to try [s].
        busy: message of the DataError raised when somebody else still holds it.
        waiting: called now and then until it is held.
    """
    begun = time.monotonic()
    while (fd := _taken(path, exclusive)) is None:
        waited = time.monotonic() - begun
        if waited >= wait or (waited >= DELETED and not path.parent.is_dir()):
            if not path.exists():  # then nobody holds it: it cannot be made here
                raise DataError(f"cannot write {path}; choose a folder that can be written")
            raise DataError(busy)
        waiting()
        time.sleep(0.02)
    try:
        yield
    finally:
        os.close(fd)


def _taken(path: Path, exclusive: bool) -> int | None:
    """The open lock file, held; None when somebody else holds it, or has deleted it in the meantime."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except FileNotFoundError:
        return None  # its folder was deleted just now, or takes no new file
    except OSError as error:
        raise DataError(f"cannot write {path}: {one_line(error)}; choose a folder that can be written") from error
    try:
        fcntl.flock(fd, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(fd), os.stat(path)):  # what is deleted is held by nobody else, and protects nothing
            return fd
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError as error:
        os.close(fd)
        raise DataError(f"cannot lock {path}: {one_line(error)}; choose a file system with locks") from error
    os.close(fd)
    return None
