"""Datasets are mixed by weight, one embodiment a batch, each window once before any comes again, and resumed exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_world import record_into

from worldmodel.data import (
    Batches,
    Dataset,
    FrameCache,
    JoinedWindows,
    MixtureSampler,
    StreamedWindows,
    Windows,
    finalize,
)
from worldmodel.errors import CheckpointError, ConfigError
from worldmodel.types import Window

KEYS = ("pixels", "clock")


class Counted:
    """Windows that say their own number; `width` tells action spaces apart."""

    def __init__(self, num_windows: int, width: int = 2, labels: tuple[str, ...] = ()):
        self.num_windows, self.width, self.labels = num_windows, width, labels

    def batch(self, indices: np.ndarray) -> Window:
        rows = torch.from_numpy(indices)
        return Window(
            observations={"x": rows[:, None].float()},
            actions=torch.zeros(len(rows), 1, self.width),
            labels=dict.fromkeys(self.labels, rows),
            episode_index=rows,
            frame_index=torch.zeros_like(rows),
        )


def test_joined_windows_keep_their_order_and_their_numbers():
    joined = JoinedWindows([Counted(5, labels=("a", "b")), Counted(3, labels=("b",))])
    assert joined.num_windows == 8
    indices = np.array([6, 0, 4, 5, 7, 1])
    batch = joined.batch(indices)
    assert joined.source_of(indices).tolist() == [1, 0, 0, 1, 1, 0]
    assert batch.episode_index.tolist() == batch.observations["x"][:, 0].tolist() == [1, 0, 4, 0, 2, 1]
    assert batch.dataset is not None and batch.dataset.tolist() == [1, 0, 0, 1, 1, 0]
    alone = joined.batch(np.array([6, 7])).dataset
    assert alone is not None and alone.tolist() == [1, 1]
    assert set(batch.labels) == {"b"} and batch.labels["b"].tolist() == [1, 0, 4, 0, 2, 1]
    assert set(joined.batch(np.array([0, 1])).labels) == {"a", "b"}


def test_cached_and_streamed_datasets_join(tmp_path: Path):
    parts = []
    for name, episodes in (("a", range(6)), ("b", range(4))):
        finalize(record_into(tmp_path / name, episodes))
        parts.append(Dataset.open(tmp_path / name))
    cached = Windows(FrameCache.build(parts[0], KEYS), 2, split="all", frame_skip=2)
    from_shards = StreamedWindows(parts[1], KEYS, 2, split="all", frame_skip=2)
    joined = JoinedWindows([cached, from_shards])
    indices = np.array([0, cached.num_windows, 1, cached.num_windows + 2])
    joined.prepare(indices)
    batch = joined.batch(indices)
    assert batch.frame_skip == joined.batch(indices[:1]).frame_skip == 2
    for row, (source, i) in enumerate([(cached, 0), (from_shards, 0), (cached, 1), (from_shards, 2)]):
        single = source.batch(np.array([i]))
        assert torch.equal(batch.observations["pixels"][row], single.observations["pixels"][0])
        assert torch.equal(batch.actions[row], single.actions[0])


def test_a_batch_is_of_one_embodiment_and_says_which():
    joined = JoinedWindows([Counted(50), Counted(40, width=7), Counted(30)], embodiments=[0, 1, 0])
    source = Batches(joined, MixtureSampler(joined, [1, 2, 1], 8, seed=0))
    seen = set()
    for _ in range(30):
        window = source.next()
        assert window.actions.shape[-1] == (7 if window.embodiment == 1 else 2)
        seen.add(window.embodiment)
    assert seen == {0, 1}
    with pytest.raises(ValueError, match=r"embodiments \[0, 1\]"):
        joined.batch(np.array([0, 50]))


@pytest.mark.parametrize("embodiments", [[0, 0, 0], [0, 1, 0], [0, 1, 2]])
def test_windows_come_by_weight(embodiments: list[int]):
    joined = JoinedWindows([Counted(50), Counted(400), Counted(30)], embodiments)
    sampler = MixtureSampler(joined, [1, 2, 5], 16, seed=0)
    sources = np.concatenate([joined.source_of(sampler.next()) for _ in range(2000)])
    np.testing.assert_allclose(np.bincount(sources) / len(sources), [1 / 8, 2 / 8, 5 / 8], atol=0.03)


def test_in_a_dataset_every_window_comes_once_before_any_comes_again():
    joined = JoinedWindows([Counted(7), Counted(20)])
    sampler = MixtureSampler(joined, [1, 1], 5, seed=3)
    drawn = np.concatenate([sampler.next() for _ in range(60)])
    for low, high in ((0, 7), (7, 27)):
        mine = drawn[(drawn >= low) & (drawn < high)]
        for start in range(0, len(mine) - (high - low) + 1, high - low):
            assert sorted(mine[start : start + high - low]) == list(range(low, high))


@pytest.mark.parametrize("done", [0, 1, 13])
def test_it_goes_on_exactly(done: int):
    joined = JoinedWindows([Counted(7), Counted(20), Counted(9)], [0, 0, 1])
    straight = MixtureSampler(joined, [1, 3, 1], 6, seed=3)
    for _ in range(done):
        straight.next()
    resumed = MixtureSampler(joined, [1, 3, 1], 6, seed=3)
    resumed.load_state_dict(straight.state_dict())
    for _ in range(10):
        np.testing.assert_array_equal(resumed.next(), straight.next())


def test_ranks_together_see_what_one_process_sees():
    joined = JoinedWindows([Counted(7), Counted(20), Counted(9)], [0, 0, 1])
    alone = MixtureSampler(joined, [1, 3, 1], 6, seed=3)
    ranks = [MixtureSampler(joined, [1, 3, 1], 6, seed=3, rank=rank, world_size=3) for rank in range(3)]
    for _ in range(9):
        np.testing.assert_array_equal(np.concatenate([rank.next() for rank in ranks]), alone.next())
    assert all(rank.state_dict() == alone.state_dict() for rank in ranks)


def test_another_mixture_is_refused():
    joined = JoinedWindows([Counted(7), Counted(20)])
    state = MixtureSampler(joined, [1, 3], 6, seed=3).state_dict()
    with pytest.raises(CheckpointError, match="weights"):
        MixtureSampler(joined, [1, 1], 6, seed=3).load_state_dict(state)
    with pytest.raises(CheckpointError, match="num_windows"):
        MixtureSampler(JoinedWindows([Counted(8), Counted(20)]), [1, 3], 6, seed=3).load_state_dict(state)
    for bad in ([1.0], [1.0, 0.0], [1.0, float("nan")]):
        with pytest.raises(ConfigError, match="expected a positive number for each of 2 datasets"):
            MixtureSampler(joined, bad, 6, seed=3)
    with pytest.raises(ConfigError, match="no datasets"):
        JoinedWindows([])
