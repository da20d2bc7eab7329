"""An episode as rows of a table, and back: exact in both directions."""

from __future__ import annotations

import hashlib
import io
import json
import warnings

import numpy as np
import pyarrow as pa
from PIL import Image

from worldmodel.data.format import statistics
from worldmodel.data.format.features import LABEL, PICTURES, Feature, arrow_schema, sensor_columns
from worldmodel.data.format.statistics import Stats
from worldmodel.errors import DataError
from worldmodel.types import Episode, WorldSpec


def check_episode(episode: Episode, spec: WorldSpec) -> None:
    """Raise DataError unless the episode is what the spec describes: T >= 1 actions, T + 1 frames, every number finite."""
    num_actions = len(episode.actions)
    where = f"episode of seed {episode.seed}"
    if num_actions < 1:
        raise DataError(f"{where} has no actions; expected one at least")
    if not 0 <= episode.seed < 2**63:
        raise DataError(f"{where}: expected a seed from 0 to 2**63 - 1")
    if set(episode.observations) != set(spec.sensors):
        raise DataError(f"{where} has the sensors {sorted(episode.observations)}; expected {sorted(spec.sensors)}")
    for key, sensor in spec.sensors.items():
        _check_array(f"{where}: sensor {key!r}", episode.observations[key], (num_actions + 1, *sensor.shape), sensor.dtype)
    _check_array(f"{where}: actions", episode.actions, (num_actions, spec.action.dim), "float32")
    _check_array(f"{where}: rewards", episode.rewards, (num_actions,), "float32")
    variation_json(episode)
    for name, label in episode.labels.items():
        _check_array(f"{where}: label {name!r}", label, (num_actions + 1, *label.shape[1:]), label.dtype)


