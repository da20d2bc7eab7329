"""A view: a small JSON file that names some episodes of a dataset. Nothing is copied."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from worldmodel.data.format.files import publish_json, read_json
from worldmodel.errors import DataError

VIEW_SCHEMA_VERSION = 1


@dataclass(frozen=True)
class View:
    """What a view file says."""

    dataset: str
    """Path or URL of the whole dataset; a relative path in the file has been resolved against the file's folder."""
    fingerprint: str
    """Of the whole dataset when the view was made."""
    filter: str
    """How the episodes were chosen, in words."""
    episodes: tuple[int, ...]
    """Their numbers in the whole dataset, each once."""


def read_view(path: Path) -> View:
    """The contents of a view file.

    Raises:
        DataError: no such file, damaged, or of a later version.
    """
    values = read_json(path)
    if values.get("schema_version") != VIEW_SCHEMA_VERSION:
        version = values.get("schema_version")
        raise DataError(f"{path} has schema version {version!r}; expected a view of version {VIEW_SCHEMA_VERSION}")
    for name in ("dataset", "fingerprint", "filter"):
        if not isinstance(values.get(name), str):
            raise DataError(f"{path} is damaged: {name} is {values.get(name)!r}; expected text")
    episodes = values.get("episodes")
    if not isinstance(episodes, list) or not all(type(index) is int and 0 <= index < 2**63 for index in episodes):
        raise DataError(f"{path} is damaged: episodes are no list of whole numbers")
    dataset = values["dataset"]
    if "://" not in dataset:
        dataset = str(path.parent / dataset)
    return View(dataset, values["fingerprint"], values["filter"], tuple(episodes))


def write_view(path: Path, dataset: str | Path, fingerprint: str, episodes: Sequence[int] | np.ndarray, filter: str) -> None:
    """Write a view file, whole or not at all; an older one is replaced.

    Args:
        path: the file; its name must end in .json, by which a view is known.
        dataset: folder or URL of the whole dataset; a folder is written as seen from the file, so that both can be moved.
        fingerprint: of the whole dataset.
        episodes: numbers in the whole dataset, each once.
        filter: how they were chosen, in words.

    Raises:
        DataError: another name, something else is there already, or the folder cannot be written.
    """
    require_view_name(path)
    place = str(dataset)
    if "://" not in place:
        place = Path(os.path.relpath(os.path.realpath(place), os.path.realpath(path.parent))).as_posix()
    values = {
        "schema_version": VIEW_SCHEMA_VERSION,
        "dataset": place,
        "fingerprint": fingerprint,
        "filter": filter,
        "episodes": [int(index) for index in episodes],
    }
    publish_json(path, values)


def require_view_name(path: Path) -> None:
    """Raise DataError when no view can be written there: another ending, or a file that is something else."""
    if path.suffix != ".json":
        raise DataError(f"{path} cannot name a view; expected a name that ends in .json")
    if path.exists():
        try:
            read_view(path)
        except DataError as error:
            raise DataError(f"{path} is there already and is no view; choose another name") from error
