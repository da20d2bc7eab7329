"""Files that are either the old ones or the new ones, never half of each."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from worldmodel.atomic import PART, replace_file
from worldmodel.errors import CheckpointError


def write_atomic(path: Path, content: bytes) -> None:
    """Replace `path` by `content`. A crash leaves the old file or the new one.

    Raises CheckpointError when the folder cannot be written or the disk is full.
    """
    # The same name each time: what a kill leaves is written over by the next run.
    part = path.with_name(path.name + PART)
    try:
        replace_file(path, part, content)
    except OSError as error:
        raise CheckpointError(f"cannot write {path}: {error}; free space or choose another folder") from error


def dump_json(value: Any, indent: int | None = 2) -> str:
    """`value` as strict JSON: NaN and infinity, which JSON lacks, are a ValueError."""
    return json.dumps(value, indent=indent, allow_nan=False)


def sha256(content: bytes) -> str:
    """Checksum of a file's bytes, as hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()
