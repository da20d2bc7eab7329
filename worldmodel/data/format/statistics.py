"""Minimum, maximum, mean, standard deviation and count of every feature, by episode and merged exactly.

Images are summarised by channel, as (3, 1, 1) values in [0, 1], which is LeRobot's convention. Large arrays, such as depth
and audio, are summarised as a whole, as one number that broadcasts against them. Rows that only pad the
last action and reward are left out, so that the statistics are those of what the robot did.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from worldmodel.data.format.features import LOSSLESS_PIXELS, PICTURES, Feature
from worldmodel.errors import DataError

Stats = dict[str, np.ndarray]
"""min, max, mean and std of the feature's shape (float64), and count (1,) int64."""

STATISTICS = ("min", "max", "mean", "std", "count")

LARGE = 512
"""Numbers a frame above which an array is summarised as a whole: statistics of each would outweigh the episode's rows."""


def shape_of(feature: Feature) -> tuple[int, ...]:
    """Shape of a feature's statistics."""
    shape = tuple(feature["shape"])
    if feature["dtype"] in PICTURES:
        return shape[-1], 1, 1
    return (1,) * len(shape) if math.prod(shape) > LARGE else shape


def of_vectors(values: np.ndarray) -> Stats:
    """Statistics over the first axis: (T, ...) -> (...); scalars (T,) -> (1,); more than LARGE numbers -> (1, ...)."""
    values = values.reshape(len(values), *(values.shape[1:] or (1,)))
    axes: int | tuple[int, ...] = tuple(range(values.ndim)) if values[0].size > LARGE else 0
    shape = (1,) * (values.ndim - 1) if axes else values.shape[1:]
    return {
        "min": values.min(axis=axes).astype(np.float64).reshape(shape),
        "max": values.max(axis=axes).astype(np.float64).reshape(shape),
        "mean": values.mean(axis=axes, dtype=np.float64).reshape(shape),
        "std": values.std(axis=axes, dtype=np.float64).reshape(shape),
        "count": np.array([len(values)]),
    }


def of_images(images: np.ndarray) -> Stats:
    """Statistics of each channel: (T, height, width, C) uint8 -> (C, 1, 1) in [0, 1]; count is T.

    Exact for small pictures; of large ones every n-th row and column is counted, as LeRobot does, or it would take longer
    than encoding them.
    """
    step = max(1, max(images.shape[1:3]) // LOSSLESS_PIXELS)
    images = images[:, ::step, ::step]
    levels = np.arange(256) / 255.0
    channels = []
    for channel in np.moveaxis(images, -1, 0):
        # 256 counts say all there is to say about a channel, and cost far less than float pixels
        weight = np.bincount(channel.ravel(), minlength=256)
        seen = np.flatnonzero(weight)
        mean = weight @ levels / weight.sum()
        std = np.sqrt(weight @ (levels - mean) ** 2 / weight.sum())
        channels.append((levels[seen[0]], levels[seen[-1]], mean, std))
    low, high, mean, std = (np.array(values).reshape(-1, 1, 1) for values in zip(*channels, strict=True))
    return {"min": low, "max": high, "mean": mean, "std": std, "count": np.array([len(images)])}


def merge(parts: Sequence[Stats] | Stats) -> Stats:
    """Statistics of the union of disjoint parts, given one by one or stacked on a first axis.

    The variance of a union is the mean of the parts' variances plus the variance of their means (Chan et al., 1979).
    """
    stacked = parts if isinstance(parts, dict) else {name: np.stack([p[name] for p in parts]) for name in STATISTICS}
    count = stacked["count"].reshape(-1)
    weight = count.reshape(-1, *(1,) * (stacked["mean"].ndim - 1)) / count.sum()
    mean = (weight * stacked["mean"]).sum(axis=0)
    variance = (weight * (stacked["std"] ** 2 + (stacked["mean"] - mean) ** 2)).sum(axis=0)
    return {
        "min": stacked["min"].min(axis=0),
        "max": stacked["max"].max(axis=0),
        "mean": mean,
        "std": np.sqrt(variance),
        "count": np.array([count.sum()]),
    }


def fields_of(stats: dict[str, Stats]) -> list[pa.Field]:
    """Columns of the episode table that hold these statistics: stats/FEATURE/STATISTIC, as nested lists."""
    fields = []
    for feature, values in stats.items():
        for name, value in values.items():
            kind: pa.DataType = pa.int64() if name == "count" else pa.float64()
            for _ in value.shape:
                kind = pa.list_(kind)
            fields.append(pa.field(f"stats/{feature}/{name}", kind))
    return fields


def as_row(stats: dict[str, Stats]) -> dict[str, list]:
    """The same as values of one row."""
    return {f"stats/{feature}/{name}": value.tolist() for feature, values in stats.items() for name, value in values.items()}


def of_rows(table: pa.Table, features: dict[str, Feature]) -> dict[str, Stats]:
    """Feature -> statistics over all the episodes of an episode table.

    Other programs keep those of each number of a large array: these stay as they are.

    Raises:
        DataError: statistics of another shape than the features'.
    """
    return {name: merge(_stacked(table, name, feature)) for name, feature in features.items()}


def _stacked(table: pa.Table, name: str, feature: Feature) -> Stats:
    shapes = [shape_of(feature)]
    if feature["dtype"] not in PICTURES:
        shapes.append(tuple(feature["shape"]))
    stacked = {}
    for statistic in STATISTICS:
        column = table.column(f"stats/{name}/{statistic}").combine_chunks()
        while pa.types.is_list(column.type) or pa.types.is_large_list(column.type) or pa.types.is_fixed_size_list(column.type):
            column = column.flatten()
        values = column.to_numpy(zero_copy_only=False)
        expected = [(1,)] if statistic == "count" else shapes
        shape = next((shape for shape in expected if len(values) == len(table) * math.prod(shape)), None)
        if shape is None or values.dtype.kind not in "biuf":
            raise DataError(f"statistics of {name!r} are damaged: expected the shape {expected[0]} an episode")
        stacked[statistic] = values.reshape(-1, *shape).astype(np.int64 if statistic == "count" else np.float64)
    return stacked
