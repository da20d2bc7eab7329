"""Frames of a dataset as memory-mapped arrays: what training reads.

A cache is a folder of one .npy file a key plus index.json. It is derived and can be deleted at any time. Its name holds
the dataset's fingerprint, so that a changed dataset gets a new one.
"""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from worldmodel.atomic import sync
from worldmodel.data.dataset import Dataset
from worldmodel.data.features import LABEL, sensor_columns
from worldmodel.data.files import PART, lock, one_line, part_path, publish_json, read_json
from worldmodel.errors import DataError, unknown_name
from worldmodel.progress import NoProgress, Progress
from worldmodel.types import WorldSpec

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 1


class FrameCache:
    """Arrays of all frames of a dataset, episode after episode, read straight from the disk's page cache.

    Attributes:
        path: folder of the cache.
        spec: the world that was recorded.
        fingerprint: of the dataset.
        keys: the sensors that it holds.
        arrays: name -> (frames, ...): each sensor by its key, `action` and `reward` (what followed the frame; zeros in
            an episode's last), and `label.NAME` for every label. Read-only.
        episode_start: (E,) int64, index of each episode's first frame.
        episode_length: (E,) int64, its number of frames.
        episode_seed: (E,) int64.
    """

    def __init__(self, path: Path, index: dict[str, Any], arrays: dict[str, np.ndarray], spec: WorldSpec):
        self.path = path
        self.spec = spec
        self.arrays = arrays
        self.fingerprint: str = index["fingerprint"]
        self.keys: tuple[str, ...] = tuple(index["keys"])
        self.episode_length = np.array(index["episode_length"], np.int64)
        self.episode_start = np.concatenate([[0], np.cumsum(self.episode_length)[:-1]]).astype(np.int64)
        self.episode_seed = np.array(index["episode_seed"], np.int64)

    @property
    def num_frames(self) -> int:
        """Number of frames."""
        return int(self.episode_length.sum())

    @property
    def num_episodes(self) -> int:
        """Number of episodes."""
        return len(self.episode_length)

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the labels."""
        return tuple(name.removeprefix(LABEL) for name in self.arrays if name.startswith(LABEL))

    @classmethod
    def build(
        cls, ds: Dataset, keys: tuple[str, ...], directory: Path | None = None, progress: Progress | None = None
    ) -> FrameCache:
        """The cache of these sensors, built unless it is there already.

        Args:
            ds: the dataset.
            keys: sensors to hold; actions, rewards and labels are always held.
            directory: where caches are kept; None is DATASET/cache.
            progress: told the number of frames done.

        Raises:
            DataError: an unknown key, a damaged dataset, a damaged or stale cache, or a full disk.
        """
        for key in keys:
            if key not in ds.spec.sensors:
                raise DataError(unknown_name("sensor", key, ds.spec.sensors))
        keys = tuple(sorted(set(keys)))
        directory = Path(directory) if directory is not None else ds.root / "cache"
        path = directory / "-".join((ds.fingerprint[:16], *keys))
        busy = f"{path} is still being built by another process; try again when it has finished"
        with lock(directory / f".{path.name}.lock", exclusive=True, wait=3600.0, busy=busy):
            if not path.exists():
                for leftover in directory.glob(f".{path.name}.*{PART}"):  # of a killed builder: we hold the lock
                    shutil.rmtree(leftover)
                _build(ds, keys, path, progress or NoProgress())
        return cls.open(path, ds)

    @classmethod
    def open(cls, path: Path, ds: Dataset) -> FrameCache:
        """Open the cache at `path` of this dataset.

        Raises:
            DataError: there is none, it is damaged, or it was made of another dataset or of an older state of it.
        """
        index = read_json(Path(path) / "index.json")
        if index.get("schema_version") != SCHEMA_VERSION or index.get("fingerprint") != ds.fingerprint:
            raise DataError(f"{path} is stale: it was not made of {ds.root} as it is now; delete it and build it again")
        arrays = {}
        try:
            for name, entry in index["arrays"].items():
                array = np.lib.format.open_memmap(Path(path) / entry["file"], "r")
                if list(array.shape) != entry["shape"] or array.dtype.name != entry["dtype"] or len(array) != ds.num_frames:
                    raise DataError(f"{path} is damaged: {name} is {array.dtype} {array.shape}; delete it and build it again")
                arrays[name] = array
            return cls(Path(path), index, arrays, ds.spec)
        except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{path} is damaged: {one_line(error)}; delete it and build it again") from error


def _build(ds: Dataset, keys: tuple[str, ...], path: Path, progress: Progress) -> None:
    """Write the arrays into a temporary folder and rename it when all of them are on the disk."""
    columns = {key: sensor_columns(ds.spec)[key] for key in keys}
    columns |= {"action": "action", "reward": "next.reward"}
    columns |= {LABEL + name: LABEL + name for name in ds.label_names}
    part = part_path(path)
    try:
        part.mkdir(parents=True)
        arrays, entries = {}, {}
        for number, (name, column) in enumerate(columns.items()):
            shape, feature = (ds.num_frames, *ds.shape_of(column)), ds.features[column]
            dtype = "uint8" if feature["dtype"] == "image" else feature["dtype"]
            entries[name] = {"file": f"{number}.npy", "shape": list(shape), "dtype": dtype}
            arrays[name] = np.lib.format.open_memmap(part / f"{number}.npy", "w+", np.dtype(dtype), shape)
        for start, values in ds.frames(list(columns.values())):
            for name, column in columns.items():
                arrays[name][start : start + len(values[column])] = values[column]
            progress.update(start + len(values["action"]), ds.num_frames)
        for name, array in arrays.items():
            array.flush()
            sync(part / entries[name]["file"])
        publish_json(part / "index.json", _index(ds, keys, entries))
        os.rename(part, path)
        sync(path.parent)
    except OSError as error:
        raise DataError(f"cannot write the cache {path}: {one_line(error)}; free space or choose another folder") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    logger.info("built %s, %d frames", path, ds.num_frames)


def _index(ds: Dataset, keys: tuple[str, ...], entries: dict[str, Any]) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "fingerprint": ds.fingerprint,
        "keys": list(keys),
        "arrays": entries,
        "episode_length": [row.length for row in ds.episodes],
        "episode_seed": [row.seed for row in ds.episodes],
    }
