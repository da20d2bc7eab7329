"""THE way to write a file so that a crash leaves the old one or the new one: a temporary name, fsync, rename.

Each package words the failure in its own terms: `data.files.publish` as a DataError, `train.files.write_atomic` as a
CheckpointError.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

PART = ".part"
"""Suffix of a file that is still being written; nothing reads one."""


def replace_file(path: Path, part: Path, content: bytes | Callable[[Path], None]) -> None:
    """Make `path` hold `content`, whole and durable, or leave it as it was.

    Args:
        path: the file; its folder is made when absent.
        part: a temporary name in the same folder, gone afterwards whatever happens (but for a kill).
        content: the bytes, or a function that writes them to the path that it is given.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if callable(content):
            content(part)
        else:
            part.write_bytes(content)
        sync(part)
        os.replace(part, path)
        if os.name == "posix":  # elsewhere a folder cannot be opened
            sync(path.parent)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    fd = os.open(path, os.O_RDWR if os.name != "posix" else os.O_RDONLY)  # Windows flushes only what may be written
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
