"""The sampler gives every index once an epoch, in another order each time, and resumes exactly."""

from __future__ import annotations

import json

import numpy as np
import pytest

from worldmodel.data import ShuffledSampler
from worldmodel.errors import CheckpointError, ConfigError


def stream(sampler: ShuffledSampler, batches: int) -> np.ndarray:
    return np.concatenate([sampler.next() for _ in range(batches)])


def test_every_index_once_an_epoch():
    indices = stream(ShuffledSampler(10, 4, seed=0), 5).reshape(2, 10)
    assert (np.sort(indices) == np.arange(10)).all()
    assert (indices[0] != indices[1]).any()
    assert (indices[0] != np.arange(10)).any()


def test_batches_are_full_when_there_are_few_windows():
    sampler = ShuffledSampler(3, 8, seed=0)
    batch = sampler.next()
    assert batch.shape == (8,)
    assert np.sort(batch[:3]).tolist() == [0, 1, 2] == np.sort(batch[3:6]).tolist()
    assert sampler.epoch == 2


def test_the_seed_decides():
    assert (stream(ShuffledSampler(50, 7, seed=1), 20) == stream(ShuffledSampler(50, 7, seed=1), 20)).all()
    assert (stream(ShuffledSampler(50, 7, seed=1), 20) != stream(ShuffledSampler(50, 7, seed=2), 20)).any()


@pytest.mark.parametrize("batches", [0, 1, 2, 3, 7])
def test_resuming_is_exact(batches: int):
    whole, first, second = (ShuffledSampler(10, 4, seed=3) for _ in range(3))
    stream(first, batches) if batches else None
    second.next()  # whatever it did before does not matter
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    expected = stream(whole, batches + 6)[batches * 4 :]
    np.testing.assert_array_equal(stream(second, 6), expected)


def test_a_state_of_another_stream_is_refused():
    state = ShuffledSampler(10, 4, seed=3).state_dict()
    with pytest.raises(CheckpointError, match=r"num_windows 10 \(here 11\)"):
        ShuffledSampler(11, 4, seed=3).load_state_dict(state)
    with pytest.raises(CheckpointError, match="consumed"):
        ShuffledSampler(10, 4, seed=3).load_state_dict(state | {"consumed": -1})


def test_settings_are_checked():
    with pytest.raises(ConfigError, match="num_windows is 0"):
        ShuffledSampler(0, 4, seed=0)


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_ranks_together_see_what_one_process_sees(world_size: int):
    alone = ShuffledSampler(30, 8, seed=5)
    ranks = [ShuffledSampler(30, 8, seed=5, rank=rank, world_size=world_size) for rank in range(world_size)]
    for _ in range(11):
        np.testing.assert_array_equal(np.concatenate([rank.next() for rank in ranks]), alone.next())
    assert all(rank.state_dict() == alone.state_dict() for rank in ranks)


def test_no_index_comes_twice_in_an_epoch_across_ranks():
    ranks = [ShuffledSampler(24, 6, seed=5, rank=rank, world_size=3) for rank in range(3)]
    for _ in range(2):
        epoch = np.concatenate([rank.next() for _ in range(4) for rank in ranks])
        assert sorted(epoch) == list(range(24))


def test_what_two_ranks_saved_one_resumes():
    two = [ShuffledSampler(10, 4, seed=3, rank=rank, world_size=2) for rank in range(2)]
    alone, one = ShuffledSampler(10, 4, seed=3), ShuffledSampler(10, 4, seed=3)
    for _ in range(7):
        alone.next()
        for rank in two:
            rank.next()
    one.load_state_dict(two[1].state_dict())
    assert (stream(one, 5) == stream(alone, 5)).all()


def test_a_batch_is_shared_evenly_or_not_at_all():
    with pytest.raises(ConfigError, match="batch_size is 6; expected a multiple of the 4 processes"):
        ShuffledSampler(10, 6, 0, rank=0, world_size=4)
    with pytest.raises(ConfigError, match="rank is 2 of 2; expected 0 to 1"):
        ShuffledSampler(10, 6, 0, rank=2, world_size=2)
