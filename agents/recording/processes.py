"""Recording in processes of this machine: each has a pipe of its own, so that a killed one can block nobody."""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
import signal
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from agents.recording.dealing import Failed, Finished, Lost, News, Played
from agents.recording.recorder import MakeEnv, RecordConfig, Recorder
from worldmodel.errors import WorldModelError


@dataclass(frozen=True)
class _Worker:
    process: SpawnProcess
    pipe: Connection


class ProcessCrew:
    """Fresh processes; a context manager that leaves none behind."""

    def __init__(self, make_env: MakeEnv, config: RecordConfig, root: Path):
        self.job = (make_env, config, root)
        self.workers: dict[int, _Worker] = {}

    def start(self, worker: int) -> None:
        """Begin a process."""
        context = multiprocessing.get_context("spawn")  # a forked GL context or thread pool would be broken
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, worker, *self.job), daemon=True)
        with _sigint_held():
            process.start()
        theirs.close()  # so that the end of the process is the end of the pipe
        self.workers[worker] = _Worker(process, ours)

    def give(self, worker: int, hand: Sequence[int]) -> None:
        """Send the hand; a process that is gone is found out by `news`."""
        with contextlib.suppress(OSError):
            self.workers[worker].pipe.send(tuple(hand))

    def news(self, seconds: float) -> list[News]:
        """What has come through the pipes."""
        numbers = {worker.pipe: number for number, worker in self.workers.items()}
        news: list[News] = []
        for pipe in wait(list(numbers), timeout=seconds):
            assert isinstance(pipe, Connection)
            news += self._receive(numbers[pipe], pipe)
        return news

    def stop(self) -> None:
        """Whatever comes through the pipe tells a playing process to leave off; None ends it after that."""
        for worker in self.workers.values():
            with contextlib.suppress(OSError):
                worker.pipe.send(None)

    def __enter__(self) -> ProcessCrew:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        for worker in self.workers.values():
            worker.process.join()
            worker.pipe.close()

    def _receive(self, number: int, pipe: Connection) -> Iterator[News]:
        try:
            while pipe.poll():
                news = pipe.recv()
                yield news
                if isinstance(news, Failed):
                    self._forget(number)
                    return
        except (EOFError, OSError, pickle.UnpicklingError):  # also in the middle of a word
            yield Lost(number, self._forget(number))

    def _forget(self, number: int) -> str:
        """Drop a process that has ended; how it did."""
        worker = self.workers.pop(number)
        worker.pipe.close()
        worker.process.join()
        code = worker.process.exitcode or 0
        return f"was killed by signal {-code}" if code < 0 else f"left with exit code {code}"


def _serve(pipe: Connection, worker: int, make_env: MakeEnv, config: RecordConfig, root: Path) -> None:
    """A process: records hands until it is sent None, or the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it hears of Ctrl-C from its parent, so that it can publish what it has
    try:
        with contextlib.suppress(EOFError, ConnectionError), Recorder(make_env, config, root, str(worker)) as recorder:
            while (hand := pipe.recv()) is not None:
                for number, num_actions in recorder.play(hand, pipe.poll):
                    pipe.send(Played(worker, number, num_actions))
                pipe.send(Finished(worker))
    except Exception as error:  # every mistake of the environment's, told to the parent as it is
        error.add_note(traceback.format_exc())
        try:
            told = pickle.loads(pickle.dumps(error))
        except Exception:  # an exception may refuse both in its own way
            told = WorldModelError(f"{type(error).__name__}: {error}")
        with contextlib.suppress(OSError):
            pipe.send(Failed(worker, told))


@contextlib.contextmanager
def _sigint_held() -> Iterator[None]:
    """A process started here never sees a Ctrl-C, not even while it imports; this one sees it afterwards."""
    if not hasattr(signal, "pthread_sigmask"):
        yield  # Windows: `_serve` ignores it a little later
        return
    resource_tracker.ensure_running()  # the first process that is started starts it, and that lets Ctrl-C through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
