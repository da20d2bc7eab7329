"""Statistics of the episodes of one split: what a model scales its vectors by may know nothing of validation episodes."""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np

from worldmodel.data.dataset import Dataset
from worldmodel.data.format.statistics import Stats, merge, of_vectors
from worldmodel.data.loading.index import Split, in_split
from worldmodel.data.summary import stats_of


def split_stats(dataset: Dataset, columns: Collection[str], split: Split, val_fraction: float) -> dict[str, Stats]:
    """Column -> statistics over the episodes of a split; of columns of numbers, and none where the split has no episode.

    The episodes' own statistics are merged; those of a large array, which are of all its numbers, stand for each of them. A
    column of which another program has kept none is read; no other frame is.

    Raises:
        DataError: statistics, or the column's files, are missing or damaged.
    """
    inside = in_split((row.seed for row in dataset.episodes), split, val_fraction)
    if not inside.any():
        return {}
    chosen = dataset if inside.all() else dataset.select(np.flatnonzero(inside))
    found = stats_of(chosen, columns)
    unknown = [name for name in columns if name not in found and name in dataset.layout.stored]
    if unknown:
        parts = [{name: of_vectors(values[name]) for name in unknown} for _, values in chosen.frames(unknown)]
        found |= {name: merge([part[name] for part in parts]) for name in unknown}
    return {name: _of_each_number(stats, dataset.shape_of(name)) for name, stats in found.items()}


def _of_each_number(stats: Stats, shape: tuple[int, ...]) -> Stats:
    """The same for each number of a large array, which is summarised as a whole."""
    if stats["mean"].size == math.prod(shape):
        return stats
    return {name: value if name == "count" else np.broadcast_to(value, shape) for name, value in stats.items()}
