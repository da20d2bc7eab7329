"""Frames of a dataset as memory-mapped arrays: what training reads.

A cache is a folder of one .npy file a key plus index.json. It is derived and can be deleted at any time. Its name holds
the dataset's fingerprint, the sensors and the size of their pictures, so that whatever differs gets a cache of its own.
"""

from __future__ import annotations

import copy
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from worldmodel.data.dataset import Dataset
from worldmodel.data.format.features import LABEL
from worldmodel.data.format.files import PART, one_line, read_json
from worldmodel.data.format.locks import lock
from worldmodel.data.loading.cache_build import SCHEMA_VERSION, build_arrays, columns_of, layout_of
from worldmodel.data.loading.cache_wait import Telling, Waiting
from worldmodel.errors import DataError
from worldmodel.framing import Framing
from worldmodel.progress import NoProgress, Progress
from worldmodel.types import WorldSpec

PLACE = "WORLDMODEL_CACHE"
"""Environment variable that names the folder of caches, where nobody else does."""


class FrameCache:
    """Arrays of all frames of a dataset, episode after episode, read straight from the disk's page cache.

    Attributes:
        path: folder of the cache.
        root: folder of the dataset.
        spec: the world that was recorded, with its pictures at the size that they have here.
        fingerprint: of the dataset.
        keys: the sensors that it holds.
        arrays: name -> (frames, ...): each sensor by its key, `action` and `reward` (what followed the frame; zeros in
            an episode's last), and `label.NAME` for every label. Read-only. A selection has those of the whole dataset.
        episode_start: (E,) int64, index of each episode's first frame.
        episode_length: (E,) int64, its number of frames.
        episode_seed: (E,) int64.
    """

    def __init__(self, path: Path, index: dict[str, Any], arrays: dict[str, np.ndarray], spec: WorldSpec, root: Path):
        self.path, self.root = path, root
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

    def select(self, indices: np.ndarray) -> FrameCache:
        """The same arrays with these episodes only, (E,), in this order; nothing is copied."""
        chosen = copy.copy(self)
        for name in ("episode_start", "episode_length", "episode_seed"):
            setattr(chosen, name, getattr(self, name)[indices])
        return chosen

    @classmethod
    def build(
        cls,
        ds: Dataset,
        keys: tuple[str, ...],
        directory: Path | None = None,
        progress: Progress | None = None,
        *,
        image_size: int | None = None,
        num_processes: int | None = None,
    ) -> FrameCache:
        """The cache of these sensors, built unless it is there already; a selection takes its part of the whole's.

        Args:
            ds: the dataset.
            keys: sensors to hold; actions, rewards and labels are always held.
            directory: where caches are kept; None is $WORLDMODEL_CACHE, or else DATASET/cache.
            progress: told the number of frames done.
            image_size: height and width of the pictures [px], averaged by area; None keeps them as recorded.
            num_processes: how many decode at once; None is one for each CPU where there is enough to decode.

        Raises:
            DataError: an unknown key, a damaged dataset, a damaged or stale cache, or a full disk.
            ConfigError: pictures are smaller than `image_size`.
        """
        whole = ds.whole
        columns = columns_of(whole, keys)
        Framing(image_size=image_size).spec(whole.spec)  # too large a size is told before anything is written
        directory = cache_directory(whole, directory)
        path = directory / _name(whole, keys, image_size)
        if not path.exists():  # one that is there is whole, and its folder need not be one that can be written
            held, progress = directory / f".{path.name}.lock", progress or NoProgress()
            busy = f"{path} is still being built by another process; try again when it has finished"
            with lock(held, exclusive=True, wait=24 * 3600.0, busy=busy, waiting=Waiting(progress, held)):
                if not path.exists():
                    for leftover in directory.glob(f".{path.name}.*{PART}"):  # of a killed builder: we hold the lock
                        shutil.rmtree(leftover)
                    build_arrays(whole, columns, path, Telling(progress, held), image_size, num_processes)
        return cls.open(path, ds)

    @classmethod
    def open(cls, path: Path, ds: Dataset) -> FrameCache:
        """Open the cache at `path` of this dataset.

        Raises:
            DataError: there is none, it is damaged, or it was made of another dataset or of an older state of it.
        """
        index, whole = read_json(Path(path) / "index.json"), ds.whole
        if index.get("schema_version") != SCHEMA_VERSION or index.get("fingerprint") != whole.fingerprint:
            raise DataError(f"{path} is stale: it was not made of {ds.root} as it is now; delete it and build it again")
        arrays = {}
        try:
            for name, entry in index["arrays"].items():
                array = np.lib.format.open_memmap(Path(path) / entry["file"], "r")
                if list(array.shape) != entry["shape"] or array.dtype.name != entry["dtype"] or len(array) != whole.num_frames:
                    raise DataError(f"{path} is damaged: {name} is {array.dtype} {array.shape}; delete it and build it again")
                arrays[name] = array
            cache = cls(Path(path), index, arrays, Framing(image_size=index.get("image_size")).spec(ds.spec), ds.root)
        except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{path} is damaged: {one_line(error)}; delete it and build it again") from error
        return cache if ds is whole else cache.select(ds.indices)


def cache_directory(ds: Dataset, directory: Path | None = None) -> Path:
    """Where caches of a dataset are kept: the given folder, $WORLDMODEL_CACHE, or DATASET/cache."""
    if directory is not None:
        return Path(directory).expanduser()
    named = os.environ.get(PLACE)
    return Path(named).expanduser() if named else ds.root / "cache"


def cache_bytes(ds: Dataset, keys: tuple[str, ...], image_size: int | None = None) -> int:
    """How large the cache of these sensors is, built or not [bytes]; a view's is that of the whole dataset."""
    layout = layout_of(ds.whole, columns_of(ds.whole, keys), image_size)
    return sum(int(np.prod(shape)) * dtype.itemsize for shape, dtype in layout.values())


def cache_exists(ds: Dataset, keys: tuple[str, ...], image_size: int | None = None, directory: Path | None = None) -> bool:
    """Whether the cache of these sensors is built already."""
    return (cache_directory(ds.whole, directory) / _name(ds.whole, keys, image_size) / "index.json").exists()


def _name(ds: Dataset, keys: tuple[str, ...], image_size: int | None) -> str:
    size = () if image_size is None else (f"{image_size}px",)
    return "-".join((ds.fingerprint[:16], *sorted(set(keys)), *size))
