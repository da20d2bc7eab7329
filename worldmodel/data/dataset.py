"""A finalized dataset, opened: what is in it, its episodes, and whether it is whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from worldmodel.data.features import CHECKSUMS, INFO, LABEL, STATS, TASKS, VERSION, Feature, features_of, sensor_columns
from worldmodel.data.files import inside, one_line, read_json, read_parquet, reading, sha256_of
from worldmodel.data.frames import from_arrow
from worldmodel.data.statistics import Stats
from worldmodel.data.writer import read_world, recorded_episodes, shard_rows
from worldmodel.errors import DataError
from worldmodel.progress import NoProgress, Progress
from worldmodel.types import Episode, WorldSpec


@dataclass(frozen=True)
class EpisodeRow:
    """What is known of an episode without reading its frames."""

    episode_index: int
    """Its place in the dataset, from 0."""
    length: int
    """Number of frames, T + 1."""
    seed: int
    """Seed of the environment's reset."""
    success: bool
    """The task's own success rule held at the end."""
    terminated: bool
    """The last step ended the task."""
    truncated: bool
    """The last step ran out of budget."""
    total_reward: float
    """Sum of its rewards."""
    instruction: str
    """The task in words."""
    first_frame: int
    """Index of its first frame in the whole dataset."""
    file: str
    """Its data file, relative to the dataset."""
    sha256: str
    """Digest of everything in it, whatever file it is in."""


