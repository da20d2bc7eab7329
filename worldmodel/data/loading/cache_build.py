"""Decoding a dataset into the arrays of a cache, in this process or in several (cache_processes.py)."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from worldmodel.atomic import sync
from worldmodel.data.dataset import Dataset
from worldmodel.data.format.features import LABEL, sensor_columns
from worldmodel.data.format.files import one_line, part_path, publish_json
from worldmodel.data.loading.cache_processes import fill_by_workers, num_workers
from worldmodel.errors import DataError, unknown_name
from worldmodel.framing import Framing
from worldmodel.progress import Progress

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 1
Layout = dict[str, tuple[tuple[int, ...], np.dtype]]
"""Array of a cache -> shape and dtype."""


def columns_of(ds: Dataset, keys: tuple[str, ...]) -> dict[str, str]:
    """Array of a cache -> column of the dataset: the sensors, action, reward and labels. DataError for an unknown sensor."""
    for key in keys:
        if key not in ds.spec.sensors:
            raise DataError(unknown_name("sensor", key, ds.spec.sensors))
    columns = {key: sensor_columns(ds.spec)[key] for key in sorted(set(keys))}
    columns |= {"action": "action", "reward": "next.reward"}
    return columns | {LABEL + name: LABEL + name for name in ds.label_names}


def layout_of(ds: Dataset, columns: dict[str, str], image_size: int | None) -> Layout:
    """Shape and dtype of each array."""
    layout, sensors = {}, Framing(image_size=image_size).spec(ds.spec).sensors
    for name, column in columns.items():
        shape = sensors[name].shape if name in sensors else ds.shape_of(column)
        dtype = sensors[name].dtype if name in sensors else ds.features[column]["dtype"]
        layout[name] = ((ds.num_frames, *shape), np.dtype(dtype))
    return layout


def read_frames(ds: Dataset, columns: dict[str, str], image_size: int | None) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """All frames in order, some at a time: (place of the first, array -> (frames, ...)), pictures at their new size."""
    framing, distinct = Framing(image_size=image_size), list(dict.fromkeys(columns.values()))
    for start, values in ds.frames(distinct):
        yield start, framing.pictures({name: values[column] for name, column in columns.items()}, ds.spec)


def build_arrays(
    ds: Dataset, columns: dict[str, str], path: Path, progress: Progress, image_size: int | None, num_processes: int | None
) -> None:
    """Write the arrays into a temporary folder and rename it when all of them are on the disk."""
    layout, part = layout_of(ds, columns, image_size), part_path(path)
    entries = {
        name: {"file": f"{number}.npy", "shape": list(shape), "dtype": dtype.name}
        for number, (name, (shape, dtype)) in enumerate(layout.items())
    }
    try:
        part.mkdir(parents=True)
        for name, (shape, dtype) in layout.items():
            _allocate(part / entries[name]["file"], shape, dtype)
        files = {name: entry["file"] for name, entry in entries.items()}
        workers = num_processes or num_workers(ds, columns)
        if workers > 1:
            fill_by_workers(ds, columns, part, files, image_size, workers, progress)
        else:
            fill(ds, columns, part, files, image_size, 0, progress)
        for entry in entries.values():
            sync(part / entry["file"])  # what was written into mapped memory too, by whichever process
        publish_json(part / "index.json", _index(ds, columns, entries, image_size))
        os.rename(part, path)
        sync(path.parent)
    except OSError as error:
        raise DataError(f"cannot write the cache {path}: {one_line(error)}; free space or choose another folder") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    logger.info("built %s, %d frames", path, ds.num_frames)


def fill(
    ds: Dataset,
    columns: dict[str, str],
    part: Path,
    files: dict[str, str],
    image_size: int | None,
    first_row: int,
    progress: Progress,
) -> None:
    """Write the frames of `ds` into the arrays from `first_row` on."""
    arrays = {name: np.lib.format.open_memmap(part / file, "r+") for name, file in files.items()}
    for start, values in read_frames(ds, columns, image_size):
        rows = slice(first_row + start, first_row + start + len(values["action"]))
        for name, array in arrays.items():
            array[rows] = values[name]
        progress.update(start + len(values["action"]), ds.num_frames)


def _allocate(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """An array file with all of its space: a disk that fills up later would kill whoever writes into the mapped memory."""
    array = np.lib.format.open_memmap(path, "w+", dtype, shape)
    del array
    if size := path.stat().st_size:
        with open(path, "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, size)


def _index(ds: Dataset, columns: dict[str, str], entries: dict[str, Any], image_size: int | None) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "fingerprint": ds.fingerprint,
        "keys": [name for name in columns if name in ds.spec.sensors],
        "image_size": image_size,
        "arrays": entries,
        "episode_length": [row.length for row in ds.episodes],
        "episode_seed": [row.seed for row in ds.episodes],
    }
