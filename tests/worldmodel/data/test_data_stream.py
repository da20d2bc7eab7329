"""Streaming gives the windows of the cache, each once an epoch, reads an episode once, and goes on exactly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_world import record_into

from worldmodel.data import Batches, Dataset, FrameCache, ShuffledSampler, StreamedWindows, Windows, finalize
from worldmodel.data.loading import stream
from worldmodel.errors import ConfigError, DataError
from worldmodel.types import Window

KEYS = ("pixels", "clock")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Sixty episodes in several files."""
    root = tmp_path_factory.mktemp("many")
    for first in range(0, 60, 20):
        record_into(root, range(first, first + 20), shard=20)
        finalize(root)
    return Dataset.open(root)


def streamed(ds: Dataset, **options: Any) -> StreamedWindows:
    settings: dict[str, Any] = {"split": "all", "buffer_windows": 24, **options}
    return StreamedWindows(ds, KEYS, 3, **settings)


def batches(ds: Dataset, batch_size: int = 5, seed: int = 0, rank: int = 0, world_size: int = 1, **options: Any) -> Batches:
    windows = streamed(ds, **options)
    return Batches(
        windows,
        ShuffledSampler(
            windows.num_windows,
            batch_size,
            seed,
            rank=rank,
            world_size=world_size,
            order=lambda epoch: windows.order(seed, epoch),
        ),
    )


def assert_same(one: Window, two: Window) -> None:
    for name in ("observations", "labels"):
        ours, theirs = getattr(one, name), getattr(two, name)
        assert set(ours) == set(theirs)
        for key in ours:
            torch.testing.assert_close(ours[key], theirs[key], rtol=0, atol=0)
    for name in ("actions", "episode_index", "frame_index"):
        assert torch.equal(getattr(one, name), getattr(two, name))


def names(window: Window) -> Iterator[tuple[int, int]]:
    return zip(window.episode_index.tolist(), window.frame_index.tolist(), strict=True)


@pytest.mark.parametrize(
    "options", [{}, {"labels": True}, {"frame_skip": 2}, {"stride": 2}, {"split": "val", "val_fraction": 0.4}]
)
def test_windows_are_those_of_the_cache_under_the_same_numbers(many: Dataset, options: Any):
    options = {"split": "all", **options}
    cached = Windows(FrameCache.build(many, KEYS), 3, **options)
    from_shards = StreamedWindows(many, KEYS, 3, **options)
    assert cached.num_windows == from_shards.num_windows
    every = np.random.default_rng(0).permutation(cached.num_windows)
    assert_same(from_shards.batch(every), cached.batch(every))
    assert from_shards.batch(every).frame_skip == cached.batch(every).frame_skip == options.get("frame_skip", 1)


def test_small_pictures_are_those_of_the_small_cache(many: Dataset):
    cached = Windows(FrameCache.build(many, KEYS, image_size=3), 3, split="all")
    from_shards = streamed(many, image_size=3)
    assert from_shards.spec.sensors["pixels"].shape == (3, 3, 3)
    assert_same(from_shards.batch(np.arange(9)), cached.batch(np.arange(9)))


def test_an_epoch_is_every_window_of_the_cache_once(many: Dataset):
    cached = Windows(FrameCache.build(many, KEYS), 3, split="all")
    expected = sorted(names(cached.batch(np.arange(cached.num_windows))))
    source = batches(many, batch_size=cached.num_windows // 10)
    assert cached.num_windows % 10 == 0
    orders = []
    for _ in range(2):
        epoch = [name for _ in range(10) for name in names(source.next())]
        assert sorted(epoch) == expected
        orders.append(epoch)
    assert orders[0] != orders[1]


@pytest.mark.parametrize("buffer", [24, 60, 10_000])
def test_no_more_than_the_buffer_is_in_use_and_every_episode_is_read_once(many: Dataset, buffer: int):
    windows = streamed(many, buffer_windows=buffer)
    order = windows.order(seed=1, epoch=0)
    assert sorted(order) == list(range(windows.num_windows))
    counts = np.bincount(windows.index.episode)
    place = {episode: np.flatnonzero(windows.index.episode[order] == episode) for episode in range(60)}
    for now in range(len(order)):
        held = sum(counts[e] for e, places in place.items() if len(places) and places[0] <= now <= places[-1])
        assert held <= buffer
    for start in range(0, len(order), 5):
        windows.batch(order[start : start + 5])
    assert windows.num_reads == np.count_nonzero(counts)


def test_a_long_episode_is_read_in_pieces(many: Dataset, monkeypatch: pytest.MonkeyPatch):
    cached = Windows(FrameCache.build(many, KEYS), 2, split="all", labels=True, frame_skip=2)
    monkeypatch.setattr(stream, "PIECE_FRAMES", 2)
    windows = StreamedWindows(many, KEYS, 2, split="all", labels=True, frame_skip=2, buffer_windows=24)
    order = windows.order(seed=1, epoch=0)
    assert sorted(order) == list(range(cached.num_windows))
    for start in range(0, len(order), 7):
        assert_same(windows.batch(order[start : start + 7]), cached.batch(order[start : start + 7]))
    in_episodes = np.bincount(windows.index.episode)
    assert windows.num_reads == np.sum(-(-in_episodes // 2)) > np.count_nonzero(in_episodes)


def test_neighbours_in_the_stream_come_from_many_episodes(many: Dataset):
    windows = streamed(many, buffer_windows=120)
    order = windows.order(seed=1, epoch=0)
    apart = [len(set(windows.index.episode[order[start : start + 16]])) for start in range(0, len(order) - 16, 16)]
    assert np.mean(apart) > 10


@pytest.mark.parametrize("done", [0, 1, 7, 23, 40])
def test_it_goes_on_exactly_after_any_number_of_steps(many: Dataset, done: int):
    straight = batches(many)
    for _ in range(done):
        straight.next()
    state = straight.state_dict()
    resumed = batches(many)
    resumed.load_state_dict(state)
    for _ in range(6):
        assert_same(resumed.next(), straight.next())
    assert resumed.state_dict() == straight.state_dict() != state


def test_what_is_read_ahead_does_not_count(many: Dataset):
    source = batches(many)
    source.next()
    assert source.state_dict()["consumed"] == 5


def test_ranks_together_see_what_one_process_sees(many: Dataset):
    alone, ranks = batches(many, 6), [batches(many, 6, rank=rank, world_size=2) for rank in range(2)]
    for _ in range(12):
        assert list(names(alone.next())) == [name for rank in ranks for name in names(rank.next())]


def test_a_selection_streams_its_own_episodes(many: Dataset):
    some = many.select([50, 3, 17])
    assert_same(
        StreamedWindows(some, KEYS, 2, split="all").batch(np.arange(8)),
        Windows(FrameCache.build(some, KEYS), 2, split="all").batch(np.arange(8)),
    )


def test_damage_is_told_by_whoever_waits_for_the_batch(tmp_path: Path):
    finalize(record_into(tmp_path / "data", range(4)))
    ds = Dataset.open(tmp_path / "data")
    (ds.root / "data/chunk-000/file-000.parquet").write_bytes(b"")
    with pytest.raises(DataError, match="is damaged"):
        batches(ds).next()


def test_settings_are_checked(many: Dataset):
    with pytest.raises(ConfigError, match="buffer_windows is 1"):
        streamed(many, buffer_windows=1)
    with pytest.raises(DataError, match="unknown sensor 'pixel'"):
        StreamedWindows(many, ("pixel",), 2)
    with pytest.raises(DataError, match="no window of 99 frames"):
        StreamedWindows(many, KEYS, 99)