def variation_json(episode: Episode) -> str:
    """The factors of variation of an episode as JSON text, the same whenever they are.

    Raises:
        DataError: they are no plain JSON values.
    """
    try:
        return json.dumps(episode.variation, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        message = f"episode of seed {episode.seed}: the variation {episode.variation!r} is no plain JSON"
        raise DataError(f"{message}: {type(error).__name__} {error}") from error


def _check_array(what: str, array: np.ndarray, shape: tuple[int, ...], dtype: str | np.dtype) -> None:
    if array.dtype != dtype:
        raise DataError(f"{what} is {array.dtype}; expected {dtype}")
    if array.shape != shape:
        raise DataError(f"{what} has the shape {array.shape}; expected {shape}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise DataError(f"{what} holds NaN or infinity; expected finite numbers")


def digest(episode: Episode) -> str:
    """Hex SHA-256 of everything in an episode, the same wherever and by whomever it was recorded.

    Of an episode with video it is that of the decoded frames, because these are what reads back; the same FFmpeg decodes
    the same file to the same frames.
    """
    total = hashlib.sha256()
    flags = (episode.seed, episode.success, episode.terminated, episode.truncated, episode.instruction)
    total.update(repr(flags).encode())
    if episode.variation:
        total.update(variation_json(episode).encode())
    arrays = {
        **{f"sensor {key}": value for key, value in episode.observations.items()},
        **{f"label {key}": value for key, value in episode.labels.items()},
        "actions": episode.actions,
        "rewards": episode.rewards,
    }
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        total.update(f"{name} {array.dtype.str} {array.shape}".encode())
        total.update(array.data)
    return total.hexdigest()


def columns_of(episode: Episode, spec: WorldSpec) -> dict[str, np.ndarray]:
    """Column name -> (T + 1, ...) values, video columns among them, without the bookkeeping columns."""
    num_actions = episode.num_actions
    last_action = np.arange(num_actions + 1) >= num_actions - 1
    return {
        **{column: episode.observations[key] for key, column in sensor_columns(spec).items()},
        "action": np.concatenate([episode.actions, np.zeros_like(episode.actions[:1])]),
        "action_is_pad": np.arange(num_actions + 1) == num_actions,
        "next.reward": np.append(episode.rewards, np.float32(0)),
        "next.done": last_action,
        "next.success": last_action & episode.success,
        **{LABEL + name: label for name, label in episode.labels.items()},
    }


def stats_of(columns: dict[str, np.ndarray], features: dict[str, Feature], *, padded: bool = True) -> dict[str, Stats]:
    """Feature -> statistics of one episode's columns; where they are `padded`, the last action and reward do not count."""
    stats = {}
    for name, values in columns.items():
        if features[name]["dtype"] in PICTURES:
            stats[name] = statistics.of_images(values)
        else:
            stats[name] = statistics.of_vectors(values[:-1] if padded and name in ("action", "next.reward") else values)
    return stats


def to_table(columns: dict[str, np.ndarray], features: dict[str, Feature], episode_index: int, fps: float) -> pa.Table:
    """One episode's rows, without its video columns; `index` and `task_index` are zeros until the dataset is finalized."""
    length = len(columns["action"])
    frame_index = np.arange(length)
    everything = {
        **columns,
        "timestamp": (frame_index / fps).astype(np.float32),
        "frame_index": frame_index,
        "episode_index": np.full(length, episode_index),
        "index": np.zeros(length, np.int64),
        "task_index": np.zeros(length, np.int64),
    }
    schema = arrow_schema(features)
    arrays = [_to_arrow(everything[name], schema.field(name).type) for name in schema.names]
    return pa.Table.from_arrays(arrays, schema=schema)


def _to_arrow(values: np.ndarray, kind: pa.DataType) -> pa.Array:
    if pa.types.is_struct(kind):
        encoded = [encode_png(image) for image in values]
        paths = pa.nulls(len(encoded), pa.string())
        return pa.StructArray.from_arrays([pa.array(encoded, pa.binary()), paths], fields=list(kind))
    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    if pa.types.is_fixed_size_list(kind):
        return pa.FixedSizeListArray.from_arrays(flat, type=kind)
    if pa.types.is_list(kind):
        for axis in range(values.ndim - 1, 0, -1):
            offsets = np.arange(0, len(flat) + 1, values.shape[axis], dtype=np.int32)
            flat = pa.ListArray.from_arrays(pa.array(offsets), flat)
    return flat


def from_arrow(column: pa.ChunkedArray, feature: Feature, what: str) -> np.ndarray:
    """Values of a column, (rows, ...); a feature of shape (1,) gives (rows,). `what` names it in errors.

    Raises:
        DataError: nulls, another element type or another shape than the feature says, or images that do not decode.
    """
    shape = tuple(feature["shape"])
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # what combine_chunks gives for a column without rows
        array = array.chunk(0) if array.num_chunks else pa.array([], column.type)
    if feature["dtype"] == "image":
        if not (pa.types.is_struct(array.type) and array.type.get_field_index("bytes") >= 0):
            raise DataError(f"{what} is {array.type}; expected images as struct<bytes, path>")
        encoded = array.flatten()[array.type.get_field_index("bytes")].to_pylist()
        return decode_pngs(encoded, np.empty((len(encoded), *shape), np.uint8), what)
    rows = len(array)
    nulls = array.null_count
    while isinstance(array, (pa.ListArray, pa.FixedSizeListArray)):
        array = array.flatten()
        nulls += array.null_count
    if nulls:
        raise DataError(f"{what} has {nulls} missing values; expected none")
    dtype = np.dtype(feature["dtype"])
    if array.type != pa.from_numpy_dtype(dtype):
        raise DataError(f"{what} is {array.type}; expected {dtype}")
    if len(array) != rows * int(np.prod(shape)):
        raise DataError(f"{what} has {len(array)} values in {rows} rows; expected the shape {shape} a row")
    values = array.to_numpy(zero_copy_only=False)
    if dtype.kind == "f" and not np.isfinite(values).all():
        raise DataError(f"{what} holds NaN or infinity; expected finite numbers")
    return values.reshape(rows, *(() if shape == (1,) else shape))


def encode_png(image: np.ndarray) -> bytes:
    """(height, width, 3) uint8 -> PNG bytes. Level 1 costs a few per cent in size and a third of the default's time."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def decode_pngs(encoded: list[bytes | None], out: np.ndarray, what: str) -> np.ndarray:
    """Decode into `out` (frames, height, width, 3) uint8 and return it.

    Raises:
        DataError: not a PNG of that size. The size is read from the header before anything is decoded.
    """
    height, width, _ = out.shape[1:]
    for i, data in enumerate(encoded):
        if data is None:
            raise DataError(f"{what}: image {i} is missing; expected its bytes inside the table")
        try:
            with warnings.catch_warnings(), Image.open(io.BytesIO(data), formats=("PNG",)) as image:
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                if image.size != (width, height) or image.mode != "RGB":
                    raise DataError(f"{what}: image {i} is {image.mode} {image.size}; expected RGB {(width, height)}")
                out[i] = np.asarray(image)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{what}: image {i} is damaged: {type(error).__name__}") from error
    return out
