"""However a cache is built - by several programs, smaller, for a part of a dataset, elsewhere - it holds the same frames."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from tiny_world import make_episode

from worldmodel.data import Dataset, FrameCache, Windows
from worldmodel.data.format.locks import lock
from worldmodel.data.loading import cache_processes
from worldmodel.data.loading.cache import cache_bytes, cache_exists
from worldmodel.data.loading.cache_wait import Telling
from worldmodel.errors import ConfigError, DataError
from worldmodel.framing import area_average
from worldmodel.progress import NoProgress

KEYS = ("pixels", "clock")


class Count:
    def __init__(self):
        self.calls = []

    def update(self, done: int, total: int, **fields: str | float) -> None:
        self.calls.append((done, total))


def assert_equal(one: FrameCache, two: FrameCache) -> None:
    assert set(one.arrays) == set(two.arrays)
    for name, array in one.arrays.items():
        np.testing.assert_array_equal(array, two.arrays[name], strict=True)


def test_several_programs_build_what_one_builds(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cache_processes, "PIECE_FRAMES", 8)
    progress = Count()
    two = FrameCache.build(dataset, KEYS, tmp_path / "two", progress, image_size=3, num_processes=2)
    assert_equal(FrameCache.build(dataset, KEYS, tmp_path / "one", image_size=3, num_processes=1), two)
    assert progress.calls[-1] == (dataset.num_frames, dataset.num_frames) and len(progress.calls) > 3


def test_damage_that_a_program_meets_is_one_line(root: Path, dataset: Dataset):
    (root / "data/chunk-000/file-000.parquet").write_bytes(b"")
    with pytest.raises(DataError, match="is damaged") as caught:
        FrameCache.build(dataset, KEYS, num_processes=2)
    assert "\n" not in str(caught.value)
    assert [path for path in (root / "cache").iterdir() if not path.name.endswith(".lock")] == []


def test_a_program_that_dies_leaves_no_cache(dataset: Dataset, monkeypatch: pytest.MonkeyPatch):
    start = subprocess.Popen
    dead = [sys.executable, "-c", ""]
    monkeypatch.setattr(subprocess, "Popen", lambda command, **options: start(dead, **options))
    with pytest.raises(DataError, match=r"has ended \(exit code 0|has ended \(.*Broken pipe"):
        FrameCache.build(dataset, KEYS, num_processes=2)
    assert not cache_exists(dataset, KEYS)


def test_pieces_are_all_episodes_once():
    pieces = list(cache_processes._pieces([600, 600, 5, 2000, 1]))
    assert pieces == [(0, 2, 0), (2, 4, 1200), (4, 5, 3205)]


def test_pictures_come_down_to_the_size_of_the_model(dataset: Dataset):
    small, full = FrameCache.build(dataset, KEYS, image_size=4), FrameCache.build(dataset, KEYS)
    assert small.path != full.path
    assert small.spec.sensors["pixels"].shape == (4, 4, 3)
    np.testing.assert_array_equal(small.arrays["pixels"], area_average(full.arrays["pixels"], 4))
    np.testing.assert_array_equal(small.arrays["clock"], full.arrays["clock"])
    assert FrameCache.open(small.path, dataset).spec == small.spec
    with pytest.raises(ConfigError, match="image_size is 7, but sensor 'pixels' is 8 x 6"):
        FrameCache.build(dataset, KEYS, image_size=7)


def test_a_selection_reads_the_cache_of_the_whole(dataset: Dataset, tmp_path: Path):
    some = dataset.select([7, 2, 5])
    cache = FrameCache.build(some, KEYS)
    whole = FrameCache.build(dataset, KEYS)
    assert cache.path == whole.path and len(cache.arrays["pixels"]) == whole.num_frames
    assert cache.num_episodes == 3 and cache.num_frames == some.num_frames
    assert cache.episode_seed.tolist() == [1007, 1002, 1005]
    windows = Windows(cache, 2, split="all")
    batch = windows.batch(np.arange(windows.num_windows))
    expected = [(i, t) for i, k in enumerate((7, 2, 5)) for t in range(make_episode(k).num_actions)]
    assert list(zip(batch.episode_index.tolist(), batch.frame_index.tolist(), strict=True)) == expected
    for row, (i, t) in enumerate(expected):
        pixels = make_episode((7, 2, 5)[i]).observations["pixels"]
        np.testing.assert_array_equal(batch.observations["pixels"][row].numpy(), pixels[t : t + 2])


def test_its_place_is_what_is_told_or_the_environment_or_beside_the_data(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert FrameCache.build(dataset, KEYS).path.parent == dataset.root / "cache"
    monkeypatch.setenv("WORLDMODEL_CACHE", str(tmp_path / "there"))
    assert FrameCache.build(dataset, KEYS).path.parent == tmp_path / "there"
    assert FrameCache.build(dataset, KEYS, tmp_path / "here").path.parent == tmp_path / "here"


@pytest.mark.parametrize("image_size", [None, 4])
def test_its_size_is_known_before_it_is_built(dataset: Dataset, image_size: int | None):
    size = cache_bytes(dataset, KEYS, image_size)
    assert not cache_exists(dataset, KEYS, image_size)
    cache = FrameCache.build(dataset, KEYS, image_size=image_size)
    assert size == sum(array.nbytes for array in cache.arrays.values())
    assert cache_exists(dataset, KEYS, image_size) and cache_bytes(dataset.select([1]), KEYS, image_size) == size


def test_a_full_disk_is_told_before_anything_is_decoded(dataset: Dataset, monkeypatch: pytest.MonkeyPatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    progress = Count()
    with pytest.raises(DataError, match=r"cannot write the cache .*No space left on device.*choose another folder"):
        FrameCache.build(dataset, KEYS, progress=progress)
    assert progress.calls == [] and not cache_exists(dataset, KEYS)


def test_a_cache_that_is_there_asks_for_no_folder_that_can_be_written(dataset: Dataset):
    path = FrameCache.build(dataset, KEYS).path
    held = path.parent / f".{path.name}.lock"
    held.unlink()
    held.mkdir()  # now nobody can lock it
    assert FrameCache.build(dataset, KEYS).path == path


def test_who_waits_for_another_builder_is_told_how_far_that_one_is(dataset: Dataset):
    held = dataset.root / "there" / f".{FrameCache.build(dataset, KEYS).path.name}.lock"
    told, release = [], threading.Event()

    class Ear:
        def update(self, done: int, total: int, **fields: str | float) -> None:
            told.append((done, total, *fields.values()))
            release.set()

    waiting = threading.Thread(target=FrameCache.build, args=(dataset, KEYS, held.parent, Ear()))
    with lock(held, exclusive=True, wait=0.0, busy="busy"):
        Telling(NoProgress(), held).update(30, 41)
        waiting.start()
        assert release.wait(10)
    waiting.join()
    assert told[0] == (30, 41, "another process builds this cache")
    assert told[-1] == (dataset.num_frames, dataset.num_frames)
