"""Whether a dataset is whole: checksums, missing files, rows out of place, values that do not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from worldmodel.data.features import CHECKSUMS, STATS
from worldmodel.data.files import inside, read_json, sha256_of
from worldmodel.errors import DataError
from worldmodel.progress import Progress

if TYPE_CHECKING:
    from worldmodel.data.dataset import Dataset


def verify(dataset: Dataset, progress: Progress) -> list[str]:
    """One line for each thing that is wrong with a whole dataset; nothing is changed."""
    problems = []
    try:
        checksums = read_json(dataset.root / CHECKSUMS)
        problems += [f"{name} has no checksum" for name in dataset.data_files if name not in checksums]
    except DataError as error:
        return [str(error)]
    for done, (name, expected) in enumerate(sorted(checksums.items())):
        try:
            if sha256_of(inside(dataset.root, name)) != expected:
                problems.append(f"{name} is not what was written: its checksum differs")
        except DataError as error:
            problems.append(str(error))
        progress.update(done + 1, len(checksums) + 1)
    small = [name for name, feature in dataset.features.items() if feature["dtype"] != "image"]
    try:
        for start, values in dataset.frames(small):
            if (values["index"] != start + np.arange(len(values["index"]))).any():
                problems.append(f"frames from {start} on have the wrong index")
    except DataError as error:
        problems.append(str(error))
    if set(dataset.stats) - set(dataset.features):
        problems.append(f"{STATS} describes unknown columns: {sorted(set(dataset.stats) - set(dataset.features))}")
    progress.update(len(checksums) + 1, len(checksums) + 1)
    return problems