class Dataset:
    """A dataset in the LeRobotDataset v3.0 layout; `Dataset.open` makes one."""

    def __init__(self, root: Path, info: dict[str, Any], spec: WorldSpec, fps: float, episodes: tuple[EpisodeRow, ...]):
        self.root = root
        self.info = info
        self.spec = spec
        self.fps = fps
        self.episodes = episodes

    @classmethod
    def open(cls, root: Path | str) -> Dataset:
        """Open a finalized dataset; only its meta folder is read.

        Raises:
            DataError: no dataset, not finalized yet, or damaged.
        """
        root = Path(root)
        _require_dataset(root)
        spec, fps = read_world(root)
        info = read_json(root / INFO)
        _check_info(root / INFO, info)
        episodes = _read_episodes(root, info)
        dataset = cls(root, info, spec, fps, episodes)
        dataset._check_features()
        return dataset

    @property
    def num_episodes(self) -> int:
        """Number of episodes."""
        return len(self.episodes)

    @property
    def num_frames(self) -> int:
        """Number of frames: an episode of T actions has T + 1."""
        return sum(row.length for row in self.episodes)

    @property
    def seeds(self) -> set[int]:
        """Seeds of all the episodes: evaluation keeps away from them."""
        return {row.seed for row in self.episodes}

    @property
    def features(self) -> dict[str, Feature]:
        """Column name -> dtype, shape and names."""
        return self.info["features"]

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the labels."""
        return tuple(name.removeprefix(LABEL) for name in self.features if name.startswith(LABEL))

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the world and of every episode in order: the same content has the same one, in whatever files it lies."""
        total = hashlib.sha256(json.dumps(self.spec.to_dict(), sort_keys=True).encode())
        for row in self.episodes:
            total.update(bytes.fromhex(row.sha256))
        return total.hexdigest()

    @cached_property
    def stats(self) -> dict[str, Stats]:
        """Feature -> min, max, mean, std, count; images by channel in [0, 1], actions without padding."""
        values = read_json(self.root / STATS)
        try:
            return {name: {key: np.array(value) for key, value in stats.items()} for name, stats in values.items()}
        except (AttributeError, ValueError, TypeError) as error:
            raise DataError(f"{self.root / STATS} is damaged: {one_line(error)}") from error

    def read_episode(self, i: int) -> Episode:
        """Episode `i`, exactly as it was recorded.

        Raises:
            DataError: no such episode, or its file is missing or damaged.
        """
        if not 0 <= i < self.num_episodes:
            raise DataError(f"{self.root} has no episode {i}; it has 0 to {self.num_episodes - 1}")
        row = self.episodes[i]
        path = inside(self.root, row.file)
        table = _read_rows(path, row.first_frame - self._files[row.file].start, row.length)
        columns = {name: self._values(table, name, path) for name in self.features}
        if (columns["episode_index"] != i).any() or (columns["frame_index"] != np.arange(row.length)).any():
            raise DataError(f"{path} is damaged: the rows of episode {i} are not in their place")
        return Episode(
            observations={key: columns[column] for key, column in sensor_columns(self.spec).items()},
            actions=columns["action"][:-1],
            rewards=columns["next.reward"][:-1],
            terminated=row.terminated,
            truncated=row.truncated,
            success=row.success,
            seed=row.seed,
            instruction=row.instruction,
            labels={name: columns[LABEL + name] for name in self.label_names},
        )

    def frames(self, columns: list[str], batch_size: int = 512) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        """All frames in order, a batch at a time: (index of the first one, column name -> (frames, ...) values).

        Raises:
            DataError: a data file is missing, damaged, or holds another number of frames than its episodes have.
        """
        for relative, place in self._files.items():
            path, start, length = inside(self.root, relative), place.start, len(place)
            with reading(path), pq.ParquetFile(path) as file:
                if file.metadata.num_rows != length:
                    raise DataError(f"{path} is damaged: {file.metadata.num_rows} frames; expected {length}")
                for batch in file.iter_batches(batch_size, columns=columns):
                    table = pa.Table.from_batches([batch])
                    yield start, {name: self._values(table, name, path) for name in columns}
                    start += len(batch)
            if start != place.stop:
                raise DataError(f"{path} is damaged: it ends at frame {start}; expected {place.stop}")

    def verify(self, progress: Progress | None = None) -> list[str]:
        """One line for each thing that is wrong: checksums, missing files, rows out of place, values that do not fit."""
        progress = progress or NoProgress()
        problems = []
        try:
            checksums = read_json(self.root / CHECKSUMS)
            known = [name for name in self._files if name not in checksums]
            problems += [f"{name} has no checksum" for name in known]
        except DataError as error:
            return [str(error)]
        for done, (name, expected) in enumerate(sorted(checksums.items())):
            try:
                if sha256_of(inside(self.root, name)) != expected:
                    problems.append(f"{name} is not what was written: its checksum differs")
            except DataError as error:
                problems.append(str(error))
            progress.update(done + 1, len(checksums) + 1)
        small = [name for name, feature in self.features.items() if feature["dtype"] != "image"]
        try:
            for start, values in self.frames(small):
                if (values["index"] != start + np.arange(len(values["index"]))).any():
                    problems.append(f"frames from {start} on have the wrong index")
        except DataError as error:
            problems.append(str(error))
        if self.num_episodes and set(self.stats) - set(self.features):
            problems.append(f"{STATS} describes unknown columns: {sorted(set(self.stats) - set(self.features))}")
        progress.update(len(checksums) + 1, len(checksums) + 1)
        return problems

    def summary(self) -> dict[str, Any]:
        """What is in it, as plain values: for the card and for whoever inspects it."""
        steps = self.num_frames - self.num_episodes
        return {
            "env_id": self.spec.env_id,
            "robot": self.spec.robot,
            "control_mode": self.spec.control_mode,
            "renderer": self.spec.renderer,
            "fps": self.fps,
            "episodes": self.num_episodes,
            "frames": self.num_frames,
            "actions": steps,
            "hours": steps / self.fps / 3600,
            "success_share": sum(row.success for row in self.episodes) / self.num_episodes,
            "tasks": sorted({row.instruction for row in self.episodes}),
            "sensors": {key: f"{sensor.dtype} {list(sensor.shape)}" for key, sensor in self.spec.sensors.items()},
            "labels": list(self.label_names),
            "bytes": sum(inside(self.root, name).stat().st_size for name in self._files),
            "fingerprint": self.fingerprint,
        }

    def shape_of(self, column: str) -> tuple[int, ...]:
        """Shape of one row of a column as it was recorded: () for one number, (1,) for a vector of one number."""
        vectors = {name: self.spec.sensors[key].shape for key, name in sensor_columns(self.spec).items()}
        vectors["action"] = (self.spec.action.dim,)
        shape = tuple(self.features[column]["shape"])
        return tuple(vectors.get(column, () if shape == (1,) else shape))

    @cached_property
    def _files(self) -> dict[str, range]:
        """Data file -> its frames, in order."""
        files: dict[str, range] = {}
        for row in self.episodes:
            start = files[row.file].start if row.file in files else row.first_frame
            files[row.file] = range(start, row.first_frame + row.length)
        return files

    def _values(self, table: pa.Table, name: str, path: Path) -> np.ndarray:
        if name not in table.column_names:
            raise DataError(f"{path} has no column {name!r}")
        values = from_arrow(table.column(name), self.features[name], f"{path}: column {name!r}")
        return values.reshape(len(values), *self.shape_of(name))

    def _check_features(self) -> None:
        """The columns that the world needs are there, with its dtypes and shapes."""
        for name, expected in features_of(self.spec, {}).items():
            got = self.features.get(name)
            if got is None:
                raise DataError(f"{self.root / INFO} has no feature {name!r}")
            for key in ("dtype", "shape"):
                if got.get(key) != expected[key]:
                    raise DataError(f"{self.root / INFO}: feature {name!r} has {key} {got.get(key)}; expected {expected[key]}")


