"""meta/info.json: what it says of a new dataset, and what it says of an old one, checked before anything in it is believed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from worldmodel.data.format.episode_row import video_columns
from worldmodel.data.format.features import CHUNK_FILES, DATA_PATH, INFO, NUMBERS, PICTURES, VERSION, VIDEO_PATH, Feature
from worldmodel.data.format.files import read_json
from worldmodel.data.format.video import feature_info
from worldmodel.errors import DataError
from worldmodel.types import WorldSpec

FILE_MB = 64
"""A data file is closed once it holds this much [MB]."""
VIDEO_MB = 200
"""A video file is closed once it holds this much [MB]."""


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


def new_info(
    spec: WorldSpec, fps: float, features: dict[str, Feature], num_episodes: int, num_frames: int, num_tasks: int
) -> dict[str, Any]:
    """The contents of meta/info.json."""
    return {
        "codebase_version": VERSION,
        "robot_type": spec.robot,
        "total_episodes": num_episodes,
        "total_frames": num_frames,
        "total_tasks": num_tasks,
        "chunks_size": CHUNK_FILES,
        "data_files_size_in_mb": FILE_MB,
        "video_files_size_in_mb": VIDEO_MB,
        "fps": int(fps) if float(fps).is_integer() else fps,
        "splits": {"train": f"0:{num_episodes}"},
        "data_path": DATA_PATH,
        "video_path": VIDEO_PATH if video_columns(features) else None,
        "features": {
            name: {**feature, "info": feature_info(feature, fps)} if feature["dtype"] == "video" else feature
            for name, feature in features.items()
        },
    }
