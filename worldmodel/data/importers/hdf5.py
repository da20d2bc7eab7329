"""HDF5 files read an episode at a time, for the formats that are made of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from worldmodel.data.format.files import one_line
from worldmodel.data.importers.base import SourceField
from worldmodel.data.importers.pixels import as_pictures, picture_shape
from worldmodel.errors import DataError, MissingExtraError

SUFFIXES = (".hdf5", ".h5")


def require_h5py() -> Any:
    """The module h5py. Raises MissingExtraError when it is not installed."""
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError("reading HDF5 needs h5py; install it with: pip install 'worldmodel[import]'") from error
    return h5py


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The file (h5py.File), for reading; what h5py says about a bad one becomes one line.

    Raises:
        DataError: no such file, no HDF5, or damaged.
    """
    h5 = require_h5py()
    try:
        with h5.File(path, "r") as file:
            yield file
    except DataError:
        raise
    except (OSError, RuntimeError, KeyError) as error:
        raise DataError(f"{path} is no HDF5 file or is damaged: {one_line(error)}") from error


def is_hdf5(path: Path) -> bool:
    """The file has such a name and the signature of HDF5 at its beginning."""
    if path.suffix.lower() not in SUFFIXES or not path.is_file():
        return False
    with open(path, "rb") as file:
        return file.read(8) == b"\x89HDF\r\n\x1a\n"


def arrays_in(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every array (h5py.Dataset) below a group with its path, such as obs/eye/image, in the order of the paths.

    Raises:
        DataError: a link leads out of the file.
    """
    h5 = require_h5py()
    for name in sorted(group):
        item = item_at(group, name)
        if isinstance(item, h5.Group):
            yield from arrays_in(item, f"{prefix}{name}/")
        elif isinstance(item, h5.Dataset):
            yield prefix + name, item


def item_at(group: Any, path: str) -> Any:
    """The array or group at a path below a group; None when nothing is there.

    Raises:
        DataError: it leads out of the file, through a link, or an array whose values lie elsewhere.
    """
    h5 = require_h5py()
    item: Any = group
    for name in path.split("/"):
        link = item.get(name, getlink=True) if isinstance(item, h5.Group) else None
        if isinstance(link, h5.ExternalLink):
            raise DataError(f"{group.file.filename}: {item.name}/{name} is a link to another file; it is not read")
        item = item.get(name) if link is not None else None
        if item is None:
            return None
        if item.file != group.file:  # a soft link to an external one
            raise DataError(f"{group.file.filename}: {group.name}/{path} is a link to another file; it is not read")
    if isinstance(item, h5.Dataset) and (item.external or item.is_virtual):
        raise DataError(f"{group.file.filename}: {item.name} lies in another file; it is not read")
    return item


def field_of(shape: tuple[int, ...], dtype: np.dtype, key: str, *, privileged: bool = False) -> SourceField | None:
    """Rows of this shape and type as a sensor: pictures when they are uint8 (height, width, 1 or 3); None for no numbers."""
    if dtype.kind not in "biuf":
        return None
    picture = picture_shape(shape, dtype.name)
    if picture is not None:
        return SourceField("image", key, picture, "uint8", privileged=privileged)
    return SourceField("vector", key, shape, dtype.name, privileged=privileged)


def rows_of(values: np.ndarray, source: SourceField) -> np.ndarray:
    """The rows as the field describes them: pictures with their channels last, three of them."""
    if source.role == "image" and picture_shape(values.shape[1:], values.dtype.name) is not None:
        return as_pictures(values)
    return values
