"""Victims for kill -9: one process imports everything once, and forks a victim for every line that it is sent.

python nursery.py        # lines such as record|ROOT|REPORT|0 on its input, process ids on its output
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tiny_world import SPEC, make_episode

from worldmodel.data import Dataset, DatasetWriter, FrameCache, finalize, recorded_episodes
from worldmodel.data.importers import ImportMap, MappedImporter, import_into, open_source

Start = Callable[..., int]
"""Starts a victim that does what the words say, and gives its process id."""


def record(root: str, report: str, first: str, end: str = "100000") -> None:
    """Record every second episode from `first` on, and report each once it is written."""
    reported = set()
    with DatasetWriter(Path(root), SPEC, fps=2.0, writer_id=first, episodes_per_shard=2) as writer, open(report, "a") as file:
        for k in sorted(set(range(int(first), int(end), 2)) - recorded_episodes(Path(root))):
            writer.add(make_episode(k), episode_index=k)
            for k in sorted(writer.written - reported):
                reported.add(k)
                print(k, file=file, flush=True)


def record_and_finish(root: str, report: str, end: str) -> None:
    """Record all the episodes below `end`, and finish the dataset."""
    record(root, report, "0", end)
    record(root, report, "1", end)
    finalize(Path(root))


def import_all(source: str, root: str) -> None:
    """Import a dataset."""
    importer = MappedImporter(open_source(Path(source)), ImportMap(), where="without a map")
    import_into(importer, Path(root), episodes_per_shard=3)


def build_cache(root: str, directory: str) -> None:
    """Build the cache."""
    FrameCache.build(Dataset.open(root), ("pixels", "proprio"), Path(directory))


def finish(root: str) -> None:
    """Finish a dataset and build its cache."""
    finalize(Path(root))
    FrameCache.build(Dataset.open(root), ("pixels",))


JOBS = {job.__name__: job for job in (record, record_and_finish, import_all, build_cache, finish)}


@contextlib.contextmanager
def nursery() -> Iterator[Start]:
    """The process from which victims come."""
    with subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        lines_in, lines_out = process.stdin, process.stdout

        def start(*words: object) -> int:
            print(*words, sep="|", file=lines_in, flush=True)
            return int(lines_out.readline())

        yield start


def kill(pid: int) -> bool:
    """kill -9, and wait until the process is gone; whether it was there."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    wait(pid)
    return True


def wait(pid: int) -> None:
    """Wait until a process is gone."""
    with contextlib.suppress(ProcessLookupError):
        while True:
            os.kill(pid, 0)
            time.sleep(0.001)


def main() -> None:
    """Fork a victim for every line."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        name, *arguments = line.rstrip().split("|")
        pid = os.fork()
        if not pid:
            try:
                JOBS[name](*arguments)
            finally:
                os._exit(0)
        print(pid, flush=True)


if __name__ == "__main__":
    main()
