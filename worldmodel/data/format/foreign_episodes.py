"""The episodes of a plain LeRobotDataset v3.0, of another program, and their statistics; foreign.py reads their world."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from worldmodel.data.format.episode_row import EpisodeRow, data_file, places_of, video_place
from worldmodel.data.format.episodes_table import FILE_COLUMNS, merged_stats, read_whole_episode_table
from worldmodel.data.format.features import INFO, STATS
from worldmodel.data.format.files import one_line, read_json
from worldmodel.data.format.frame_reader import Layout
from worldmodel.data.format.statistics import STATISTICS
from worldmodel.errors import DataError


def foreign_stats(
    root: Path, info: dict[str, Any], columns: list[str], chosen: np.ndarray | None = None
) -> dict[str, dict[str, np.ndarray]]:
    """Column -> statistics, of meta/stats.json or, without one or of `chosen` (E,) episodes, of the episode rows."""
    if chosen is None and (root / STATS).exists():
        values = read_json(root / STATS)
        try:
            return {
                name: {key: np.array(values[name][key]) for key in STATISTICS if key in values[name]}
                for name in columns
                if name in values
            }
        except (AttributeError, ValueError, TypeError) as error:
            raise DataError(f"{root / STATS} is damaged: {one_line(error)}") from error
    table = read_whole_episode_table(root, info["total_episodes"])
    whole = {name for name in table.column_names if table.column(name).null_count == 0}
    held = [name for name in columns if all(f"stats/{name}/{statistic}" in whole for statistic in STATISTICS)]
    return merged_stats(root, info["total_episodes"], {name: info["features"][name] for name in held}, chosen)


def foreign_episodes(root: Path, info: dict[str, Any], layout: Layout) -> tuple[EpisodeRow, ...]:
    """Rows of all the episodes; the seed of each is its number, and nothing tells whether the task ended it.

    The digest of an episode is that of its row, with the statistics of its frames in it: reading every frame would take
    as long as training on them.

    Raises:
        DataError: rows are missing, damaged, not in order, or lead out of the dataset.
    """
    path, spec, total = root / "meta/episodes", layout.spec, info["total_episodes"]
    table = read_whole_episode_table(root, total)
    videos = [name for name, feature in layout.stored.values() if feature["dtype"] == "video"]
    checked: set[str] = set()
    rows, start = [], 0
    missing = sorted({"episode_index", "length", "tasks", *FILE_COLUMNS, *places_of(videos)} - set(table.column_names))
    if missing:
        raise DataError(f"{path} has no column {missing[0]!r}; expected what LeRobotDataset v3.0 has")
    if table.column("episode_index").to_pylist() != list(range(total)):
        raise DataError(f"{path} is damaged: expected the episodes 0 to {total - 1}, each once")
    for row in table.to_pylist():
        length = row["length"]
        if (row["dataset_from_index"], row["dataset_to_index"]) != (start, start + (length or 0)):
            raise DataError(f"{path} is damaged: episode {row['episode_index']} does not follow the one before it")
        if not length or length < 1:
            raise DataError(f"{path}: episode {row['episode_index']} has {length} frames; an episode has one at least")
        rows.append(
            EpisodeRow(
                episode_index=row["episode_index"],
                length=length,
                seed=row["episode_index"],
                success=bool(_statistic(row, "next.success", "max")),
                terminated=False,
                truncated=True,
                total_reward=_statistic(row, "next.reward", "mean") * length,
                instruction="; ".join(map(str, row["tasks"] or ())),
                first_frame=start,
                file=data_file(root, info, row, checked),
                sha256=_digest(row),
                env_id=spec.env_id,
                robot=spec.robot,
                renderer=spec.renderer,
                control_mode=spec.control_mode,
                videos={column: video_place(root, info, row, column, checked) for column in videos},
            )
        )
        start += length
    if start != info["total_frames"]:
        raise DataError(f"{root / INFO} is damaged: total_frames is {info['total_frames']}; the episodes have {start}")
    return tuple(rows)


def _statistic(row: dict[str, Any], column: str, name: str) -> float:
    """A statistic of a column of one number in an episode; 0 when there is none."""
    value = row.get(f"stats/{column}/{name}")
    while isinstance(value, list) and value:
        value = value[0]
    return float(value) if isinstance(value, (bool, int, float)) else 0.0


def _digest(row: dict[str, Any]) -> str:
    """Of what an episode is, and not of the place where it lies."""
    places = ("data/", "videos/", "meta/", "dataset_", "episode_index")
    values = {name: value for name, value in row.items() if not name.startswith(places)}
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()
