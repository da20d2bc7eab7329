"""The rows of meta/episodes: what is known of each episode without reading its frames."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from worldmodel.data.format import statistics
from worldmodel.data.format.episode_row import EpisodeRow, data_file, places_of, video_columns, video_place
from worldmodel.data.format.features import BOOKKEEPING, INFO, TASKS, Feature
from worldmodel.data.format.files import inside, read_parquet, reading
from worldmodel.data.format.statistics import Stats
from worldmodel.errors import DataError
from worldmodel.types import WorldSpec


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
