"""The rows of meta/episodes: what is known of each episode without reading its frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from worldmodel.data import statistics
from worldmodel.data.features import BOOKKEEPING, INFO, TASKS, Feature
from worldmodel.data.files import inside, read_parquet, reading
from worldmodel.data.statistics import Stats
from worldmodel.errors import DataError


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


def read_episodes(root: Path, info: dict[str, Any]) -> tuple[EpisodeRow, ...]:
    """Rows of all the episodes that info.json counts; rows beyond are those of an unfinished append.

    Raises:
        DataError: rows are missing, damaged, not in order, or lead out of the dataset.
    """
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


def merged_stats(root: Path, total: int, features: dict[str, Feature], chosen: np.ndarray | None = None) -> dict[str, Stats]:
    """Feature -> statistics over the episodes below `total`, or over the `chosen` (E,) of them."""
    shapes = {
        name: (feature["shape"][-1], 1, 1) if feature["dtype"] == "image" else tuple(feature["shape"])
        for name, feature in features.items()
        if name not in BOOKKEEPING
    }
    columns = ["episode_index", *(f"stats/{name}/{statistic}" for name in shapes for statistic in statistics.STATISTICS)]
    table = read_episode_table(root, total, columns)
    return statistics.of_rows(table if chosen is None else table.take(chosen), shapes)


def _data_file(root: Path, pattern: str, chunk_index: int, file_index: int) -> str:
    try:
        relative = pattern.format(chunk_index=chunk_index, file_index=file_index)
    except (LookupError, ValueError, AttributeError, TypeError) as error:
        raise DataError(f"{root / INFO} is damaged: data_path is {pattern!r}") from error
    inside(root, relative)
    return relative
