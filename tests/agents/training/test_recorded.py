"""What a run keeps of a recording that has no labels: the best frame, frames that name their goal, actions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agents.experiment import ExperimentConfig
from agents.strict import build
from agents.training.recorded import HALF, best_frame, choose
from agents.training.recordings import open_recordings
from worldmodel.data import Dataset, DatasetWriter, finalize
from worldmodel.types import ActionSpec, Episode, SensorSpec, WorldSpec

NUMBERS = {"proprio": 3, "achieved_goal": 2, "desired_goal": 2}
SPEC = WorldSpec(
    env_id="somebody/Aim-v0",
    env_kwargs={},
    sensors={
        "pixels": SensorSpec((16, 16, 3), "uint8", "image", camera="render"),
        **{key: SensorSpec((n,), "float32", "vector", privileged=key != "proprio") for key, n in NUMBERS.items()},
    },
    action=ActionSpec(("a",), (-1.0,), (1.0,)),
    control_mode="step",
    robot="Aim",
)


def an_episode(number: int, num_actions: int, rewards: dict[int, float]) -> Episode:
    """Frame t of it is (number, t) in every sensor; rewards of steps that are not given are -1."""
    frames = num_actions + 1
    at = np.stack([np.full(frames, number), np.arange(frames)], axis=1).astype(np.float32)
    pixels = np.zeros((frames, 16, 16, 3), np.uint8)
    pixels[:, 0, 0, :2] = at
    paid = np.array([rewards.get(t, -1.0) for t in range(num_actions)], np.float32)
    vectors = {"proprio": np.pad(at, ((0, 0), (0, 1))), "achieved_goal": at, "desired_goal": np.zeros_like(at)}
    actions = np.arange(num_actions, dtype=np.float32)[:, None] / 100
    return Episode({"pixels": pixels, **vectors}, actions, paid, False, True, False, 2_000_000 + number, "")


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    with DatasetWriter(tmp_path, SPEC, fps=10) as writer:
        for number, (num_actions, rewards) in enumerate([(5, {}), (7, {2: 0.5, 6: 3.0}), (4, {0: 3.0}), (9, {8: 2.0})]):
            writer.add(an_episode(number, num_actions, rewards))
    finalize(tmp_path)
    return Dataset.open(tmp_path)


def test_the_best_frame_is_the_best_on_average_around_it(dataset: Dataset) -> None:
    """Against plain loops, which give the end of episode 1: five steps of 0.5, -1, -1, -1 and 3."""
    found = []
    for number in range(dataset.num_episodes):
        rewards = dataset.read_episode(number).rewards
        for frame in range(len(rewards) + 1):
            around = [float(rewards[t]) for t in range(len(rewards)) if frame - HALF <= t < frame + HALF]
            found.append((sum(around) / len(around), number, frame))
    mean, number, frame = max(found)
    assert best_frame(dataset) == (number, frame, pytest.approx(mean)) == (1, 7, pytest.approx(0.1))


def test_of_equals_the_best_frame_is_far_from_the_ends(tmp_path: Path) -> None:
    """Where each step of a pole that stands is worth the same, it is not the last one before it fell."""
    with DatasetWriter(tmp_path, SPEC, fps=10) as writer:
        for number, num_actions in enumerate((4, 9, 6)):
            writer.add(an_episode(number, num_actions, dict.fromkeys(range(num_actions), 1.0)))
    finalize(tmp_path)
    assert best_frame(Dataset.open(tmp_path)) == (1, 4, 1.0)


@pytest.mark.parametrize("sensors", [["pixels"], ["pixels", "proprio"]])
def test_frames_know_which_goal_they_are(dataset: Dataset, sensors: list[str]) -> None:
    settings = {"model": {"sensors": sensors}, "data": {"frame_skip": 2, "image_size": 8}}
    recordings = open_recordings(dataset.root, build(ExperimentConfig, settings, source="test"))
    kept = choose(recordings, num_frames=16, num_actions=6)
    assert set(kept.frames) == set(sensors) and kept.frames["pixels"].shape[1:] == (8, 8, 3)
    assert kept.achieved is not None and len(kept.achieved) == len(kept.frames["pixels"]) == 1 + 4 * 4
    np.testing.assert_array_equal(kept.achieved[0], [1, 7])  # the best frame is the first
    assert {tuple(row) for row in kept.achieved[1:]} >= {(0, 0), (0, 5), (3, 0), (3, 9)}  # from end to end
    if "proprio" in sensors:
        np.testing.assert_array_equal(kept.frames["proprio"][:, :2], kept.achieved)
        np.testing.assert_array_equal(kept.nearest(np.array([2.9, 8.8], np.float32))["proprio"][:2], [3, 9])
        np.testing.assert_array_equal(kept.best()["proprio"][:2], [1, 7])
    assert kept.actions.shape == (6, 2) and kept.reward == pytest.approx(0.1)


def test_a_sensor_that_a_dataset_may_lack_is_left_out(dataset: Dataset) -> None:
    settings = {"model": {"sensors": ["pixels", "touch"], "encoder": {"sensor_dropout": 0.2}}}
    kept = choose(open_recordings(dataset.root, build(ExperimentConfig, settings, source="test")), num_frames=4, num_actions=2)
    assert set(kept.frames) == {"pixels"}
