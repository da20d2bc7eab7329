"""Decoding a dataset into the arrays of a cache by several processes at once.

They are programs of their own (`python -m worldmodel.data.loading.cache_worker`), neither forked nor spawned by
multiprocessing: a caller's script needs no `if __name__ == "__main__"`, and nothing of its memory is copied. Each is handed
ranges of episodes, writes their frames into the shared files, and ends when the builder is gone.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from worldmodel.data.dataset import Dataset
from worldmodel.data.format.files import one_line
from worldmodel.errors import DataError
from worldmodel.progress import Progress

PIECE_FRAMES = 1024
"""Frames that a worker is handed at a time, about."""
SMALL_GB = 2.0
"""Recorded pictures up to this are decoded in this process: to start others takes seconds [GB, unpacked]."""


def num_workers(ds: Dataset, columns: dict[str, str]) -> int:
    """How many processes are worth their start: one for each CPU, or this one alone where there is little to decode."""
    pixels = sum(int(np.prod(ds.spec.sensors[name].shape)) for name in columns if name in ds.spec.sensors)
    return 1 if ds.num_frames * pixels < SMALL_GB * 1e9 else len(os.sched_getaffinity(0))


def fill_by_workers(
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
            said = worker.stdout.readline()
            if not said:
                raise ChildProcessError(f"exit code {worker.wait()}")
            answer = json.loads(said)
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
