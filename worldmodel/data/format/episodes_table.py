"""The rows of meta/episodes: what is known of each episode without reading its frames."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from worldmodel.data.format import statistics
from worldmodel.data.format.features import BOOKKEEPING, INFO, TASKS, Feature
from worldmodel.data.format.files import inside, read_parquet, reading
from worldmodel.data.format.statistics import Stats
from worldmodel.errors import DataError
from worldmodel.types import WorldSpec


@dataclass(frozen=True)
class VideoPlace:
    """Where the frames of an episode are in a video file: frame t is shown at `start` + t / fps."""

    file: str
    """Video file, relative to the dataset."""
    start: float
    """Time of the first frame [s]."""
    stop: float
    """Time at which the last frame ends [s]."""


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
    env_id: str
    """Gymnasium id of the environment."""
    robot: str
    """Name of the robot."""
    renderer: str
    """What drew its pixels."""
    control_mode: str
    """What one action makes the robot do."""
    variation: dict[str, Any] = field(default_factory=dict)
    """Factor of variation -> its value."""
    videos: dict[str, VideoPlace] = field(default_factory=dict)
    """Video column -> where its frames are."""


def read_episodes(root: Path, info: dict[str, Any], spec: WorldSpec) -> tuple[EpisodeRow, ...]:
    """Rows of all the episodes that info.json counts; rows beyond are those of an unfinished append.

    Raises:
        DataError: rows are missing, damaged, not in order, or lead out of the dataset.
    """
    videos = video_columns(info["features"])
    table = read_episode_table(root, info["total_episodes"], [*EPISODE_COLUMNS, *places_of(videos)], ORIGIN_COLUMNS)
    checked: set[str] = set()
    path = root / "meta/episodes"
    if len(table) != info["total_episodes"] or table.column("episode_index").to_pylist() != list(range(len(table))):
        raise DataError(f"{path} is damaged: expected the episodes 0 to {info['total_episodes'] - 1}, each once")
    _check_types(path, table)
    tasks = set(read_parquet(inside(root, TASKS), ["task"]).column("task").to_pylist())
    episodes, start = [], 0
    for row in table.to_pylist():
        if row["dataset_from_index"] != start or row["dataset_to_index"] != start + row["length"] or row["length"] < 2:
            raise DataError(f"{path} is damaged: episode {row['episode_index']} does not follow the one before it")
        if len(row["tasks"]) != 1 or row["tasks"][0] not in tasks:
            raise DataError(f"{path} is damaged: episode {row['episode_index']} has a task that is not in {TASKS}")
        if not _DIGEST.fullmatch(row["sha256"]):
            raise DataError(f"{path} is damaged: episode {row['episode_index']} has the digest {row['sha256'][:80]!r}")
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
                file=data_file(root, info, row, checked),
                sha256=row["sha256"],
                **{name: _or(row[name], getattr(spec, name)) for name in ORIGIN_COLUMNS if name != "variation"},
                variation=_variation(row["variation"], path),
                videos={column: video_place(root, info, row, column, checked) for column in videos},
            )
        )
        start += row["length"]
    if start != info["total_frames"]:
        raise DataError(f"{root / INFO} is damaged: total_frames is {info['total_frames']}; the episodes have {start}")
    return tuple(episodes)


_DIGEST = re.compile("[0-9a-f]{64}")


def _check_types(path: Path, table: pa.Table) -> None:
    """Raise DataError for a column that does not hold what its name says."""
    for name in EPISODE_COLUMNS:
        kind = table.schema.field(name).type
        if name in ("success", "terminated", "truncated"):
            expected, fits = "true or false", pa.types.is_boolean(kind)
        elif name == "sha256":
            expected, fits = "text", pa.types.is_string(kind)
        elif name == "tasks":
            expected, fits = "lists of text", pa.types.is_list(kind) and pa.types.is_string(kind.value_type)
        elif name == "return":
            expected, fits = "numbers", pa.types.is_floating(kind)
        else:
            expected, fits = "whole numbers", pa.types.is_integer(kind)
        if not fits:
            raise DataError(f"{path} is damaged: column {name!r} is {kind}; expected {expected}")


FILE_COLUMNS = ["dataset_from_index", "dataset_to_index", "data/chunk_index", "data/file_index"]
"""Where an episode's rows are in the data files."""

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
    *FILE_COLUMNS,
]


ORIGIN_COLUMNS = ["env_id", "robot", "renderer", "control_mode", "variation"]
"""Columns that datasets made before there were such columns lack."""


