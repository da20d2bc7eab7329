"""The table's schema: what each column of a data file is, for LeRobot, for Hugging Face `datasets` and for Arrow.

Layout: LeRobotDataset v3.0 (huggingface/lerobot, src/lerobot/datasets). A row is a frame. An episode of T actions has
T + 1 rows; the last row's action and reward are zeros and its `action_is_pad` is true.
"""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pyarrow as pa

from worldmodel.errors import DataError
from worldmodel.types import SensorSpec, WorldSpec

VERSION = "v3.0"
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
EPISODES_PATH = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
CHUNK_FILES = 1000
"""Files in one chunk folder."""

INFO, STATS, TASKS, CHECKSUMS, WORLD = (
    "meta/info.json",
    "meta/stats.json",
    "meta/tasks.parquet",
    "meta/checksums.json",
    "meta/worldmodel.json",
)
"""The first three are LeRobot's; the last two are ours, and its readers do not look at them."""

POLICY, IMPORTED = "meta/policy.json", "meta/import.json"
"""What episode k is to whoever goes on: by which policies it is recorded, or from which source imported. Ours too."""

LABEL = "label."
"""Prefix of the column of a label."""

BOOKKEEPING = ("timestamp", "frame_index", "episode_index", "index", "task_index")
"""Columns that LeRobot adds to every dataset; no statistics are kept of them."""

Feature = dict[str, Any]
"""LeRobot's description of a column: dtype, shape and names."""

_VECTOR_COLUMNS = {"proprio": "observation.state", "state": "observation.environment_state"}
LABEL_DTYPES = ("bool", "uint8", "int32", "int64", "float32", "float64")
SENSOR_DTYPES = ("uint8", "uint16", "float32")
NUMBERS = ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64")
"""Element types of a column that this program reads."""

PICTURES = ("image", "video")
"""LeRobot's dtypes of a column of pictures."""

LOSSLESS_PIXELS = 96
"""Longer side up to which images are kept without loss: colour at half the resolution, which is what video keeps, loses
small objects in small images, and in large ones it costs nothing that shows."""

_NAME = re.compile(r"\w[\w.-]*")


def sensor_columns(spec: WorldSpec) -> dict[str, str]:
    """Sensor key -> name of its column.

    Raises:
        DataError: a key cannot name a column, or two sensors would share one.
    """
    columns = {}
    for key, sensor in spec.sensors.items():
        require_name("sensor", key)
        if sensor.kind == "image":
            columns[key] = f"observation.images.{sensor.camera or key}"
        else:
            columns[key] = _VECTOR_COLUMNS.get(key, f"observation.{key}")
        require_name("column", columns[key])
    if len(set(columns.values())) < len(columns):
        raise DataError(f"two sensors would share a column: {columns}; give each camera its own name")
    return columns


def is_video(sensor: SensorSpec) -> bool:
    """Whether a sensor is stored as video: a picture of an even size above LOSSLESS_PIXELS. The rest is lossless.

    H.264 in yuv420p has one colour for every 2 x 2 pixels, so it cannot hold an odd height or width.
    """
    height, width = (*sensor.shape, 0, 0)[:2]
    return sensor.kind == "image" and max(height, width) > LOSSLESS_PIXELS and height % 2 == 0 and width % 2 == 0


def require_name(kind: str, name: str) -> None:
    """Raise DataError unless `name` can name a column and a file."""
    if not _NAME.fullmatch(name):
        raise DataError(f"bad {kind} name {name!r}; expected letters, digits, '_', '-' and '.', the first no '-' or '.'")


def features_of(spec: WorldSpec, labels: dict[str, np.ndarray]) -> dict[str, Feature]:
    """Column name -> feature, in the order of the table; `labels` are one episode's, (T + 1, ...)."""
    features: dict[str, Feature] = {}
    columns = sensor_columns(spec)
    for key, sensor in spec.sensors.items():
        if sensor.kind == "image":
            dtype = "video" if is_video(sensor) else "image"
            features[columns[key]] = _feature(dtype, sensor.shape, ["height", "width", "channels"])
        elif sensor.dtype in SENSOR_DTYPES:
            features[columns[key]] = _feature(sensor.dtype, sensor.shape, list(sensor.names) or None)
        else:
            raise DataError(f"sensor {key!r} is {sensor.dtype}; expected one of {', '.join(SENSOR_DTYPES)}")
    features["action"] = _feature("float32", (spec.action.dim,), list(spec.action.names))
    features["action_is_pad"] = _feature("bool", (1,))
    features["next.reward"] = _feature("float32", (1,))
    features["next.done"] = _feature("bool", (1,))
    features["next.success"] = _feature("bool", (1,))
    for name, label in labels.items():
        require_name("label", name)
        if label.dtype.name not in LABEL_DTYPES:
            raise DataError(f"label {name!r} is {label.dtype}; expected one of {', '.join(LABEL_DTYPES)}")
        if label.shape[1:] == (1,):
            raise DataError(f"label {name!r} has the shape {label.shape}; expected {label.shape[:1]} for one number a frame")
        features[LABEL + name] = _feature(label.dtype.name, label.shape[1:] or (1,))
    features["timestamp"] = _feature("float32", (1,))
    for name in BOOKKEEPING[1:]:
        features[name] = _feature("int64", (1,))
    return features


def _feature(dtype: str, shape: tuple[int, ...], names: list[str] | None = None) -> Feature:
    return {"dtype": dtype, "shape": list(shape), "names": names}


def arrow_schema(features: dict[str, Feature]) -> pa.Schema:
    """Arrow schema of a data file, with the metadata by which Hugging Face `datasets` knows images and arrays.

    Videos are not in it: their frames lie in files of their own.
    """
    features = {name: feature for name, feature in features.items() if feature["dtype"] != "video"}
    described = {name: _hf_feature(feature) for name, feature in features.items()}
    metadata = {"huggingface": json.dumps({"info": {"features": described}})}
    return pa.schema([pa.field(name, _arrow_type(feature)) for name, feature in features.items()], metadata=metadata)


def _arrow_type(feature: Feature) -> pa.DataType:
    if feature["dtype"] == "image":
        return pa.struct({"bytes": pa.binary(), "path": pa.string()})
    element: pa.DataType = pa.from_numpy_dtype(np.dtype(feature["dtype"]))
    shape = feature["shape"]
    if shape == [1]:  # LeRobot stores a single number without a list around it
        return element
    if len(shape) == 1:
        return pa.list_(element, shape[0])
    for _ in shape:  # what `datasets` stores for Array2D and up: lists in lists
        element = pa.list_(element)
    return element


def _hf_feature(feature: Feature) -> dict[str, Any]:
    dtype, shape = feature["dtype"], feature["shape"]
    if dtype == "image":
        return {"_type": "Image"}
    value = {"dtype": dtype, "_type": "Value"}
    if shape == [1]:
        return value
    if len(shape) == 1:
        return {"feature": value, "length": shape[0], "_type": "Sequence"}
    return {"shape": shape, "dtype": dtype, "_type": f"Array{len(shape)}D"}
