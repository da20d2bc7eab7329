"""The meta folder of a LeRobotDataset v2.1, checked before anything in it is believed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from worldmodel.data.format.files import one_line, read_json
from worldmodel.errors import DataError

VERSIONS = ("v2.0", "v2.1")


def read_info(path: Path) -> dict[str, Any]:
    """info.json, with what is needed of it in place."""
    info = read_json(path)
    if info.get("codebase_version") not in VERSIONS:
        raise DataError(f"{path} has version {info.get('codebase_version')!r}; expected {' or '.join(VERSIONS)}")
    for name in ("total_episodes", "chunks_size"):
        if not isinstance(info.get(name), int) or info[name] < 1:
            raise DataError(f"{path} is damaged: {name} is {info.get(name)!r}; expected a positive whole number")
    if not isinstance(info.get("fps"), int | float) or not 0 < info["fps"] < float("inf"):
        raise DataError(f"{path} is damaged: fps is {info.get('fps')!r}; expected a positive number")
    features = info.get("features")
    if not isinstance(features, dict) or not features:
        raise DataError(f"{path} is damaged: features are not a table of columns")
    for name, feature in features.items():
        shape = feature.get("shape") if isinstance(feature, dict) else None
        pictures = isinstance(feature, dict) and feature.get("dtype") in ("image", "video")
        if (
            not isinstance(shape, list)
            or not all(isinstance(n, int) and n > 0 for n in shape)
            or (pictures and len(shape) != 3)
        ):
            raise DataError(f"{path} is damaged: feature {name!r} has the shape {shape!r}")
        if not isinstance(feature.get("dtype"), str):
            raise DataError(f"{path} is damaged: feature {name!r} has the dtype {feature.get('dtype')!r}")
    return info


def json_lines(path: Path, keys: tuple[str, ...]) -> list[dict[str, Any]]:
    """One object a line, each with these keys."""
    rows = []
    try:
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                row = json.loads(line)
                missing = [key for key in keys if not isinstance(row, dict) or key not in row]
                if missing:
                    raise DataError(f"{path}: line {number} has no {missing[0]!r}")
                rows.append(row)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing; expected a file of a LeRobot v2.1 dataset") from error
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} is damaged: expected a JSON object a line, {one_line(error)}") from error
    return rows


def element_names(names: Any) -> tuple[str, ...]:
    """LeRobot writes a list of names, or groups of them such as {"motors": [...]}."""
    if isinstance(names, dict):
        names = [name for group in names.values() if isinstance(group, list) for name in group]
    return tuple(map(str, names)) if isinstance(names, list) else ()


def is_data(path: Path, root: Path) -> bool:
    """Whether a file under `root` is part of the dataset, and not of whoever keeps it."""
    return path.relative_to(root).parts[0] in ("meta", "data", "videos", "images") and not path.name.startswith(".")
