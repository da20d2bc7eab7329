"""kill -9 at fifty random moments, while recording, importing and building the cache.

After every one: what was reported written is there, and nothing half-written is visible. In the end: the undisturbed dataset.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from nursery import Start, kill, nursery, wait
from tiny_world import assert_same, make_episode, record_into

from worldmodel.data import Dataset, FrameCache, finalize, recorded_episodes
from worldmodel.errors import DataError

pytestmark = pytest.mark.slow

NUM_EPISODES = 16
KILLS_A_FOLDER = 5
"""So many victims work on one folder before it is finished."""


@pytest.fixture(scope="module")
def start() -> Iterator[Start]:
    """Starts a victim and gives its process id."""
    with nursery() as start:
        yield start


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """What must come out, as one process records it."""
    root = record_into(tmp_path_factory.mktemp("undisturbed") / "data", range(NUM_EPISODES))
    finalize(root)
    return Dataset.open(root)


def torment(
    begin: Callable[[Path], int], check: Callable[[Path], None], finished: Callable[[Path], None], tmp_path: Path, kills: int
) -> None:
    """Kill victims at random moments of their work until `kills` have died, then let the last one finish."""
    wait(begin(tmp_path / "warm"))  # the first victim pays for the file system's caches
    clock = time.perf_counter()
    wait(begin(tmp_path / "undisturbed"))
    whole = time.perf_counter() - clock
    finished(tmp_path / "undisturbed")

    rng, died, folder = np.random.default_rng(kills), 0, 0
    while died < kills:
        folder += 1
        root = tmp_path / str(folder)
        for _ in range(KILLS_A_FOLDER):
            victim = begin(root)
            time.sleep(rng.uniform(0, whole))
            died += kill(victim)
            check(root)
        wait(begin(root))
        finished(root)
        assert not list(root.rglob("*.part"))


def is_open(root: Path) -> Dataset | None:
    """The dataset, once it can be opened; until then it says in one line that it cannot."""
    try:
        return Dataset.open(root)
    except DataError as error:
        assert "\n" not in str(error)
        return None


def test_twenty_kills_while_recording(start: Start, undisturbed: Dataset, tmp_path: Path):
    def begin(root: Path) -> int:
        return start("record_and_finish", root, root.with_suffix(".report"), NUM_EPISODES)

    def check(root: Path) -> None:
        report = root.with_suffix(".report")
        reported = {int(line) for line in report.read_text().split()} if report.exists() else set()
        assert reported <= recorded_episodes(root)
        dataset = is_open(root)
        assert dataset is None or dataset.fingerprint == undisturbed.fingerprint

    def finished(root: Path) -> None:
        dataset = Dataset.open(root)
        assert dataset.fingerprint == undisturbed.fingerprint and dataset.verify() == []
        for k in range(NUM_EPISODES):
            assert_same(dataset.read_episode(k), make_episode(k))

    torment(begin, check, finished, tmp_path, kills=20)


def test_fifteen_kills_while_importing(start: Start, undisturbed: Dataset, tmp_path: Path):
    had: dict[Path, set[int]] = {}

    def begin(root: Path) -> int:
        return start("import_all", undisturbed.root, root)

    def check(root: Path) -> None:
        have = recorded_episodes(root) if root.exists() else set()
        assert have == set(range(len(have))) and have >= had.get(root, set())  # what was written stays
        had[root] = have
        dataset = is_open(root)
        assert dataset is None or dataset.num_episodes == NUM_EPISODES

    def finished(root: Path) -> None:
        dataset = Dataset.open(root)
        assert [row.sha256 for row in dataset.episodes] == [row.sha256 for row in undisturbed.episodes]
        assert dataset.fingerprint == Dataset.open(tmp_path / "undisturbed").fingerprint and dataset.verify() == []

    torment(begin, check, finished, tmp_path, kills=15)


def test_fifteen_kills_while_building_the_cache(start: Start, undisturbed: Dataset, tmp_path: Path):
    pixels = np.concatenate([make_episode(k).observations["pixels"] for k in range(NUM_EPISODES)])

    def begin(directory: Path) -> int:
        return start("build_cache", undisturbed.root, directory)

    def check(directory: Path) -> None:
        for path in directory.glob("[!.]*"):  # what is visible is whole
            np.testing.assert_array_equal(FrameCache.open(path, undisturbed).arrays["pixels"], pixels)

    def finished(directory: Path) -> None:
        check(directory)
        assert len(list(directory.glob("[!.]*"))) == 1

    torment(begin, check, finished, tmp_path, kills=15)
