"""Cache and stream hold the same windows of a dataset with films, and of one at a URL."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_world import SPEC, make_episode

from worldmodel.data import Dataset, DatasetWriter, FrameCache, StreamedWindows, Windows, finalize
from worldmodel.data.loading import cache_processes, stream

SIZE = 112


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four episodes whose pictures are too large to be stored one by one."""
    root = tmp_path_factory.mktemp("films") / "data"
    pixels = dataclasses.replace(SPEC.sensors["pixels"], shape=(SIZE, SIZE, 3))
    spec = dataclasses.replace(SPEC, sensors={**SPEC.sensors, "pixels": pixels})
    with DatasetWriter(root, spec, fps=2.0) as writer:
        for k in range(4):
            episode = make_episode(k, num_actions=6)
            small = episode.observations["pixels"][:, :7, :]
            large = np.ascontiguousarray(
                np.pad(small.repeat(16, 1).repeat(16, 2), ((0, 0), (0, 0), (0, 16), (0, 0)))[:, :SIZE, :SIZE]
            )
            writer.add(dataclasses.replace(episode, observations={**episode.observations, "pixels": large}))
    finalize(root)
    assert Dataset.open(root).features["observation.images.overhead"]["dtype"] == "video"
    return root


def assert_equal(one: FrameCache, two: FrameCache) -> None:
    assert set(one.arrays) == set(two.arrays)
    for name, array in one.arrays.items():
        np.testing.assert_array_equal(array, two.arrays[name], strict=True)


@pytest.mark.parametrize("image_size", [None, 28])
def test_films(films: Path, monkeypatch: pytest.MonkeyPatch, image_size: int | None):
    monkeypatch.setattr(stream, "PIECE_FRAMES", 2)
    dataset = Dataset.open(films)
    cached = Windows(FrameCache.build(dataset, ("pixels",), image_size=image_size), 3, split="all", frame_skip=2)
    streamed = StreamedWindows(dataset, ("pixels",), 3, split="all", frame_skip=2, image_size=image_size)
    every = np.random.default_rng(0).permutation(cached.num_windows)
    one, two = cached.batch(every), streamed.batch(every)
    assert torch.equal(one.observations["pixels"], two.observations["pixels"]) and torch.equal(one.actions, two.actions)


def test_films_at_a_url_are_fetched_for_the_programs_that_decode_them(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(cache_processes, "PIECE_FRAMES", 12)
    remote = Dataset.open(f"file://{films}", local=tmp_path / "fetched")
    assert not (remote.root / "videos").exists()
    here = FrameCache.build(Dataset.open(films), ("pixels",), tmp_path / "here")
    assert_equal(FrameCache.build(remote, ("pixels",), tmp_path / "there", num_processes=2), here)
