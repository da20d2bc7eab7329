"""kill -9 at random moments: nothing reported is lost, and nothing half-written is ever seen."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from nursery import Start, kill, nursery
from tiny_world import SPEC, assert_same, make_episode

from worldmodel.data import Dataset, DatasetWriter, FrameCache, finalize, recorded_episodes


@pytest.fixture(scope="module")
def start() -> Iterator[Start]:
    """Starts a victim and gives its process id."""
    with nursery() as start:
        yield start


def test_a_kill_loses_nothing_that_was_reported(start: Start, tmp_path: Path):
    root, report = tmp_path / "data", tmp_path / "report"
    report.touch()
    rng = np.random.default_rng(0)
    for num_lines in rng.integers(0, 24, size=8):
        victims = [start("record", root, report, first) for first in (0, 1)]
        enough, deadline = len(report.read_text().split()) + num_lines, time.monotonic() + 20
        while len(report.read_text().split()) < enough and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.02))  # anywhere within a shard, its files and its report
        for victim in victims:
            kill(victim)
        assert {int(line) for line in report.read_text().split()} <= recorded_episodes(root)
    assert len(report.read_text().split()) >= 24

    # whoever resumes fills the gaps, up to the highest index that is there
    have = recorded_episodes(root)
    end = max(have) + 1
    with DatasetWriter(root, SPEC, fps=2.0) as writer:
        for k in sorted(set(range(end)) - have):
            writer.add(make_episode(k), episode_index=k)
    finalize(root)
    dataset = Dataset.open(root)
    assert dataset.num_episodes == end
    assert dataset.verify() == []
    for k in range(end):
        assert_same(dataset.read_episode(k), make_episode(k))
    assert not list(root.rglob("*.part"))


@pytest.mark.parametrize("delay", np.random.default_rng(1).uniform(0, 0.2, size=6).round(3).tolist())
def test_a_kill_while_finalizing_or_caching_is_harmless(start: Start, tmp_path: Path, delay: float):
    with DatasetWriter(tmp_path, SPEC, fps=2.0, episodes_per_shard=8) as writer:
        for k in range(40):
            writer.add(make_episode(k), episode_index=k)
    victim = start("finish", tmp_path)
    time.sleep(delay)
    kill(victim)
    assert recorded_episodes(tmp_path) == set(range(40))
    finalize(tmp_path)
    dataset = Dataset.open(tmp_path)
    assert dataset.verify() == []
    cache = FrameCache.build(dataset, ("pixels",))
    expected = np.concatenate([make_episode(k).observations["pixels"] for k in range(40)])
    np.testing.assert_array_equal(cache.arrays["pixels"], expected)
    assert not list(tmp_path.rglob("*.part"))
