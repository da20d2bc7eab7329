"""Plain LeRobotDataset v3.0 datasets, of other programs: the world and the episodes that follow from their meta folder.

    observation.images.X, observation.X (pictures)   sensor X, or `pixels` when there is one camera only
    observation.state                                sensor proprio
    observation.environment_state                    sensor state, privileged
    observation.X (numbers)                          sensor X; other types than uint8, uint16 and float32 become float32
    action                                           the action; its bounds are the least and the largest value in it
    next.reward                                      the reward; zeros when there is none
    next.success                                     whether the episode succeeded, by its statistics; no when there is none
    label.X                                          label X

Other columns, text and pictures that are not in colour are left out. There is a row for each frame, so that an episode of T + 1
rows has T actions: the last row's action leads to nothing that was seen.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from worldmodel.data.format.features import (
    INFO,
    LABEL,
    LABEL_DTYPES,
    NUMBERS,
    PICTURES,
    SENSOR_DTYPES,
    STATS,
    Feature,
    sensor_columns,
)
from worldmodel.data.format.foreign_episodes import foreign_stats
from worldmodel.data.format.frame_reader import Layout
from worldmodel.errors import DataError
from worldmodel.types import ActionSpec, SensorSpec, WorldSpec

logger = logging.getLogger(__name__)

_OBSERVATION = "observation."
_KEYS = {"observation.state": "proprio", "observation.environment_state": "state"}
_BOOKKEEPING = ("timestamp", "frame_index", "episode_index", "index", "task_index")


def foreign_layout(root: Path, info: dict[str, Any]) -> Layout:
    """The world of a plain dataset, and where its columns are.

    Raises:
        DataError: it has no actions or no observations, or nothing tells the bounds of its actions.
    """
    features: dict[str, Feature] = info["features"]
    fps = info.get("fps")
    if not isinstance(fps, (int, float)) or isinstance(fps, bool) or not 0 < fps < float("inf"):
        raise DataError(f"{root / INFO} is damaged: fps is {fps!r}; expected a positive number of frames per second")
    for name in ("action", "episode_index", "frame_index", "index"):
        if features.get(name, {}).get("dtype") not in NUMBERS:
            raise DataError(f"{root / INFO} has no feature {name!r} of numbers; expected what LeRobotDataset v3.0 has")
    sensors, columns = _sensors(features)
    if not sensors:
        raise DataError(f"{root / INFO} has no feature named {_OBSERVATION}... that this program reads")
    spec = WorldSpec("", {}, sensors, _action(root, info), control_mode="", robot=str(info.get("robot_type") or ""))
    ours, stored = {}, {}
    for key, column in sensor_columns(spec).items():
        name, sensor = columns[key], sensors[key]
        dtype = features[name]["dtype"] if sensor.kind == "image" else sensor.dtype
        ours[column] = {"dtype": dtype, "shape": list(sensor.shape), "names": list(sensor.names) or None}
        stored[column] = (name, {**features[name], "shape": list(sensor.shape)})
    ours["action"] = {"dtype": "float32", "shape": [spec.action.dim], "names": list(spec.action.names)}
    ours["next.reward"] = {"dtype": "float32", "shape": [1], "names": None}
    for name, feature in features.items():
        if (name.startswith(LABEL) and feature["dtype"] in LABEL_DTYPES) or name in _BOOKKEEPING:
            ours[name] = feature
        if name in ours and name not in stored and feature["dtype"] in NUMBERS:
            stored[name] = (name, feature)
    return Layout(spec, float(fps), ours, stored, ours=False)


def _sensors(features: dict[str, Feature]) -> tuple[dict[str, SensorSpec], dict[str, str]]:
    """Sensor key -> what it is, and sensor key -> name of its column."""
    sensors, columns = {}, {}
    pictures = {name: shape for name, feature in features.items() if (shape := _picture(name, feature))}
    for name, feature in features.items():
        if not name.startswith(_OBSERVATION):
            continue
        if name in pictures:
            camera = name.removeprefix(_OBSERVATION).removeprefix("images.")
            key, sensor = camera if len(pictures) > 1 else "pixels", SensorSpec(pictures[name], "uint8", "image", camera=camera)
        elif feature["dtype"] in NUMBERS:
            key = _KEYS.get(name, name.removeprefix(_OBSERVATION))
            dtype: Any = feature["dtype"] if feature["dtype"] in SENSOR_DTYPES else "float32"
            shape = tuple(feature["shape"]) or (1,)
            sensor = SensorSpec(shape, dtype, "vector", privileged=key == "state", names=_names(feature, shape))
        else:
            logger.warning("column %s, %s %s, is left out", name, feature["dtype"], feature["shape"])
            continue
        if key in sensors:
            raise DataError(f"columns {columns[key]!r} and {name!r} would both be the sensor {key!r}; rename one")
        sensors[key], columns[key] = sensor, name
    return sensors, columns


def _picture(name: str, feature: Feature) -> tuple[int, int, int] | None:
    """(height, width, 3) of a column of colour pictures; None for any other. Channels may be named first or last."""
    shape, names = feature["shape"], feature.get("names")
    if feature["dtype"] not in PICTURES or len(shape) != 3 or not name.startswith(_OBSERVATION):
        return None
    if isinstance(names, list) and len(names) == 3 and str(names[0]).startswith("channel"):
        shape = [*shape[1:], shape[0]]
    return (shape[0], shape[1], 3) if shape[2] == 3 else None


def _names(feature: Feature, shape: tuple[int, ...]) -> tuple[str, ...]:
    """Names of the elements of a vector: a list, or a list under a word such as `motors`; () when they do not fit."""
    names = feature.get("names")
    while isinstance(names, dict) and len(names) == 1:
        names = next(iter(names.values()))
    fits = isinstance(names, list) and len(shape) == 1 and len(names) == shape[0]
    return tuple(map(str, names)) if fits and names else ()


def _action(root: Path, info: dict[str, Any]) -> ActionSpec:
    feature = info["features"]["action"]
    dim = int(np.prod(feature["shape"]))
    names = _names(feature, (dim,)) or tuple(f"action_{i}" for i in range(dim))
    stats = foreign_stats(root, info, ["action"]).get("action", {})
    try:
        low, high = (np.asarray(stats[name], np.float64).reshape(dim) for name in ("min", "max"))
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(f"{root} has no statistics of the action's {dim} elements, so its bounds are unknown") from error
    if not (np.isfinite(low) & np.isfinite(high) & (low <= high)).all():
        raise DataError(f"{root / STATS} is damaged: the action is from {low.tolist()} to {high.tolist()}")
    still = low == high  # an element that never moved has room on either side, or nothing could be scaled by its bounds
    return ActionSpec(names, tuple((low - still).tolist()), tuple((high + still).tolist()))
