"""meta/info.json, checked before anything in it is believed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from worldmodel.data.format.features import INFO, NUMBERS, PICTURES, VERSION
from worldmodel.data.format.files import read_json
from worldmodel.errors import DataError


def read_info(root: Path) -> dict[str, Any]:
    """The contents of meta/info.json.

    Raises:
        DataError: missing, damaged, or of another version.
    """
    path = root / INFO
    info = read_json(path)
    if info.get("codebase_version") != VERSION:
        raise DataError(f"{path} has version {info.get('codebase_version')!r}; this program reads {VERSION}")
    for name in ("total_episodes", "total_frames"):
        if not isinstance(info.get(name), int) or info[name] < 1:
            raise DataError(f"{path} is damaged: {name} is {info.get(name)!r}; expected a positive whole number")
    features = info.get("features")
    if not isinstance(features, dict) or not all(isinstance(feature, dict) for feature in features.values()):
        raise DataError(f"{path} is damaged: features are not a table of columns")
    for name, feature in features.items():
        shape = feature.get("shape")
        if not isinstance(shape, list) or not all(isinstance(n, int) and n > 0 for n in shape):
            raise DataError(f"{path} is damaged: feature {name!r} has the shape {shape!r}")
        if not isinstance(feature.get("dtype"), str):
            raise DataError(f"{path} is damaged: feature {name!r} has dtype {feature.get('dtype')!r}; expected a name")
    videos = any(feature["dtype"] == "video" for feature in features.values())
    for pattern in ("data_path", "video_path") if videos else ("data_path",):
        if not isinstance(info.get(pattern), str):
            raise DataError(f"{path} is damaged: {pattern} is {info.get(pattern)!r}; expected a pattern")
    return info


def require_readable(path: Path, features: dict[str, Any]) -> None:
    """Raise DataError for a column that this program does not read; `path` names the file in it."""
    for name, feature in features.items():
        if feature["dtype"] not in (*PICTURES, *NUMBERS):
            raise DataError(f"{path}: feature {name!r} has dtype {feature['dtype']!r}, which this program does not read")
