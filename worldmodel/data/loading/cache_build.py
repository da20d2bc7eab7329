"""Decoding a dataset into the arrays of a cache, in this process or in several.

The several are programs of their own (`python -m worldmodel.data.loading.cache_worker`), neither forked nor spawned by
multiprocessing: a caller's script needs no `if __name__ == "__main__"`, and nothing of its memory is copied. Each is handed
ranges of episodes, writes their frames into the shared files, and ends when the builder is gone.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from worldmodel.atomic import sync
from worldmodel.data.dataset import Dataset
from worldmodel.data.format.features import LABEL, sensor_columns
from worldmodel.data.format.files import one_line, part_path, publish_json
from worldmodel.errors import DataError, unknown_name
from worldmodel.framing import Framing
from worldmodel.progress import Progress

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 1
PIECE_FRAMES = 1024
"""Frames that a worker is handed at a time, about."""
SMALL_GB = 2.0
"""Recorded pictures up to this are decoded in this process: to start others takes seconds [GB, unpacked]."""

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
        workers = num_processes or _num_workers(ds, columns)
        if workers > 1:
            _fill_by_workers(ds, columns, part, files, image_size, workers, progress)
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


def _num_workers(ds: Dataset, columns: dict[str, str]) -> int:
    pixels = sum(int(np.prod(ds.spec.sensors[name].shape)) for name in columns if name in ds.spec.sensors)
    return 1 if ds.num_frames * pixels < SMALL_GB * 1e9 else len(os.sched_getaffinity(0))


def _fill_by_workers(
    ds: Dataset,
    columns: dict[str, str],
    part: Path,
    files: dict[str, str],
    image_size: int | None,
    num_workers: int,
    progress: Progress,
) -> None:
    """Hand ranges of episodes to worker programs until all frames are written."""
    job = {"root": str(ds.root.resolve()), "fingerprint": ds.fingerprint, "columns": columns, "part": str(part.resolve())}
    text = json.dumps(job | {"files": files, "image_size": image_size})
    waiting: queue.SimpleQueue[tuple[int, int, int]] = queue.SimpleQueue()
    for piece in _pieces([row.length for row in ds.episodes]):
        waiting.put(piece)
    answers: queue.SimpleQueue[int | str | None] = queue.SimpleQueue()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "worldmodel.data.loading.cache_worker"]
    with ExitStack() as stack:
        threads = []
        for _ in range(num_workers):
            pipe = subprocess.PIPE
            worker = stack.enter_context(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment))
            stack.callback(worker.kill)
            threads.append(threading.Thread(target=_serve, args=(ds, columns, worker, text, waiting, answers), daemon=True))
        for thread in threads:
            thread.start()
        done, working = 0, num_workers
        while working:
            answer = answers.get()
            if isinstance(answer, str):
                raise DataError(answer)
            working -= answer is None
            done += answer or 0
            progress.update(done, ds.num_frames)
        for thread in threads:
            thread.join()


def _serve(
    ds: Dataset,
    columns: dict[str, str],
    worker: subprocess.Popen[str],
    job: str,
    waiting: queue.SimpleQueue,
    answers: queue.SimpleQueue,
) -> None:
    """Hand pieces to one worker; what it answers goes to the builder: frames done, an error, None at the end."""
    assert worker.stdin is not None and worker.stdout is not None
    try:
        worker.stdin.write(job + "\n")
        while True:
            try:
                first, stop, row = waiting.get_nowait()
            except queue.Empty:
                break
            _fetch(ds, columns, first, stop)
            worker.stdin.write(f"{first} {stop} {row}\n")
            worker.stdin.flush()
            answer = json.loads(worker.stdout.readline())
            answers.put(answer.get("error") or answer["done"])
        worker.stdin.close()
        answers.put(None)
    except DataError as error:
        answers.put(one_line(error))
    except (OSError, ValueError) as error:  # it was killed, or could not begin
        answers.put(f"a process that was building the cache has ended ({one_line(error)}); build it again")


def _fetch(ds: Dataset, columns: dict[str, str], first: int, stop: int) -> None:
    """See to it that the files of these episodes are on this machine, where a worker finds them."""
    stored = [ds.layout.stored[column] for column in columns.values() if column in ds.layout.stored]
    videos = [name for name, feature in stored if feature["dtype"] == "video"]
    for row in ds.episodes[first:stop]:
        for file in (row.file, *(row.videos[name].file for name in videos)):
            ds.folder.path(file)


def _pieces(lengths: list[int]) -> Iterator[tuple[int, int, int]]:
    """Ranges of episodes of some frames each: (first episode, the one after the last, first frame)."""
    first, row, frames = 0, 0, 0
    for number, length in enumerate(lengths):
        frames += length
        if frames >= PIECE_FRAMES or number == len(lengths) - 1:
            yield first, number + 1, row
            first, row, frames = number + 1, row + frames, 0


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
