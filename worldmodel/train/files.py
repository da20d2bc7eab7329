"""Files that are either the old ones or the new ones, never half of each."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from worldmodel.errors import CheckpointError


def write_atomic(path: Path, content: bytes) -> None:
    """Replace `path` by `content`: a temporary name, fsync, rename. A crash leaves the old file or the new one.

    Raises CheckpointError when the folder cannot be written or the disk is full.
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        _sync_directory(path.parent)
    except OSError as error:
        raise CheckpointError(f"cannot write {path}: {error}; free space or choose another folder") from error


def dump_json(value: Any, indent: int | None = 2) -> str:
    """`value` as strict JSON: NaN and infinity, which JSON lacks, are a ValueError."""
    return json.dumps(value, indent=indent, allow_nan=False)


def sha256(content: bytes) -> str:
    """Checksum of a file's bytes, as hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def _sync_directory(directory: Path) -> None:
    """Make a rename last through a power cut, where the system can open a directory (Windows cannot)."""
    if os.name != "posix":
        return
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
