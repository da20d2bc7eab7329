"""What makes a source this one and no other, without reading all of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from worldmodel.data.format.files import one_line
from worldmodel.errors import DataError

_ENDS = 4096
"""Bytes of a file's beginning and of its end that are hashed."""


def identity_of(kind: str, root: Path, files: Iterable[Path]) -> dict[str, str]:
    """Kind, and a hash of each file's name, size, beginning and end: another place on the disk is the same source."""
    total = hashlib.sha256(kind.encode())
    for path in sorted(files):
        try:
            with open(path, "rb") as file:
                size = path.stat().st_size
                total.update(f"{path.relative_to(root).as_posix() if path != root else ''} {size}\n".encode())
                total.update(file.read(_ENDS))
                file.seek(max(0, size - _ENDS))
                total.update(file.read(_ENDS))
        except OSError as error:
            raise DataError(f"{path} cannot be read: {one_line(error)}") from error
    return {"kind": kind, "fingerprint": total.hexdigest()}
