"""The cache holds the frames as recorded, is built once, and is refused when it is not of this dataset."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import pytest
from tiny_world import make_episode, record_into

from worldmodel.data import Dataset, FrameCache, finalize
from worldmodel.errors import DataError

KEYS = ("pixels", "clock")


def test_arrays_are_the_episodes_one_after_the_other(dataset: Dataset):
    cache = FrameCache.build(dataset, KEYS)
    episodes = [make_episode(k) for k in range(10)]
    assert set(cache.arrays) == {"pixels", "clock", "action", "reward", "label.status", "label.position", "label.done"}
    for key in KEYS:
        np.testing.assert_array_equal(cache.arrays[key], np.concatenate([e.observations[key] for e in episodes]), strict=True)
    for name in cache.label_names:
        np.testing.assert_array_equal(
            cache.arrays["label." + name], np.concatenate([e.labels[name] for e in episodes]), strict=True
        )
    padded = np.concatenate([np.concatenate([e.actions, np.zeros((1, 2), np.float32)]) for e in episodes])
    np.testing.assert_array_equal(cache.arrays["action"], padded, strict=True)
    np.testing.assert_array_equal(
        cache.arrays["reward"], np.concatenate([np.append(e.rewards, np.float32(0)) for e in episodes])
    )
    assert cache.episode_length.tolist() == [e.num_actions + 1 for e in episodes]
    assert cache.episode_start.tolist() == [0, *np.cumsum(cache.episode_length)[:-1]]
    assert cache.episode_seed.tolist() == [e.seed for e in episodes]
    assert (cache.num_frames, cache.num_episodes, cache.fingerprint) == (dataset.num_frames, 10, dataset.fingerprint)
    assert isinstance(cache.arrays["pixels"], np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        cache.arrays["pixels"][0] = 0


class Count:
    def __init__(self):
        self.calls = []

    def update(self, done: int, total: int, **fields: str | float) -> None:
        self.calls.append((done, total))


def test_it_is_built_once_and_tells_how_far_it_is(dataset: Dataset, tmp_path: Path):
    first, second = Count(), Count()
    one = FrameCache.build(dataset, KEYS, tmp_path / "caches", progress=first)
    two = FrameCache.build(dataset, KEYS[::-1], tmp_path / "caches", progress=second)
    assert first.calls[-1] == (dataset.num_frames, dataset.num_frames)
    assert second.calls == []
    assert one.path == two.path
    assert not (dataset.root / "cache").exists()


def test_a_dataset_that_grew_gets_another_cache(root: Path):
    old = Dataset.open(root)
    path = FrameCache.build(old, KEYS).path
    record_into(root, range(10, 12))
    finalize(root)
    new = Dataset.open(root)
    assert FrameCache.build(new, KEYS).num_episodes == 12
    with pytest.raises(DataError, match="is stale"):
        FrameCache.open(path, new)


def test_damage_is_one_line(dataset: Dataset):
    path = FrameCache.build(dataset, KEYS).path
    pixels = json.loads((path / "index.json").read_text())["arrays"]["pixels"]["file"]
    content = (path / pixels).read_bytes()
    for spoiled in (content[: len(content) // 2], b"", b"\x93NUMPY"):
        (path / pixels).write_bytes(spoiled)
        with pytest.raises(DataError, match=r"is damaged: .*delete it and build it again") as caught:
            FrameCache.build(dataset, KEYS)
        assert "\n" not in str(caught.value)
    (path / "index.json").write_text("{")
    with pytest.raises(DataError, match="expected JSON"):
        FrameCache.build(dataset, KEYS)


def test_a_damaged_dataset_leaves_no_cache(root: Path, dataset: Dataset):
    (root / "data/chunk-000/file-000.parquet").write_bytes(b"")
    with pytest.raises(DataError, match="is damaged"):
        FrameCache.build(dataset, KEYS)
    assert [path for path in (root / "cache").iterdir() if not path.name.endswith(".lock")] == []


def test_unknown_sensor(dataset: Dataset):
    with pytest.raises(DataError, match=r"unknown sensor 'pixel'.*Did you mean 'pixels'"):
        FrameCache.build(dataset, ("pixel",))


def test_two_builders_at_once(dataset: Dataset):
    caches: list[FrameCache] = []
    threads = [threading.Thread(target=lambda: caches.append(FrameCache.build(dataset, KEYS))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(caches) == 4
    for cache in caches:
        np.testing.assert_array_equal(cache.arrays["pixels"], caches[0].arrays["pixels"])
