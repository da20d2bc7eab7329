"""Windows stay inside their episode, hold what was recorded, and keep to their side of the split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_world import make_episode, record_into

from worldmodel.data import Dataset, FrameCache, Windows, finalize, in_validation
from worldmodel.errors import ConfigError, DataError

KEYS = ("pixels", "clock")


@pytest.fixture
def cache(dataset: Dataset) -> FrameCache:
    return FrameCache.build(dataset, KEYS)


def test_every_window_of_every_episode_is_exact(cache: FrameCache):
    windows = Windows(cache, 3, split="all", labels=True)
    batch = windows.batch(np.arange(windows.num_windows))
    expected = [(k, t) for k in range(10) for t in range(make_episode(k).num_actions - 1)]
    assert list(zip(batch.episode_index.tolist(), batch.frame_index.tolist(), strict=True)) == expected
    assert batch.observations["pixels"].dtype == torch.uint8
    assert set(batch.observations) == set(KEYS)
    for i, (k, t) in enumerate(expected):
        episode = make_episode(k)
        for key in KEYS:
            np.testing.assert_array_equal(batch.observations[key][i].numpy(), episode.observations[key][t : t + 3])
        np.testing.assert_array_equal(batch.actions[i].numpy(), episode.actions[t : t + 2])
        for name in episode.labels:
            np.testing.assert_array_equal(batch.labels[name][i].numpy(), episode.labels[name][t : t + 3])


def test_labels_only_when_asked(cache: FrameCache):
    assert Windows(cache, 2, split="all").batch(np.array([0])).labels == {}


def test_single_frames_have_no_actions(cache: FrameCache):
    windows = Windows(cache, 1, split="all")
    assert windows.num_windows == cache.num_frames
    assert windows.batch(np.array([1, 2])).actions.shape == (2, 0, 2)


def test_stride(cache: FrameCache):
    windows = Windows(cache, 2, stride=2, split="all")
    starts = [(k, t) for k in range(10) for t in range(0, make_episode(k).num_actions, 2)]
    batch = windows.batch(np.arange(windows.num_windows))
    assert list(zip(batch.episode_index.tolist(), batch.frame_index.tolist(), strict=True)) == starts


@pytest.mark.parametrize(("num_frames", "skip", "stride"), [(2, 2, 1), (3, 2, 1), (2, 3, 2), (2, 5, 1), (1, 4, 1)])
def test_skipped_frames_with_all_actions_between_them(cache: FrameCache, num_frames: int, skip: int, stride: int):
    windows = Windows(cache, num_frames, stride, split="all", labels=True, frame_skip=skip)
    batch = windows.batch(np.arange(windows.num_windows))
    span = (num_frames - 1) * skip
    expected = [(k, t) for k in range(10) for t in range(0, make_episode(k).num_actions + 1 - span, stride)]
    assert list(zip(batch.episode_index.tolist(), batch.frame_index.tolist(), strict=True)) == expected
    assert batch.actions.shape == (len(expected), num_frames - 1, 2 * skip) and batch.frame_skip == skip
    for i, (k, t) in enumerate(expected):
        episode, frames = make_episode(k), t + skip * np.arange(num_frames)
        for key in KEYS:
            np.testing.assert_array_equal(batch.observations[key][i].numpy(), episode.observations[key][frames])
        np.testing.assert_array_equal(batch.actions[i].numpy().reshape(-1, 2), episode.actions[t : t + span])
        for name in episode.labels:
            np.testing.assert_array_equal(batch.labels[name][i].numpy(), episode.labels[name][frames])


def test_batches_can_be_changed_without_changing_the_cache(cache: FrameCache):
    windows = Windows(cache, 2, split="all")
    windows.batch(np.array([0])).observations["pixels"].zero_()
    np.testing.assert_array_equal(
        windows.batch(np.array([0])).observations["pixels"][0, 0].numpy(), make_episode(0).observations["pixels"][0]
    )


def test_splits_share_no_episode_and_miss_none(cache: FrameCache):
    train, val = (Windows(cache, 2, split=split, val_fraction=0.4) for split in ("train", "val"))
    assert set(train.episode) & set(val.episode) == set()
    assert set(train.episode) | set(val.episode) == set(range(10))
    assert all(in_validation(1000 + int(k), 0.4) for k in val.episode)


def test_the_split_is_stable_when_the_dataset_grows(root: Path, cache: FrameCache):
    before = Windows(cache, 2, split="val", val_fraction=0.4)
    record_into(root, range(10, 20))
    finalize(root)
    after = Windows(FrameCache.build(Dataset.open(root), KEYS), 2, split="val", val_fraction=0.4)
    assert {int(k) for k in after.episode if k < 10} == {int(k) for k in before.episode}


def test_the_share_of_validation_is_as_asked():
    assert np.mean([in_validation(seed, 0.05) for seed in range(20_000)]) == pytest.approx(0.05, abs=0.005)
    assert not any(in_validation(seed, 0.0) for seed in range(100))


def test_an_empty_split_says_what_to_do(cache: FrameCache):
    with pytest.raises(DataError, match=rf"^{cache.root}: no window of 2 frames in the val split: 0 of 10 .* change data"):
        Windows(cache, 2, split="val", val_fraction=0.0)
    with pytest.raises(DataError, match=r"no window of 99 frames .*, the longest of 6 frames; lower the window's length"):
        Windows(cache, 99, split="all")
    with pytest.raises(DataError, match="no window of 2 frames, every 9 steps,"):
        Windows(cache, 2, frame_skip=9)


def test_settings_are_checked(cache: FrameCache):
    bad: tuple[dict[str, Any], ...] = (
        {"num_frames": 0},
        {"num_frames": 2, "stride": 0},
        {"num_frames": 2, "frame_skip": 0},
        {"num_frames": 2, "split": "test"},
        {"num_frames": 2, "val_fraction": 1.0},
    )
    for settings in bad:
        with pytest.raises(ConfigError, match="expected"):
            Windows(cache, **settings)
