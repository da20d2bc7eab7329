"""LeRobotDataset v2.1 (and v2.0): a parquet file and a film of each camera for every episode, JSON lines beside them.

    meta/info.json                                     rates, features, paths
    meta/episodes.jsonl, tasks.jsonl, episodes_stats.jsonl
    data/chunk-000/episode_000000.parquet              a row a frame
    videos/chunk-000/{camera}/episode_000000.mp4       or pictures in the table, or beside it under images/

Layout: huggingface/lerobot, docs of the v2.1 format and its conversion to v3.0.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from worldmodel.data.format.features import BOOKKEEPING, LABEL
from worldmodel.data.format.files import inside, one_line, read_json, reading
from worldmodel.data.importers.base import LAST_LEFT_OUT, Role, SourceEpisode, SourceField, SourceInfo, Values
from worldmodel.data.importers.identity import identity_of
from worldmodel.data.importers.pixels import decode_image, video_frames
from worldmodel.data.importers.plan import free_key, safe
from worldmodel.errors import DataError

KIND = "lerobot-v2"
VERSIONS = ("v2.0", "v2.1")
_VECTORS = {"observation.state": "proprio", "observation.environment_state": "state"}
_ROLES: dict[str, Role] = {"action": "action", "next.reward": "reward", "next.success": "success"}
_DONE = "next.done"
_NUMBERS = ("bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "int64", "float16", "float32", "float64")


def is_lerobot_v2(path: Path) -> bool:
    """The folder says that it is such a dataset."""
    return (path / "meta/info.json").is_file() and read_json(path / "meta/info.json").get("codebase_version") in VERSIONS


class LeRobotV2:
    """A folder in the v2.1 layout, read an episode at a time; a `Source`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.info = _checked(root / "meta/info.json")
        self.tasks = {row["task_index"]: row["task"] for row in _json_lines(root / "meta/tasks.jsonl", ("task_index", "task"))}
        self.rows = _json_lines(root / "meta/episodes.jsonl", ("episode_index", "tasks", "length"))
        numbers = [row["episode_index"] for row in self.rows]
        if numbers != list(range(self.info["total_episodes"])):
            raise DataError(
                f"{root / 'meta/episodes.jsonl'} has {len(numbers)} episodes; expected 0 to {self.info['total_episodes'] - 1}, "
                f"each once and in order"
            )

    def describe(self) -> SourceInfo:
        """The features of info.json as fields; the bounds of the action from the episodes' statistics."""
        fields: dict[str, SourceField] = {}
        left_out = []
        for name, feature in self.info["features"].items():
            if name in (*BOOKKEEPING, _DONE, "action_is_pad"):
                continue
            if feature["dtype"] not in (*_NUMBERS, "image", "video"):
                left_out.append(f"{name} (dtype {feature['dtype']})")
                continue
            fields[name] = self._field(name, feature, {field.key for field in fields.values()})
        return SourceInfo(
            name=self.root.name,
            fields=fields,
            num_episodes=len(self.rows),
            identity=identity_of(KIND, self.root, (p for p in self.root.rglob("*") if p.is_file() and _is_data(p, self.root))),
            fps=float(self.info["fps"]),
            robot=str(self.info.get("robot_type") or ""),
            notes=(LAST_LEFT_OUT,),
            left_out=tuple(left_out),
        )

    def read(self, k: int, fields: Collection[str]) -> SourceEpisode:
        """Episode `k`: its table, and its pictures one at a time."""
        path = self._path("data_path", k)
        what = f"{self.root.name}: episode {k}"
        features = self.info["features"]
        flags = [name for name in (_DONE, "task_index", "episode_index") if name in features]
        wanted = {name for name in fields if features[name]["dtype"] != "video"} | set(flags)
        with reading(path), pq.ParquetFile(path) as file:
            missing = sorted(wanted - set(file.schema_arrow.names))
            if missing:
                raise DataError(f"{what} has no field {missing[0]!r} in {path}; it has {', '.join(file.schema_arrow.names)}")
            table = file.read(columns=sorted(wanted))
        length = self.rows[k]["length"]
        if len(table) != length or not length:
            raise DataError(f"{what} has {len(table)} rows in {path}; expected {length}, and 1 at least")
        if "episode_index" in flags and set(table.column("episode_index").to_pylist()) != {k}:
            raise DataError(f"{what}: {path} holds rows of another episode in 'episode_index'")
        done = _DONE in flags and bool(table.column(_DONE)[-1].as_py())
        return SourceEpisode(
            values={name: self._values(name, k, table, f"{what}: field {name!r}") for name in fields},
            num_steps=length,
            terminated=done,
            truncated=not done,
            success=False,  # the field next.success, where there is one, tells
            seed=k,
            instruction=self._instruction(k, table),
        )

    def _field(self, name: str, feature: dict[str, Any], taken: set[str]) -> SourceField:
        shape = tuple(feature["shape"])
        if feature["dtype"] in ("image", "video"):
            if shape[0] in (1, 3) and shape[-1] not in (1, 3):  # channels first
                shape = (*shape[1:], shape[0])
            return SourceField("image", free_key(safe(name.rpartition(".")[2]), taken), (*shape[:2], 3), "uint8")
        role = _ROLES.get(name) or ("vector" if name.startswith("observation.") else "label")
        key = _VECTORS.get(name) or safe(name.removeprefix("observation.").removeprefix(LABEL))
        low, high = self._bounds(name) if role == "action" else (None, None)
        return SourceField(
            role,
            free_key(key, taken),
            shape,
            feature["dtype"],
            names=_element_names(feature.get("names")),
            privileged=name == "observation.environment_state",
            low=low,
            high=high,
        )

    def _bounds(self, name: str) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
        """Smallest and largest value of a feature over all episodes, or nothing when the statistics are not there."""
        path = self.root / "meta/episodes_stats.jsonl"
        if not path.exists():
            return None, None
        lows, highs = [], []
        for row in _json_lines(path, ("episode_index", "stats")):
            try:
                lows.append(row["stats"][name]["min"])
                highs.append(row["stats"][name]["max"])
            except (KeyError, TypeError):
                return None, None
        size = int(np.prod(self.info["features"][name]["shape"], dtype=int))
        try:
            low, high = np.array(lows, np.float64).min(axis=0).ravel(), np.array(highs, np.float64).max(axis=0).ravel()
        except ValueError as error:
            raise DataError(f"{path}: the statistics of field {name!r} are ragged") from error
        if len(lows) != len(self.rows) or low.size != size or high.size != size:
            raise DataError(
                f"{path}: the statistics of field {name!r} are not {size} numbers for each of {len(self.rows)} episodes"
            )
        return tuple(low.tolist()), tuple(high.tolist())

    def _values(self, name: str, k: int, table: pa.Table, what: str) -> Values:
        feature = self.info["features"][name]
        if feature["dtype"] == "video":
            return video_frames(self._path("video_path", k, name))
        if feature["dtype"] == "image":
            return self._pictures(table.column(name), what)
        return column_values(table.column(name), tuple(feature["shape"]), what)

    def _pictures(self, column: pa.ChunkedArray, what: str) -> Iterator[np.ndarray]:
        for i, cell in enumerate(column.to_pylist()):
            if isinstance(cell, dict) and cell.get("bytes"):
                yield decode_image(cell["bytes"], f"{what}: picture {i}")
            elif isinstance(cell, dict) and cell.get("path"):
                path = inside(self.root, cell["path"])
                try:
                    data = path.read_bytes()
                except OSError as error:
                    raise DataError(f"{what}: picture {i}: {path} cannot be read: {one_line(error)}") from error
                yield decode_image(data, f"{what}: picture {i}")
            else:
                raise DataError(f"{what}: picture {i} is missing; expected its bytes or a path")

    def _instruction(self, k: int, table: pa.Table) -> str:
        """The task of the first frame; the episode's first task where frames have none."""
        if "task_index" in table.column_names:
            index = table.column("task_index")[0].as_py()
            if index not in self.tasks:
                raise DataError(f"{self.root.name}: episode {k}: task_index is {index}; meta/tasks.jsonl does not have it")
            return self.tasks[index]
        tasks = self.rows[k]["tasks"]
        return tasks[0] if tasks else ""

    def _path(self, pattern: str, k: int, camera: str = "") -> Path:
        text = self.info.get(pattern)
        try:
            relative = text.format(episode_chunk=k // self.info["chunks_size"], episode_index=k, video_key=camera)  # type: ignore
        except (LookupError, ValueError, AttributeError, TypeError) as error:
            raise DataError(f"{self.root / 'meta/info.json'} is damaged: {pattern} is {text!r}") from error
        return inside(self.root, relative)


def column_values(column: pa.ChunkedArray, shape: tuple[int, ...], what: str) -> np.ndarray:
    """A parquet column of numbers or of lists of them as rows, (rows, *shape).

    Raises:
        DataError: missing values, no numbers, or rows of another shape.
    """
    array: Any = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    if isinstance(array, pa.ExtensionArray):  # Hugging Face's Array2D and up
        array = array.storage
    count, nulls = len(array), array.null_count
    while isinstance(array, (pa.ListArray, pa.LargeListArray, pa.FixedSizeListArray)):
        if not isinstance(array, pa.FixedSizeListArray) and len(set(np.diff(array.offsets.to_numpy()).tolist())) > 1:
            raise DataError(f"{what} is ragged: its rows have different lengths")
        array = array.flatten()
        nulls += array.null_count
    if nulls:
        raise DataError(f"{what} has {nulls} missing values; expected none")
    if not (pa.types.is_integer(array.type) or pa.types.is_floating(array.type) or pa.types.is_boolean(array.type)):
        raise DataError(f"{what} is {array.type}; expected numbers")
    if len(array) != count * int(np.prod(shape, dtype=int)):
        raise DataError(f"{what} has {len(array)} numbers in {count} rows; expected the shape {shape} a row")
    return array.to_numpy(zero_copy_only=False).reshape(count, *shape)


def _checked(path: Path) -> dict[str, Any]:
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


def _json_lines(path: Path, keys: tuple[str, ...]) -> list[dict[str, Any]]:
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


def _element_names(names: Any) -> tuple[str, ...]:
    """LeRobot writes a list of names, or groups of them such as {"motors": [...]}."""
    if isinstance(names, dict):
        names = [name for group in names.values() if isinstance(group, list) for name in group]
    return tuple(map(str, names)) if isinstance(names, list) else ()


def _is_data(path: Path, root: Path) -> bool:
    return path.relative_to(root).parts[0] in ("meta", "data", "videos", "images") and not path.name.startswith(".")
