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
