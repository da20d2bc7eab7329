"""Whether a dataset is whole: checksums, missing files, rows out of place, values that do not fit, videos cut short."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from worldmodel.data.format.features import CHECKSUMS, STATS
from worldmodel.data.format.files import read_json, sha256_of
from worldmodel.data.format.video_reader import VideoReader
from worldmodel.errors import DataError
from worldmodel.progress import Progress

if TYPE_CHECKING:
    from worldmodel.data.dataset import Dataset


def verify(dataset: Dataset, progress: Progress) -> list[str]:
    """One line for each thing that is wrong with a whole dataset; nothing is changed."""
    try:
        checksums = _checksums(dataset)
    except DataError as error:
        return [str(error)]
    files = [*dataset.data_files, *dataset.video_files]
    problems = [f"{name} has no checksum" for name in files if name not in checksums] if dataset.layout.ours else []
    total = len(checksums) + len(dataset.video_files) + 1
    for done, (name, expected) in enumerate(sorted(checksums.items())):
        try:
            if sha256_of(dataset.folder.path(name)) != expected:
                problems.append(f"{name} is not what was written: its checksum differs")
        except DataError as error:
            problems.append(str(error))
        progress.update(done + 1, total)
    problems += _rows(dataset)
    for done, name in enumerate(dataset.video_files):
        problems += _video(dataset, name)
        progress.update(len(checksums) + done + 1, total)
    try:
        if set(dataset.stats) - set(dataset.features):
            problems.append(f"{STATS} describes unknown columns: {sorted(set(dataset.stats) - set(dataset.features))}")
    except DataError as error:
        problems.append(str(error))
    progress.update(total, total)
    return problems


def _checksums(dataset: Dataset) -> dict[str, str]:
    """File -> SHA-256; datasets that another program made have none."""
    return read_json(dataset.root / CHECKSUMS) if dataset.layout.ours else {}


def _rows(dataset: Dataset) -> list[str]:
    """Every number of every frame is read; pictures are left to the checksums."""
    numbers = [name for name, (_, feature) in dataset.layout.stored.items() if feature["dtype"] not in ("image", "video")]
    try:
        for start, values in dataset.frames(numbers):
            if (values["index"] != start + np.arange(len(values["index"]))).any():
                return [f"frames from {start} on have the wrong index"]
    except DataError as error:
        return [str(error)]
    return []


def _video(dataset: Dataset, name: str) -> list[str]:
    """The file opens, and has as many frames as its episodes say."""
    frames = round(dataset.video_files[name] * dataset.fps)
    try:
        path = dataset.folder.path(name)
        with VideoReader(path, (1, 1, 3), dataset.fps, str(path)) as reader:
            count = reader.count()
    except DataError as error:
        return [str(error)]
    return [] if count >= frames else [f"{name} is damaged: it has {count} frames; expected {frames}"]
