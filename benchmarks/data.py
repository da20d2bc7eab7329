"""Windows a second, by one process, from the cache; beside HDF5 and Lance with the same frames, and the rate of the memory.

    python benchmarks/data.py [--episodes 2000] [--seconds 3] [--json benchmarks/results/data.json]

A window is 4 consecutive frames, drawn at random without regard for where it lies: 128 at a time, which is how our training
asks, and one at a time, which is how a torch DataLoader asks a map-style dataset. Every store holds the same unpacked frames,
and everything is read once before the clock starts, so all of them come out of the page cache; ours also brings the actions.
 HDF5 and Lance are tried in several layouts, and the best one counts. The limit is what copying
alone costs: the bytes of a window over the rate at which memory is copied from one place to another.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from worldmodel.data import Dataset, DatasetWriter, FrameCache, StreamedWindows, Windows, finalize
from worldmodel.types import ActionSpec, Episode, SensorSpec, WorldSpec

FRAMES, BATCH, LENGTH = 4, 128, 9
"""Frames in a window, windows in a batch, frames in an episode."""
ASKED = {"batches": BATCH, "one_at_a_time": 1}
"""Windows that are asked for at a time."""
REPEATS = 3
"""The median of so many measurements is given, with the lowest and the highest."""
VIDEO_SHARE = 10
"""Episodes at 224 px are so many times fewer: a frame there has 12 times the bytes."""

Read = Callable[[np.ndarray], Any]
"""Gives the frames that begin at these places, (B,) -> (B, 4, height, width, 3)."""


def world(size: int) -> WorldSpec:
    """A camera of this size [px], and actions of four numbers."""
    return WorldSpec(
        env_id="benchmarks/Discs-v0",
        env_kwargs={},
        sensors={"pixels": SensorSpec((size, size, 3), "uint8", "image", camera="overhead")},
        action=ActionSpec(("a", "b", "c", "d"), (-1.0,) * 4, (1.0,) * 4),
        control_mode="sweep",
        robot="none",
    )


def episode(seed: int, size: int) -> Episode:
    """Coloured discs that move over a shaded table: as easy and as hard to pack as pictures of a simulator."""
    rng = np.random.default_rng(seed)
    down, right = np.mgrid[0:size, 0:size] / size
    table = np.stack([140 + 40 * down, 130 + 30 * right, 120 + 20 * down * right], axis=-1)
    place, speed = rng.uniform(0.1, 0.9, (5, 2)), rng.normal(0, 0.03, (5, 2))
    colour, radius = rng.integers(0, 256, (5, 3)), rng.uniform(0.04, 0.09, 5)
    frames = np.empty((LENGTH, size, size, 3), np.uint8)
    for t in range(LENGTH):
        image = table.copy()
        for k in range(5):
            x, y = place[k] + t * speed[k]
            image[(right - x) ** 2 + (down - y) ** 2 < radius[k] ** 2] = colour[k]
        frames[t] = image
    return Episode(
        observations={"pixels": frames},
        actions=rng.uniform(-1, 1, (LENGTH - 1, 4)).astype(np.float32),
        rewards=np.zeros(LENGTH - 1, np.float32),
        terminated=True,
        truncated=False,
        success=True,
        seed=seed,
        instruction="move the discs",
    )


def rate(read: Read, starts: np.ndarray, seconds: float, batch: int) -> dict[str, float]:
    """Windows a second, asked for `batch` at a time: the median of some measurements of `seconds` each."""
    rng, rates = np.random.default_rng(0), []
    read(starts[rng.integers(len(starts), size=BATCH)])
    for _ in range(REPEATS):
        done, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds:
            read(starts[rng.integers(len(starts), size=batch)])
            done += batch
        rates.append(done / (time.perf_counter() - began))
    return {"windows_per_s": statistics.median(rates), "lowest": min(rates), "highest": max(rates)}


def memory_rate(num_bytes: int = 2**28) -> float:
    """Bytes a second that one thread copies between two large arrays; the best of five, as nothing can be faster."""
    source, target = np.ones(num_bytes, np.uint8), np.empty(num_bytes, np.uint8)
    times = []
    for _ in range(5):
        began = time.perf_counter()
        np.copyto(target, source)
        times.append(time.perf_counter() - began)
    return num_bytes / min(times)


@contextmanager
def hdf5_readers(frames: np.ndarray, folder: Path) -> Iterator[dict[str, Read]]:
    """h5py, unpacked: a chunk a frame, a chunk of 16 frames, and one piece; each window is read straight into its place."""
    import h5py

    layouts = {"a chunk a frame": (1, *frames.shape[1:]), "a chunk of 16 frames": (16, *frames.shape[1:]), "contiguous": None}
    readers, files = {}, []
    for number, (name, chunks) in enumerate(layouts.items()):
        path = folder / f"{number}.h5"
        with h5py.File(path, "w", libver="latest") as file:
            stored = file.create_dataset("frames", frames.shape, "uint8", chunks=chunks)
            for start in range(0, len(frames), 1024):
                stored[start : start + 1024] = frames[start : start + 1024]
        # a cache for chunks that holds a batch: the default of 1 MB would read a chunk of 16 frames anew for each window
        files.append(h5py.File(path, "r", rdcc_nbytes=2**28, rdcc_nslots=100_003))
        readers[name] = _hdf5_reader(files[-1]["frames"], frames.shape[1:])
    try:
        yield readers
    finally:
        for file in files:
            file.close()


def _hdf5_reader(stored: Any, shape: tuple[int, ...]) -> Read:
    def read(starts: np.ndarray) -> np.ndarray:
        out = np.empty((len(starts), FRAMES, *shape), np.uint8)
        for place in np.argsort(starts):  # neighbours in the file follow each other
            first = int(starts[place])
            stored.read_direct(out, np.s_[first : first + FRAMES], np.s_[place])
        return out

    return read


@contextmanager
def lance_readers(frames: np.ndarray, folder: Path) -> Iterator[dict[str, Read]]:
    """Lance, a row a frame: fixed-size lists of bytes, and binary values; a batch is one `take` of its rows, each once."""
    import lance  # pyright: ignore[reportMissingImports]  (the extra `bench`)

    size = int(np.prod(frames.shape[1:]))
    kinds = {"fixed-size lists": pa.list_(pa.uint8(), size), "binary": pa.binary(size)}
    readers = {}
    for number, (name, kind) in enumerate(kinds.items()):
        schema = pa.schema([pa.field("frame", kind)])

        def batches(kind: pa.DataType = kind, schema: pa.Schema = schema) -> Iterator[pa.RecordBatch]:
            for start in range(0, len(frames), 1024):
                part = frames[start : start + 1024]
                yield pa.record_batch([_arrow(part, kind)], schema=schema)

        path = str(folder / f"{number}.lance")
        lance.write_dataset(pa.RecordBatchReader.from_batches(schema, batches()), path)
        readers[name] = _lance_reader(lance.dataset(path), frames.shape[1:])
    yield readers


def _arrow(frames: np.ndarray, kind: pa.DataType) -> pa.Array:
    flat = np.ascontiguousarray(frames).reshape(-1)
    if pa.types.is_fixed_size_list(kind):
        return pa.FixedSizeListArray.from_arrays(pa.array(flat), type=kind)
    return pa.Array.from_buffers(kind, len(frames), [None, pa.py_buffer(flat)])


def _lance_reader(stored: Any, shape: tuple[int, ...]) -> Read:
    size = int(np.prod(shape))

    def read(starts: np.ndarray) -> np.ndarray:
        rows, place = np.unique(starts[:, None] + np.arange(FRAMES), return_inverse=True)
        column = stored.take(rows.tolist(), columns=["frame"]).column("frame").combine_chunks()
        if isinstance(column, pa.FixedSizeListArray):
            values = column.flatten().to_numpy()
        else:
            first = column.offset * size
            values = np.frombuffer(column.buffers()[1], np.uint8)[first : first + len(rows) * size]
        return values.reshape(len(rows), *shape)[place.reshape(len(starts), FRAMES)]

    return read


def streamed(dataset: Dataset) -> dict[str, float]:
    """An epoch from the shards, through a buffer of a quarter of the windows or of 8 batches; two threads decode."""
    num_windows = dataset.num_frames - (FRAMES - 1) * dataset.num_episodes
    windows = StreamedWindows(dataset, ("pixels",), FRAMES, split="all", buffer_windows=max(num_windows // 4, 8 * BATCH))
    try:
        order, began = windows.order(0, 0), time.perf_counter()
        batches = [order[i : i + BATCH] for i in range(0, len(order), BATCH)]
        for number, batch in enumerate(batches):
            if number + 1 < len(batches):
                windows.prepare(batches[number + 1])
            windows.batch(batch)
        seconds = time.perf_counter() - began
    finally:
        windows.close()
    return {"windows_per_s": len(order) / seconds, "reads_per_episode": windows.num_reads / dataset.num_episodes}


def measure(size: int, num_episodes: int, seconds: float, folder: Path, memory: float) -> dict[str, Any]:
    """Every store at one picture size [px]."""
    root = folder / "data"
    with DatasetWriter(root, world(size), fps=1.0) as writer:
        for k in range(num_episodes):
            writer.add(episode(k, size), episode_index=k)
    finalize(root)
    dataset = Dataset.open(root)
    cache = FrameCache.build(dataset, ("pixels",))
    windows = Windows(cache, FRAMES, split="all")
    frames, starts = cache.arrays["pixels"], windows.start

    numbers = np.arange(windows.num_windows)
    asked: dict[str, dict[str, Any]] = {
        name: {"cache": rate(lambda indices: windows.batch(indices), numbers, seconds, batch)} for name, batch in ASKED.items()
    }
    expected = windows.batch(numbers[:BATCH]).observations["pixels"].numpy()
    for store, readers in (("hdf5", hdf5_readers), ("lance", lance_readers)):
        (folder / store).mkdir()
        with readers(frames, folder / store) as layouts:
            for read in layouts.values():
                np.testing.assert_array_equal(read(starts[:BATCH]), expected)  # the same frames
            for name, batch in ASKED.items():
                rates = {layout: rate(read, starts, seconds, batch) for layout, read in layouts.items()}
                best = max(rates, key=lambda layout: rates[layout]["windows_per_s"])
                asked[name][store] = {"best": best, "windows_per_s": rates[best]["windows_per_s"], "layouts": rates}
        shutil.rmtree(folder / store)
    window_bytes = FRAMES * size * size * 3
    limit = memory / window_bytes
    return {
        "episodes": num_episodes,
        "frames": len(frames),
        "windows": windows.num_windows,
        "gigabytes": frames.nbytes / 1e9,
        "stored_as": dataset.features["observation.images.overhead"]["dtype"],
        **{name: rates | _ratios(rates, limit) for name, rates in asked.items()},
        "stream": streamed(dataset),
        "limit_windows_per_s": limit,
    }


def _ratios(rates: dict[str, Any], limit: float) -> dict[str, float]:
    """How ours compares with the better of the others, and with the memory."""
    ours = rates["cache"]["windows_per_s"]
    better = max(rates[store]["windows_per_s"] for store in ("hdf5", "lance"))
    return {"times_the_better": ours / better, "share_of_limit": ours / limit}


def main() -> None:
    """Measure both sizes, print, and keep the numbers with the hardware's name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    memory = memory_rate()
    sizes = {}
    for size, episodes in ((64, arguments.episodes), (224, max(arguments.episodes // VIDEO_SHARE, BATCH))):
        with tempfile.TemporaryDirectory() as folder:
            sizes[f"{size} px"] = measure(size, episodes, arguments.seconds, Path(folder), memory)
    packages = ("torch", "numpy", "pyarrow", "h5py", "pylance", "av")
    about = {
        "processor": _processor(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_gb_per_s": memory / 1e9,
        "versions": {name: version(name) for name in packages},
        "frames_a_window": FRAMES,
        "windows_a_batch": BATCH,
        "repeats": REPEATS,
        "seconds_each": arguments.seconds,
    }
    text = json.dumps({"hardware": about, "sizes": sizes}, indent=2)
    print(text)
    if arguments.json is not None:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(text + "\n", encoding="utf-8")


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
