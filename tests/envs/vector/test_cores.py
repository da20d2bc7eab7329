"""Workers wait on a core each, work wherever there is room, and are asked in an order in which none keeps another waiting."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from envs.vector import pool as pool_module
from envs.vector.cores import homes, present_core, waiting_at
from envs.vector.env import PooledVectorEnv
from envs.vector.pool import Pool
from tests.envs.vector.troubled import Counter

chooses_cores = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be chosen here")


@chooses_cores
def test_homes_go_round_the_cores_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {7, 2, 5})
    assert homes(3) == [2, 5, 7] and homes(5) == [2, 5, 7, 2, 5]
    assert homes(2) == [None, None]  # cores are left over


@pytest.fixture
def two_cores() -> Iterator[list[int]]:
    """This process, and those that it starts, on two cores at most."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:2])
    yield sorted(before)[:2]
    os.sched_setaffinity(0, before)


@chooses_cores
def test_workers_wait_at_home_and_work_anywhere(two_cores: list[int]) -> None:
    num = 2 * len(two_cores)
    world = PooledVectorEnv(Counter, num, num_workers=len(two_cores))
    try:
        world.reset(seed=0)
        for _ in range(3):
            assert world.call("cores") == (set(two_cores),) * num
            world.step(np.zeros((num, 1), np.float32))
        pids = [worker.process.pid or 0 for worker in world._pool._workers]
        until = time.monotonic() + 20.0  # an answer is sent just before its worker goes home
        while [os.sched_getaffinity(pid) for pid in pids] != [{core} for core in two_cores]:
            assert time.monotonic() < until
            time.sleep(0.01)
    finally:
        world.close()
    assert os.sched_getaffinity(0) == set(two_cores)


class Pipe:
    """Takes down who was asked, and answers at once."""

    def __init__(self, number: int, log: list[int]) -> None:
        self.number, self.log, self.asked = number, log, 0

    def send(self, question: Any) -> None:
        self.log.append(self.number)
        self.asked = question[0]

    def poll(self, patience: float) -> bool:
        return True

    def recv(self) -> tuple[int, bool, int]:
        return self.asked, True, self.number


@pytest.mark.parametrize(("here", "order"), [(10, [1, 3, 0, 2]), (11, [0, 2, 1, 3]), (12, [0, 1, 2, 3]), (None, [0, 1, 2, 3])])
def test_those_at_home_here_are_asked_last(monkeypatch: pytest.MonkeyPatch, here: int | None, order: list[int]) -> None:
    log: list[int] = []
    workers = [pool_module._Worker(SimpleNamespace(), Pipe(i, log), home=10 + i % 2) for i in range(4)]  # pyright: ignore[reportArgumentType]
    monkeypatch.setattr(pool_module, "present_core", lambda: here)
    pool = Pool([], patience=1.0)
    pool._workers = workers
    assert pool.ask("play", dict.fromkeys(range(4), ())) == {i: i for i in range(4)}
    assert log == order


@chooses_cores
def test_a_core_that_is_gone_changes_nothing() -> None:
    cores = os.sched_getaffinity(0)
    with waiting_at(100_000):
        assert os.sched_getaffinity(0) == cores
    with waiting_at(min(cores)):
        assert os.sched_getaffinity(0) == {min(cores)} and present_core() == min(cores)
    assert os.sched_getaffinity(0) == cores


def test_without_a_choice_nothing_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    assert homes(64) == [None] * 64
    with waiting_at(None):
        pass
