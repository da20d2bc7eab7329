"""LeRobotDataset v3.0 as its public schema describes it, and nothing else.

In that schema a row is an observation and the action that follows it, and every action is one that was taken. A recorded
episode of T actions and T + 1 observations has T such rows; its last observation has no action and is left out. With
`everything`, the rows, columns and files that only this program looks at are kept: the dataset stays exactly what it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from worldmodel.data.dataset import Dataset
from worldmodel.data.exporters.base import numbers
from worldmodel.data.format import statistics
from worldmodel.data.format.episode_row import video_columns
from worldmodel.data.format.features import (
    DATA_PATH,
    EPISODES_PATH,
    INFO,
    TASKS,
    VIDEO_PATH,
    Feature,
    features_of,
    sensor_columns,
)
from worldmodel.data.format.files import publish_json
from worldmodel.data.format.frames import columns_of, stats_of, to_table
from worldmodel.data.format.info import FILE_MB, VIDEO_MB, new_info
from worldmodel.data.format.meta import licence_of, write_stats
from worldmodel.data.format.numbering import numbered, place_of, with_numbers
from worldmodel.data.format.tasks import tasks_table
from worldmodel.data.format.video import ClipJoiner, VideoConfig, cut_clip, encode_clip
from worldmodel.data.recording.assemble import finalize
from worldmodel.data.recording.writer import DatasetWriter
from worldmodel.progress import Progress

OURS = ("action_is_pad",)
"""Columns that say something about the rows that are left out."""


@dataclass(frozen=True)
class LeRobot:
    """The public schema."""

    everything: bool = False
    """Whether labels, last observations, seeds and the world's description are kept, where other readers overlook them."""
    title: str = "LeRobotDataset v3.0"

    def left_out(self, dataset: Dataset) -> list[str]:
        """What the public schema has no place for."""
        if self.everything:
            return []
        spec, lines = dataset.spec, []
        lines.append(f"the last observation of each episode, {dataset.num_episodes} in all: no action follows it")
        if short := sum(row.length == 2 for row in dataset.episodes):
            lines.append(f"{short} episodes of one action are one row each; to import them, use skip_episodes")
        if dataset.label_names:
            lines.append(f"labels: {', '.join(dataset.label_names)}")
        lines.append("of each episode: the seed, how it ended (terminated or truncated), its variation and its digest")
        privileged = [key for key, sensor in spec.sensors.items() if sensor.privileged]
        if privileged:
            lines.append(f"that these sensors are privileged, so never to be shown to a model: {', '.join(privileged)}")
        lines.append(f"the bounds of the action: {numbers(spec.action.low)} to {numbers(spec.action.high)}")
        if spec.action.points or spec.action.image_from_action:
            lines.append("which elements of the action are points, and where the camera sees them")
        lines.append(f"the environment: {spec.env_id} with {spec.env_kwargs}, control mode {spec.control_mode}")
        if any(sensor.kind == "image" and key != (sensor.camera or key) for key, sensor in spec.sensors.items()):
            lines.append("the names of the cameras' sensors: a column is named after its camera")
        return lines

    def write(self, dataset: Dataset, out: Path, progress: Progress) -> None:
        """Data files, videos, then what is in `meta`."""
        if self.everything:
            _write_everything(dataset, out, progress)
            return
        features = _public(dataset)
        videos = video_columns(features)
        stages = _Stages(progress, dataset.num_episodes, 1 + len(videos))
        rows = _write_data(dataset, features, out, stages)
        for column in videos:
            stages.stage += 1
            _write_videos(dataset, column, rows, out, stages)
        _write_meta(dataset, features, rows, out)


class _Stages:
    """A `Progress` of several passes over the episodes: one bar for all of them."""

    def __init__(self, progress: Progress, num_episodes: int, num_stages: int):
        self._progress, self._num_episodes, self._num_stages = progress, num_episodes, num_stages
        self.stage = 0

    def update(self, done: int, total: int, **fields: str | float) -> None:
        """`done` of `total` episodes of this pass."""
        self._progress.update(self.stage * self._num_episodes + done, self._num_stages * self._num_episodes, **fields)


