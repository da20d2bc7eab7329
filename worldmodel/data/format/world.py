"""The world of a dataset: one for all of its episodes, agreed on by all of its writers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from worldmodel.data.format.features import INFO, WORLD
from worldmodel.data.format.files import one_line, publish_json, read_json
from worldmodel.data.format.locks import lock
from worldmodel.data.upkeep.swap import require_settled
from worldmodel.errors import DataError, MismatchError
from worldmodel.types import WorldSpec

LOCK = "meta/.lock"
"""Held shared by writers and exclusive by `finalize`."""
SETUP_LOCK = "meta/.setup.lock"
"""Held by the writer that is making a new dataset."""
SCHEMA_VERSION = 1

_EARLY = {"meta", "cache"}
"""What may be there before the world is: every other file of a dataset is written after it, so it is somebody else's."""


def read_world(root: Path) -> tuple[WorldSpec, float]:
    """The world of a dataset and its frames per second.

    Raises:
        DataError: there is none, or it is damaged.
    """
    path = root / WORLD
    values = read_json(path)
    if values.get("schema_version") != SCHEMA_VERSION:
        raise DataError(f"{path} has schema version {values.get('schema_version')!r}; this program reads {SCHEMA_VERSION}")
    try:
        spec, fps = WorldSpec.from_dict(values["spec"]), float(values["fps"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path} is damaged: {type(error).__name__} {one_line(error)}") from error
    if not 0 < fps < float("inf"):
        raise DataError(f"{path} is damaged: fps is {fps}; expected a positive number")
    return spec, fps


def require_free(root: Path) -> None:
    """Raise DataError for a folder that somebody uses for something else."""
    if root.exists() and not root.is_dir():
        raise DataError(f"{root} is a file; expected a folder for the dataset")
    require_settled(root)
    if root.is_dir() and not (root / WORLD).exists():
        others = sorted(path.name for path in root.iterdir() if path.name not in _EARLY)
        if others or (root / INFO).exists():
            raise DataError(f"{root} holds other files ({', '.join(others) or INFO}); choose an empty folder for the dataset")


def agree(root: Path, spec: WorldSpec, fps: float) -> None:
    """Publish the world of a new dataset, or check that it is the same as that of the old one."""
    values = json.loads(json.dumps({"schema_version": SCHEMA_VERSION, "fps": fps, "spec": spec.to_dict()}))
    busy = f"{root} is being made by another process; record again when it has finished"
    with lock(root / SETUP_LOCK, exclusive=True, wait=10.0, busy=busy):
        if not (root / WORLD).exists():
            publish_json(root / WORLD, values)
    before = read_json(root / WORLD)
    read_world(root)
    before, values = _by_one_name(before), _by_one_name(values)
    differing = [key for key in values if before.get(key) != values[key]]
    if differing == ["spec"]:
        differing = [key for key in values["spec"] if before["spec"].get(key) != values["spec"][key]]
    if differing:
        raise MismatchError(f"{root} holds another world: {', '.join(differing)} not the same; record into a new folder")


def _by_one_name(world: dict[str, Any]) -> dict[str, Any]:
    """The world with an episode's budget called max_steps, which was max_sweeps in every control mode once."""
    spec = world["spec"]
    kwargs = {"max_steps" if name == "max_sweeps" else name: value for name, value in spec["env_kwargs"].items()}
    return world | {"spec": spec | {"env_kwargs": kwargs}}
