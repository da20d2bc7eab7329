"""A blocked action is its actions in a row; pictures come down by area."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from tests.worldmodel.toy import toy_spec
from worldmodel.errors import ConfigError
from worldmodel.framing import Framing, area_average, blocked
from worldmodel.nn.actions import RelativeAction
from worldmodel.types import Episode


def test_a_block_names_bounds_and_points_its_actions_in_order():
    action = toy_spec().action
    two = blocked(action, 2)
    assert two.names == tuple(f"{name}@{i}" for i in (0, 1) for name in action.names)
    assert (two.dim, two.low, two.high) == (8, action.low * 2, action.high * 2)
    assert two.points == ((0, 1), (2, 3), (4, 5), (6, 7))
    assert two.image_from_action == action.image_from_action
    assert blocked(action, 1) is action
    # strokes of a block are legs of one path: both, and the way from one to the other
    assert RelativeAction(two, grid=4, width=8)(torch.zeros(3, 8)).shape == (3, 16, 8)


def test_the_world_as_the_model_sees_it():
    world = toy_spec(32)
    seen = Framing(frame_skip=3, image_size=16).spec(world)
    assert seen.sensors["pixels"].shape == (16, 16, 3)
    assert seen.sensors["proprio"] == world.sensors["proprio"]
    assert seen.action.dim == 12
    assert Framing().spec(world) == world
    with pytest.raises(ConfigError, match=r"image_size is 64, but sensor 'pixels' is 32 x 32"):
        Framing(image_size=64).spec(world)
    for bad in ({"frame_skip": 0}, {"image_size": 0}):
        with pytest.raises(ConfigError, match="expected 1 or more"):
            Framing(**bad)


def test_an_episode_keeps_every_kth_frame_and_all_actions_between():
    world = toy_spec(4)
    rng = np.random.default_rng(0)
    episode = Episode(
        observations={"pixels": rng.integers(0, 256, (8, 4, 4, 3), dtype=np.uint8), "proprio": np.arange(16.0).reshape(8, 2)},
        actions=np.arange(28, dtype=np.float32).reshape(7, 4),
        rewards=np.arange(7, dtype=np.float32),
        terminated=True,
        truncated=False,
        success=True,
        seed=1,
        instruction="",
        labels={"status": np.arange(8)},
    )
    seen = Framing(frame_skip=3, image_size=2).episode(episode, world)
    np.testing.assert_array_equal(seen.labels["status"], [0, 3, 6])
    np.testing.assert_array_equal(seen.observations["proprio"], episode.observations["proprio"][[0, 3, 6]])
    np.testing.assert_array_equal(seen.observations["pixels"], area_average(episode.observations["pixels"], 2)[[0, 3, 6]])
    np.testing.assert_array_equal(seen.actions, episode.actions[:6].reshape(2, 12))
    np.testing.assert_array_equal(seen.rewards, [0 + 1 + 2, 3 + 4 + 5])
    assert Framing().episode(episode, world) is episode


def test_area_averages_are_means():
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (2, 5, 6, 12, 3), dtype=np.uint8)
    means = images.reshape(2, 5, 3, 2, 3, 4, 3).mean(axis=(3, 5))
    assert np.abs(area_average(images, 3) - means).max() <= 0.5
    # a fraction of a pixel counts as such: 3 -> 2
    row = np.array([0, 90, 180], np.uint8)
    picture = np.broadcast_to(row[None, :, None], (3, 3, 3))
    np.testing.assert_array_equal(area_average(picture, 2)[0, :, 0], [30, 150])
    assert area_average(images[..., :6, :], 6).shape == (2, 5, 6, 6, 3)


def test_a_framing_is_told_by_its_fields():
    assert dataclasses.asdict(Framing(2, 8)) == {"frame_skip": 2, "image_size": 8}