def _write_everything(dataset: Dataset, out: Path, progress: Progress) -> None:
    with DatasetWriter(out, dataset.spec, fps=dataset.fps) as writer:
        for i in range(dataset.num_episodes):
            writer.add(dataset.read_episode(i), episode_index=i, clips=dataset.clips(i))
            progress.update(i + 1, dataset.num_episodes)
    finalize(out, licence=licence_of(dataset.folder))


def _public(dataset: Dataset) -> dict[str, Feature]:
    return {name: feature for name, feature in features_of(dataset.spec, {}).items() if name not in OURS}


def _write_data(dataset: Dataset, features: dict[str, Feature], out: Path, progress: Progress) -> list[dict[str, Any]]:
    """Write the data files; the episode rows, without places of videos."""
    rows: list[dict[str, Any]] = []
    tasks: dict[str, int] = {}
    number, start, held, file = 0, 0, 0, None
    try:
        for i in range(dataset.num_episodes):
            episode = dataset.read_episode(i)
            num_actions = episode.num_actions
            every = columns_of(episode, dataset.spec)
            columns = {name: values[:num_actions] for name, values in every.items() if name in features}
            table = to_table(columns, features, i, dataset.fps)
            task = tasks.setdefault(episode.instruction, len(tasks))
            table = with_numbers(table, "index", start + np.arange(num_actions))
            table = with_numbers(table, "task_index", np.full(num_actions, task))
            if file is None:
                path = out / numbered(DATA_PATH, number)
                path.parent.mkdir(parents=True, exist_ok=True)
                file = pq.ParquetWriter(path, table.schema, use_dictionary=False)
            file.write_table(table)
            rows.append(
                {
                    "episode_index": i,
                    "tasks": [episode.instruction],
                    "length": num_actions,
                    **place_of("data", number),
                    "dataset_from_index": start,
                    "dataset_to_index": start + num_actions,
                    **place_of("meta/episodes", 0),
                    **statistics.as_row(stats_of(columns, features, padded=False)),
                }
            )
            start, held = start + num_actions, held + table.nbytes
            if held >= FILE_MB * 1e6:
                file.close()
                number, held, file = number + 1, 0, None
            progress.update(i + 1, dataset.num_episodes)
    finally:
        if file is not None:
            file.close()
    return rows


def _write_videos(dataset: Dataset, column: str, rows: list[dict[str, Any]], out: Path, progress: Progress) -> None:
    """Join the clips of a camera into video files, by copying packets where this program made them."""
    (key,) = (key for key, name in sensor_columns(dataset.spec).items() if name == column)

    def clips() -> Iterator[tuple[int, bytes]]:
        for i, row in enumerate(dataset.episodes):
            num_actions = row.length - 1
            if dataset.layout.ours:
                place = row.videos[column]
                yield num_actions, cut_clip(dataset.folder.path(place.file), place.start, num_actions, dataset.fps)
            else:
                images = dataset.read_episode(i).observations[key][:-1]
                yield num_actions, encode_clip(images, dataset.fps, VideoConfig())
            progress.update(i + 1, dataset.num_episodes, film=column)

    joiner, number, done = ClipJoiner(clips(), dataset.fps, VIDEO_MB * 1e6), 0, 0
    while joiner.more():
        path = out / numbered(VIDEO_PATH, number, column)
        path.parent.mkdir(parents=True, exist_ok=True)
        for first, last in joiner.write(path):
            rows[done] |= {
                **place_of(f"videos/{column}", number),
                f"videos/{column}/from_timestamp": first,
                f"videos/{column}/to_timestamp": last,
            }
            done += 1
        number += 1


def _write_meta(dataset: Dataset, features: dict[str, Feature], rows: list[dict[str, Any]], out: Path) -> None:
    path = out / numbered(EPISODES_PATH, 0)
    path.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), path)
    tasks: dict[str, int] = {}
    for row in rows:
        tasks.setdefault(row["tasks"][0], len(tasks))
    pq.write_table(tasks_table(tasks), out / TASKS)
    write_stats(out, len(rows), features)
    publish_json(out / INFO, new_info(dataset.spec, dataset.fps, features, len(rows), rows[-1]["dataset_to_index"], len(tasks)))
