"""Files that appear whole or not at all, locks that a kill releases, and reads that fail in one clear line."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from worldmodel.atomic import PART, replace_file
from worldmodel.data.format.footers import footer
from worldmodel.errors import DataError


def one_line(error: BaseException) -> str:
    """The message of an exception on one line."""
    return " ".join(str(error).split()) or type(error).__name__


def part_path(path: Path) -> Path:
    """A fresh temporary name beside `path`; whoever holds the lock may delete the file of a killed writer."""
    return path.parent / f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}{PART}"


def publish(path: Path, content: bytes | Callable[[Path], None]) -> None:
    """Make `path` hold `content`, whole and durable, or leave it as it was.

    `content` is the bytes, or a function that writes them to the path that it is given.

    Raises:
        DataError: the folder cannot be written, or the disk is full.
    """
    try:
        replace_file(path, part_path(path), content)
    except OSError as error:
        raise DataError(f"cannot write {path}: {one_line(error)}; free space or choose another folder") from error


def publish_json(path: Path, values: Any) -> None:
    """`publish` of plain values as JSON; a NaN is a bug of the caller."""
    text = json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    publish(path, text.encode())


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        DataError: no such file, not JSON, or not an object.
    """
    _require_file(path)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing; expected a file of the dataset") from error
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is damaged: expected JSON, {one_line(error)}") from error
    if not isinstance(values, dict):
        raise DataError(f"{path} is damaged: expected a JSON object, got {type(values).__name__}")
    return values


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what pyarrow says about a bad parquet file into one line that names the file."""
    _require_file(path)
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing; expected a file of the dataset") from error
    except DataError:
        raise
    except (OSError, pa.ArrowException, KeyError, ValueError, OverflowError) as error:
        raise DataError(f"{path} is damaged: {one_line(error)}") from error


def _require_file(path: Path) -> None:
    """Raise DataError for a pipe, a socket or a device: to read one could wait for ever."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise DataError(f"{path} is damaged: expected a file, and it is a pipe or a device")


def read_parquet(path: Path, columns: list[str] | None = None) -> pa.Table:
    """The table in a parquet file, or the named columns of it, all of which must be there.

    Raises:
        DataError: no such file, damaged, or a column is missing.
    """
    with reading(path), pq.ParquetFile(path) as file:
        missing = sorted(set(columns or ()) - set(file.schema_arrow.names))
        if missing:
            raise DataError(f"{path} has no column {missing[0]!r}; it has {', '.join(file.schema_arrow.names)}")
        return file.read(columns=columns)


def read_rows(path: Path, offset: int, length: int, columns: list[str] | None = None) -> pa.Table:
    """Rows [offset, offset + length) of a parquet file, reading only the row groups that hold them.

    Raises:
        DataError: no such file, damaged, or shorter than that.
    """
    with reading(path):
        known = footer(path)
        if known.num_rows < offset + length:
            raise DataError(f"{path} is damaged: {known.num_rows} frames; expected {offset + length} at least")
        groups, skipped = known.groups(offset, offset + length)
        with pq.ParquetFile(path, metadata=known.metadata) as file:
            # a few small columns are read before other threads have woken up
            several = len(groups) > 64
            return file.read_row_groups(groups, columns=columns, use_threads=several).slice(offset - skipped, length)


def inside(root: Path, relative: str) -> Path:
    """`root / relative`, refused when it leads out of `root`, through `..`, an absolute path or a symbolic link.

    Raises:
        DataError: the path leads out of the dataset.
    """
    path = root / relative
    try:
        escapes = not path.resolve().is_relative_to(root.resolve())
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(f"{root}: cannot follow the path {relative!r}: {one_line(error)}") from error
    if escapes:
        raise DataError(f"{root}: the path {relative!r} leads out of the dataset; it is not read")
    return path


class Folder(Protocol):
    """The files of a dataset, wherever they are."""

    root: Path
    """Where they are, or will be, on this machine."""

    def path(self, relative: str) -> Path:
        """A file that can be read now, unless it is missing; DataError when the path leads out of the dataset."""
        ...

    def size(self, relative: str) -> int:
        """Its size [bytes]; DataError when it is missing."""
        ...


class LocalFolder:
    """A folder of this machine."""

    def __init__(self, root: Path):
        self.root = root

    def path(self, relative: str) -> Path:
        """Path of a file; DataError when it leads out of the folder."""
        return inside(self.root, relative)

    def size(self, relative: str) -> int:
        """Size of a file [bytes]; DataError when it is missing."""
        path = self.path(relative)
        with reading(path):
            return path.stat().st_size


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with reading(path), open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
