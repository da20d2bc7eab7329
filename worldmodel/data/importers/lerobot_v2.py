"""LeRobotDataset v2.1 (and v2.0): a parquet file and a film of each camera for every episode, JSON lines beside them.

    meta/info.json                                     rates, features, paths
    meta/episodes.jsonl, tasks.jsonl, episodes_stats.jsonl
    data/chunk-000/episode_000000.parquet              a row a frame
    videos/chunk-000/{camera}/episode_000000.mp4       or pictures in the table, or beside it under images/

Layout: huggingface/lerobot, docs of the v2.1 format and its conversion to v3.0.
"""

from __future__ import annotations

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
from worldmodel.data.importers.lerobot_v2_meta import VERSIONS, element_names, is_data, json_lines, read_info
from worldmodel.data.importers.pixels import decode_image, video_frames
from worldmodel.data.importers.plan import free_key, safe
from worldmodel.data.importers.values import column_values
from worldmodel.errors import DataError

KIND = "lerobot-v2"
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
        self.info = read_info(root / "meta/info.json")
        self.tasks = {row["task_index"]: row["task"] for row in json_lines(root / "meta/tasks.jsonl", ("task_index", "task"))}
        self.rows = json_lines(root / "meta/episodes.jsonl", ("episode_index", "tasks", "length"))
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
            identity=identity_of(KIND, self.root, (p for p in self.root.rglob("*") if p.is_file() and is_data(p, self.root))),
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
            names=element_names(feature.get("names")),
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
        for row in json_lines(path, ("episode_index", "stats")):
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
