"""What is in a dataset, as plain values."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np

from worldmodel.data.format.episodes_table import merged_stats
from worldmodel.data.format.features import BOOKKEEPING, STATS
from worldmodel.data.format.files import one_line, read_json
from worldmodel.data.format.foreign_episodes import foreign_stats
from worldmodel.data.format.statistics import Stats
from worldmodel.errors import DataError

if TYPE_CHECKING:
    from worldmodel.data.dataset import Dataset


def summary(dataset: Dataset) -> dict[str, Any]:
    """Counts, world, tasks, sensors and sizes: for the card and for whoever inspects it."""
    steps = dataset.num_frames - dataset.num_episodes
    return {
        "env_id": dataset.spec.env_id,
        "robot": dataset.spec.robot,
        "control_mode": dataset.spec.control_mode,
        "renderer": dataset.spec.renderer,
        "fps": dataset.fps,
        "episodes": dataset.num_episodes,
        "frames": dataset.num_frames,
        "actions": steps,
        "hours": steps / dataset.fps / 3600,
        "success_share": sum(row.success for row in dataset.episodes) / dataset.num_episodes,
        "tasks": sorted({row.instruction for row in dataset.episodes}),
        "sensors": {key: f"{sensor.dtype} {list(sensor.shape)}" for key, sensor in dataset.spec.sensors.items()},
        "labels": list(dataset.label_names),
        "bytes": sum(dataset.folder.size(name) for name in (*dataset.data_files, *dataset.video_files)),
        "fingerprint": dataset.fingerprint,
    }


def stats_of(dataset: Dataset, columns: Collection[str] | None = None) -> dict[str, Stats]:
    """Column -> statistics of the episodes that are selected: from meta/stats.json, or from the rows where only some are.

    All columns of which there are any unless told which; no frame is read.

    Raises:
        DataError: they are damaged.
    """
    chosen = None if dataset is dataset.whole else dataset.indices
    wanted = dataset.features if columns is None else {name: dataset.features[name] for name in columns}
    if not dataset.layout.ours:
        stored = {name: dataset.layout.stored[name][0] for name in wanted if name in dataset.layout.stored}
        names = {place: column for column, place in stored.items() if column not in BOOKKEEPING}
        found = foreign_stats(dataset.root, dataset.info, list(names), chosen)
        return {names[place]: stats for place, stats in found.items()}
    if chosen is not None:
        return merged_stats(dataset.root, dataset.whole.num_episodes, wanted, chosen)
    values = read_json(dataset.root / STATS)
    try:
        return {
            name: {key: np.array(value) for key, value in stats.items()}
            for name, stats in values.items()
            if columns is None or name in columns
        }
    except (AttributeError, ValueError, TypeError) as error:
        raise DataError(f"{dataset.root / STATS} is damaged: {one_line(error)}") from error
