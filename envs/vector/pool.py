"""Worker processes that can be asked, waited for, and replaced when they die or hang."""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from envs.vector.cores import homes, present_core
from envs.vector.worker import Share, serve

START_PATIENCE = 120.0
"""Longest wait for a worker to build its environments [s]."""


class WorkerLost(RuntimeError):
    """A worker has died, or was ended because it did not answer in time; the message says which."""


@dataclass
class _Worker:
    process: SpawnProcess
    pipe: Connection
    home: int | None
    """The core where it waits."""
    asked: int = 0
    """Number of the last question; answers to older ones, which nobody waited for, are dropped."""


class Pool:
    """One process a share of the simulations."""

    def __init__(self, shares: Sequence[Share], patience: float) -> None:
        self.shares, self.patience = shares, patience
        self._workers: list[_Worker] = []
        try:
            # all of them begin, then all are waited for
            self._workers = [_start(share, home) for share, home in zip(shares, homes(len(shares)), strict=True)]
            for worker in self._workers:
                _answer(worker, START_PATIENCE)
        except BaseException:
            self.close()
            raise

    def ask(self, method: str, arguments: Mapping[int, tuple[Any, ...]]) -> dict[int, Any]:
        """Call a method of `Simulations` in several workers at once: worker -> result, or WorkerLost.

        A lost worker is replaced before this returns. An exception that a worker raised is raised here, when all have answered.
        """
        results: dict[int, Any] = {}
        here = present_core()
        for number in sorted(arguments, key=lambda number: self._workers[number].home == here):  # cores.py says why
            worker = self._workers[number]
            worker.asked += 1
            with contextlib.suppress(OSError):  # a process that is gone is found out below
                worker.pipe.send((worker.asked, method, arguments[number]))
        problem: Exception | None = None
        for number in arguments:
            try:
                results[number] = _answer(self._workers[number], self.patience)
            except WorkerLost as lost:
                results[number] = lost
            except Exception as error:  # the environment's own
                problem = error
        for number, result in results.items():
            if isinstance(result, WorkerLost):
                self._workers[number] = _start(self.shares[number], self._workers[number].home)
                _answer(self._workers[number], START_PATIENCE)
        if problem is not None:
            raise problem
        return results

    def close(self) -> None:
        """End every process: asked first, killed when it does not go."""
        for worker in self._workers:
            with contextlib.suppress(OSError):
                worker.pipe.send(None)
        for worker in self._workers:
            worker.process.join(self.patience)
            _end(worker)
        self._workers = []


def _start(share: Share, home: int | None) -> _Worker:
    context = multiprocessing.get_context("spawn")  # a forked GL context or thread pool would be broken
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, share, home), daemon=True)
    with _sigint_held():
        process.start()
    theirs.close()  # so that the end of the process is the end of the pipe
    return _Worker(process, ours, home)


def _answer(worker: _Worker, patience: float) -> Any:
    """The worker's answer to the last question; raises what it raised, or WorkerLost."""
    until = time.monotonic() + patience
    try:
        while worker.pipe.poll(max(until - time.monotonic(), 0)):
            number, well, result = worker.pipe.recv()
            if number != worker.asked:
                continue
            if well:
                return result
            raise result
    except (EOFError, OSError, pickle.UnpicklingError):  # also in the middle of a word
        return _lost(worker)
    return _lost(worker, f"gave no answer in {patience:g} s")


def _lost(worker: _Worker, why: str | None = None) -> None:
    _end(worker, wait=1.0 if why is None else 0.0)
    code = worker.process.exitcode or 0
    raise WorkerLost(why or (f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"))


def _end(worker: _Worker, wait: float = 0.0) -> None:
    worker.process.join(wait)
    if worker.process.is_alive():
        worker.process.kill()
        worker.process.join()
    worker.pipe.close()


@contextlib.contextmanager
def _sigint_held() -> Iterator[None]:
    """A process started here never sees a Ctrl-C, not even while it imports; this one sees it afterwards."""
    if not hasattr(signal, "pthread_sigmask"):
        yield  # Windows: `serve` ignores it a little later
        return
    resource_tracker.ensure_running()  # the first process that is started starts it, and that lets Ctrl-C through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