def _require_dataset(root: Path) -> None:
    if not root.is_dir():
        raise DataError(f"{root} is no folder; expected a dataset made by 'worldmodel record'")
    if not (root / INFO).exists():
        if shard_rows(root):
            raise DataError(f"{root} is not finished: {len(recorded_episodes(root))} episodes so far; record again to go on")
        raise DataError(f"{root} is no dataset: {INFO} is missing; make one with 'worldmodel record'")


def _check_info(path: Path, info: dict[str, Any]) -> None:
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
        if feature.get("dtype") not in ("image", "bool", "uint8", "int32", "int64", "float32", "float64"):
            raise DataError(f"{path}: feature {name!r} has dtype {feature.get('dtype')!r}, which this program does not read")
    if not isinstance(info.get("data_path"), str):
        raise DataError(f"{path} is damaged: data_path is {info.get('data_path')!r}; expected a pattern")


def _read_episodes(root: Path, info: dict[str, Any]) -> tuple[EpisodeRow, ...]:
    """Rows of all the episodes that info.json counts; rows beyond are those of an unfinished append."""
    table = read_episode_table(root, info["total_episodes"])
    path = root / "meta/episodes"
    if len(table) != info["total_episodes"] or table.column("episode_index").to_pylist() != list(range(len(table))):
        raise DataError(f"{path} is damaged: expected the episodes 0 to {info['total_episodes'] - 1}, each once")
    tasks = set(read_parquet(inside(root, TASKS), ["task"]).column("task").to_pylist())
    episodes, start = [], 0
    for row in table.to_pylist():
        if row["dataset_from_index"] != start or row["dataset_to_index"] != start + row["length"] or row["length"] < 2:
            raise DataError(f"{path} is damaged: episode {row['episode_index']} does not follow the one before it")
        if len(row["tasks"]) != 1 or row["tasks"][0] not in tasks:
            raise DataError(f"{path} is damaged: episode {row['episode_index']} has a task that is not in {TASKS}")
        episodes.append(
            EpisodeRow(
                episode_index=row["episode_index"],
                length=row["length"],
                seed=row["seed"],
                success=row["success"],
                terminated=row["terminated"],
                truncated=row["truncated"],
                total_reward=row["return"],
                instruction=row["tasks"][0],
                first_frame=start,
                file=_data_file(root, info["data_path"], row["data/chunk_index"], row["data/file_index"]),
                sha256=row["sha256"],
            )
        )
        start += row["length"]
    if start != info["total_frames"]:
        raise DataError(f"{root / INFO} is damaged: total_frames is {info['total_frames']}; the episodes have {start}")
    return tuple(episodes)


EPISODE_COLUMNS = [
    "episode_index",
    "tasks",
    "length",
    "seed",
    "success",
    "terminated",
    "truncated",
    "return",
    "sha256",
    "dataset_from_index",
    "dataset_to_index",
    "data/chunk_index",
    "data/file_index",
]


def read_episode_table(root: Path, total: int, columns: list[str] | None = EPISODE_COLUMNS) -> pa.Table:
    """The episode rows with an index below `total`, by index."""
    paths = sorted((root / "meta/episodes").glob("chunk-*/file-*.parquet"))
    if not paths:
        raise DataError(f"{root / 'meta/episodes'} is missing; expected the rows of {total} episodes")
    tables = [read_parquet(inside(root, str(path.relative_to(root))), columns) for path in paths]
    with reading(root / "meta/episodes"):
        table = pa.concat_tables(tables).sort_by("episode_index")
        if columns and any(table.column(name).null_count for name in columns):
            raise DataError(f"{root / 'meta/episodes'} is damaged: it has missing values")
        return table.filter(table.column("episode_index").to_numpy() < total)


def _data_file(root: Path, pattern: str, chunk_index: int, file_index: int) -> str:
    try:
        relative = pattern.format(chunk_index=chunk_index, file_index=file_index)
    except (LookupError, ValueError, AttributeError, TypeError) as error:
        raise DataError(f"{root / INFO} is damaged: data_path is {pattern!r}") from error
    inside(root, relative)
    return relative


def _read_rows(path: Path, offset: int, length: int) -> pa.Table:
    """Rows [offset, offset + length) of a parquet file, reading only the row groups that hold them."""
    with reading(path), pq.ParquetFile(path) as file:
        groups, skip, end = [], 0, 0
        for group in range(file.num_row_groups):
            start, end = end, end + file.metadata.row_group(group).num_rows
            if end <= offset:
                skip = end
            elif start < offset + length:
                groups.append(group)
        if end < offset + length:
            raise DataError(f"{path} is damaged: {end} frames; expected {offset + length} at least")
        return file.read_row_groups(groups).slice(offset - skip, length)
