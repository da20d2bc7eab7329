"""Means and standard deviations of vectors: from the dataset into the manifest, and from there into the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class MeanStd:
    """Of each element of a vector, over the frames of the episodes that are trained on."""

    mean: tuple[float, ...]
    """In the vector's units."""
    std: tuple[float, ...]
    """In the vector's units; 0 for an element that never changed."""


def normalisation_of(stats: Mapping[str, Mapping[str, np.ndarray]], columns: Mapping[str, str]) -> dict[str, MeanStd]:
    """Name -> mean and standard deviation, of those named columns of which a dataset keeps statistics."""
    return {
        name: MeanStd(*(tuple(float(x) for x in np.ravel(stats[column][key])) for key in ("mean", "std")))
        for name, column in columns.items()
        if column in stats
    }
