"""Labels as values of an episode that a condition may name: `last_cleared == 3`, `max_status_0 < 3`.

first_ last_ min_ max_ before a label's name; of a label of several numbers a frame, the place of the number behind it,
counted from 0 (`last_position_2_0`); without a place, min_ and max_ are over all of its numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np

from worldmodel.data.curation.passing import pass_over
from worldmodel.data.dataset import Dataset
from worldmodel.data.format.features import LABEL
from worldmodel.progress import NoProgress, Progress

_MOST = 64
"""A label of more numbers a frame is known by the least and the largest of them alone."""
_OF: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "first": lambda values: values[0],
    "last": lambda values: values[-1],
    "min": lambda values: values.min(axis=0),
    "max": lambda values: values.max(axis=0),
}


@dataclass(frozen=True)
class LabelValue:
    """One number of an episode."""

    label: str
    """Name of the label."""
    of: str
    """first, last, min or max over the frames."""
    place: tuple[int, ...] | None
    """Which number of a frame; None for the least or the largest of all."""

    def read(self, values: np.ndarray) -> bool | int | float:
        """The value in an episode, of the label's (T + 1, ...) values."""
        found = _OF[self.of](values)
        if self.place is None:
            return (found.min() if self.of == "min" else found.max()).item()
        return found[self.place].item()


def label_values(ds: Dataset) -> dict[str, LabelValue]:
    """Name in a condition -> what it stands for, of every label of the dataset."""
    known: dict[str, LabelValue] = {}
    for label in ds.label_names:
        shape, name = ds.shape_of(LABEL + label), re.sub(r"\W", "_", label)
        places = list(np.ndindex(shape)) if np.prod(shape, dtype=int) <= _MOST else []
        for of in _OF:
            for place in places:
                known["_".join(map(str, (of, name, *place)))] = LabelValue(label, of, place)
            if shape and of in ("min", "max"):
                known[f"{of}_{name}"] = LabelValue(label, of, None)
    return known


def measure_labels(
    ds: Dataset, names: Collection[str], progress: Progress | None = None
) -> list[dict[str, bool | int | float]]:
    """The values of these names in each of the dataset's episodes, by one pass over the labels that they need.

    Raises:
        DataError: the dataset is damaged.
    """
    known = label_values(ds)
    asked = {name: known[name] for name in names if name in known}
    if not asked:
        return [{} for _ in ds.episodes]
    found = []
    for place, values in pass_over(ds, {value.label: LABEL + value.label for value in asked.values()}):
        found.append({name: value.read(values[value.label]) for name, value in asked.items()})
        (progress or NoProgress()).update(place + 1, ds.num_episodes, reading="labels")
    return found