def read_episode_table(root: Path, total: int, columns: list[str], optional: Sequence[str] = ()) -> pa.Table:
    """The episode rows with an index below `total`, by index; a file without an `optional` column gives nulls.

    Raises:
        DataError: no rows, damaged, or values are missing in a column that is not optional.
    """
    paths = sorted((root / "meta/episodes").glob("chunk-*/file-*.parquet"))
    if not paths:
        raise DataError(f"{root / 'meta/episodes'} is missing; expected the rows of {total} episodes")
    tables = [_read_file(inside(root, str(path.relative_to(root))), columns, optional) for path in paths]
    with reading(root / "meta/episodes"):
        table = pa.concat_tables(tables, promote_options="default").sort_by("episode_index")
        if any(table.column(name).null_count for name in columns):
            raise DataError(f"{root / 'meta/episodes'} is damaged: it has missing values")
        return table.filter(table.column("episode_index").to_numpy() < total)


def read_whole_episode_table(root: Path, total: int) -> pa.Table:
    """The episode rows with an index below `total` with every column that one of their files has, by index.

    Raises:
        DataError: no rows, or damaged.
    """
    names: dict[str, None] = {}
    for path in sorted((root / "meta/episodes").glob("chunk-*/file-*.parquet")):
        with reading(path):
            names.update(dict.fromkeys(pq.read_schema(inside(root, str(path.relative_to(root)))).names))
    return read_episode_table(root, total, ["episode_index"], [name for name in names if name != "episode_index"])


def _read_file(path: Path, columns: list[str], optional: Sequence[str]) -> pa.Table:
    with reading(path):
        present = set(pq.read_schema(path).names)
    table = read_parquet(path, [*columns, *(name for name in optional if name in present)])
    for name in optional:
        if name not in present:
            table = table.append_column(name, pa.nulls(len(table)))
    return table


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value


def _variation(text: str | None, path: Path) -> dict[str, Any]:
    try:
        variation = json.loads(text or "{}")
    except (ValueError, RecursionError, TypeError) as error:
        raise DataError(f"{path} is damaged: the variation {text!r} is no JSON") from error
    if not isinstance(variation, dict):
        raise DataError(f"{path} is damaged: the variation {text!r} is no JSON object")
    return variation


def merged_stats(root: Path, total: int, features: dict[str, Feature], chosen: np.ndarray | None = None) -> dict[str, Stats]:
    """Feature -> statistics over the episodes below `total`, or over the `chosen` (E,) of them."""
    features = {name: feature for name, feature in features.items() if name not in BOOKKEEPING}
    columns = ["episode_index", *(f"stats/{name}/{statistic}" for name in features for statistic in statistics.STATISTICS)]
    table = read_episode_table(root, total, columns)
    return statistics.of_rows(table if chosen is None else table.take(chosen), features)


def video_columns(features: dict[str, Feature]) -> list[str]:
    """Names of the columns whose frames lie in video files."""
    return [name for name, feature in features.items() if feature["dtype"] == "video"]


def places_of(videos: list[str]) -> list[str]:
    """Columns of the episode rows that say where the frames of these video columns are."""
    return [f"videos/{column}/{place}" for column in videos for place in _VIDEO_PLACES]


_VIDEO_PLACES = ("chunk_index", "file_index", "from_timestamp", "to_timestamp")


def data_file(root: Path, info: dict[str, Any], row: dict[str, Any], checked: set[str] | None = None) -> str:
    """Path of an episode's data file, relative to the dataset.

    Args:
        root: the dataset.
        info: the contents of its info.json.
        row: the episode's row.
        checked: paths that are known not to lead out of the dataset; this one is added.

    Raises:
        DataError: the path leads out of the dataset, or info.json holds no pattern for it.
    """
    return _file(root, info, "data_path", checked, chunk_index=row["data/chunk_index"], file_index=row["data/file_index"])


def video_place(
    root: Path, info: dict[str, Any], row: dict[str, Any], column: str, checked: set[str] | None = None
) -> VideoPlace:
    """Where an episode's frames of a video column are; arguments and errors as of `data_file`."""
    chunk, number, start, stop = (row[name] for name in places_of([column]))
    file = _file(root, info, "video_path", checked, video_key=column, chunk_index=chunk, file_index=number)
    if start is None or stop is None or not 0 <= start < stop < float("inf"):
        raise DataError(f"{root / 'meta/episodes'} is damaged: {column} of an episode is from {start} to {stop} s")
    return VideoPlace(file, float(start), float(stop))


def _file(root: Path, info: dict[str, Any], pattern: str, checked: set[str] | None, **names: Any) -> str:
    try:
        relative = info[pattern].format(**names)
    except (LookupError, ValueError, AttributeError, TypeError) as error:
        raise DataError(f"{root / INFO} is damaged: {pattern} is {info.get(pattern)!r}") from error
    if checked is None or relative not in checked:
        inside(root, relative)
        if checked is not None:
            checked.add(relative)
    return relative
