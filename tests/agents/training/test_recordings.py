"""From recordings to an acting agent with frames skipped, pictures made smaller, shards streamed and datasets mixed."""

from __future__ import annotations

import dataclasses
import itertools
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from agents import strict
from agents.experiment import DataConfig, ExperimentConfig, MixturePart
from agents.mpc import MPCAgent
from agents.recording.record import RecordConfig, record
from agents.training import stages
from agents.training.measure import measure
from agents.training.recordings import open_recordings
from agents.training.runs import build_agent, load_run
from agents.worldspec import spec_of
from tests.fakes import LineWorld
from worldmodel.data import Dataset, DatasetWriter, JoinedWindows, StreamedWindows, Windows, finalize, in_validation
from worldmodel.errors import CheckpointError, ConfigError, DataError, MismatchError
from worldmodel.framing import Framing
from worldmodel.progress import NoProgress
from worldmodel.train.checkpoint import read_manifest, write_manifest

ACTIONS = 8


def config(**data) -> ExperimentConfig:
    """A model of LineWorld that is trained in a moment."""
    values = {
        "data": {"val_fraction": 0.25, "frame_skip": 2, **data},
        "model": {
            "encoder": {"widths": [8], "stem_stride": 2, "grid": 2, "token_dim": 4},
            "predictor": {"width": 16, "depth": 1, "num_heads": 2, "cond_dim": 8, "action_width": 8},
            "sensors": ["pixels", "state"],
        },
        "train": {"num_steps": 4, "batch_size": 4, "num_frames": 3, "val_batches": 1, "device": "cpu"},
        "heads": {
            "num_labelled_frames": 40,
            "progress_steps": 20,
            "progress_width": 8,
            "picture_steps": 0,
            "max_steps_ahead": 1,
        },
        "planner": {"elites": {"horizon": 2, "num_samples": [8, 8], "num_proposals": 4}, "num_recorded_actions": 16},
        "logging": {"wandb": "disabled"},
    }
    if data.get("image_size") is None:
        values["model"]["encoder"] |= {"widths": [8, 8]}
    return strict.build(ExperimentConfig, values)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lines")


def line_data(root: Path, name: str, seed: int = 0, num_objects: int = 3) -> Path:
    settings = RecordConfig(num_episodes=24, seed=seed, workers=1, aimed=0.0, random=1.0, expert=0.0)
    record(partial(LineWorld, num_objects, ACTIONS), settings, root / name)
    return root / name


@pytest.fixture(scope="module")
def data(root: Path) -> Path:
    return line_data(root, "data")


def learned_from(root: Path) -> Dataset:
    """The episodes of a dataset that are trained on."""
    dataset = Dataset.open(root)
    return dataset.select([k for k, row in enumerate(dataset.episodes) if not in_validation(row.seed, 0.25)])


def spoiled(data: Path, root: Path) -> Path:
    """A copy of a dataset whose validation episodes feel and do absurd things."""
    dataset = Dataset.open(data)
    with DatasetWriter(root, dataset.spec, fps=dataset.fps) as writer:
        for k, row in enumerate(dataset.episodes):
            episode = dataset.read_episode(k)
            if in_validation(row.seed, 0.25):
                felt = {**episode.observations, "state": episode.observations["state"] + np.float32(1e6)}
                episode = dataclasses.replace(episode, observations=felt, actions=np.ones_like(episode.actions))
            writer.add(episode)
    finalize(root)
    return root


@pytest.fixture(scope="module")
def run_dir(root: Path, data: Path) -> Path:
    """A model of blocks of two actions that sees half of the picture."""
    experiment, run_dir = config(image_size=4), root / "run"
    stages.fit_model(experiment, data, run_dir, resume=False, progress=NoProgress())
    stages.fit_heads_of(experiment, data, run_dir, progress=NoProgress())
    return run_dir


def test_the_manifest_says_how_frames_and_actions_were_cut(run_dir: Path, data: Path) -> None:
    manifest, stats = read_manifest(run_dir), learned_from(data).stats
    assert (manifest.frame_skip, manifest.action_block, manifest.image_size) == (2, 2, 4)
    assert manifest.spec == spec_of(LineWorld(3, ACTIONS)), "the world itself, not as the model sees it"
    for name, column in (("state", "observation.environment_state"), ("action", "action")):
        np.testing.assert_allclose(manifest.normalisation[name].mean, stats[column]["mean"])
        np.testing.assert_allclose(manifest.normalisation[name].std, stats[column]["std"])


def test_the_model_scales_vectors_by_the_manifest(run_dir: Path) -> None:
    run = load_run(run_dir)
    vectors: Any = run.model.encoder.tokenize_vectors
    tokenize = vectors["state"]
    values = run.manifest.normalisation["state"]
    torch.testing.assert_close(tokenize.mean, torch.tensor(values.mean))
    expected = [std if std > 1e-6 else 1.0 for std in values.std]
    torch.testing.assert_close(tokenize.std, torch.tensor(expected))
    seen = run.model.spec
    assert seen.sensors["pixels"].shape == (4, 4, 3) and seen.action.names == (
        "action_0@0",
        "action_1@0",
        "action_0@1",
        "action_1@1",
    )


@pytest.mark.parametrize("settings", [{}, {"source": "stream"}])
def test_validation_episodes_say_nothing_of_the_scale(data: Path, tmp_path: Path, settings: dict) -> None:
    other = spoiled(data, tmp_path / "spoiled")
    assert Dataset.open(other).stats["observation.environment_state"]["max"].max() > 1e5
    clean, absurd = (open_recordings(root, config(**settings)).normalisation() for root in (data, other))
    assert set(clean) == {"state", "action"} and absurd == clean
    mixed, spoilt = (open_recordings(roots, config(**settings)).normalisation() for roots in ((data, data), (data, other)))
    assert spoilt == mixed
    # and none is kept where all episodes are trained on
    everything = open_recordings(other, config(val_fraction=0.0, **settings)).normalisation()
    np.testing.assert_allclose(everything["state"].mean, Dataset.open(other).stats["observation.environment_state"]["mean"])


def test_recorded_blocks_are_actions_that_followed_each_other(run_dir: Path, data: Path) -> None:
    heads = load_run(run_dir).heads
    assert heads is not None and heads.recorded_actions.shape == (16, 4)
    dataset = Dataset.open(data)
    followed = {
        tuple(np.concatenate(pair).tolist())
        for k in range(dataset.num_episodes)
        for actions in [dataset.read_episode(k).actions]
        for pair in itertools.pairwise(actions)
    }
    assert all(tuple(block.tolist()) in followed for block in heads.recorded_actions)


def test_the_agent_does_a_block_before_it_plans_again(run_dir: Path) -> None:
    env, run = LineWorld(3, ACTIONS), load_run(run_dir)
    experiment = run.experiment()
    agent: MPCAgent = build_agent(run, experiment.planner, experiment.cost, env)
    agent.reset([0])
    observation, _ = env.reset(seed=5)
    plans = []
    for step in range(4):
        action = agent.act({key: value[None] for key, value in observation.items()})[0]
        assert env.action_space.contains(action) and agent.last_plan is not None
        plans.append(agent.last_plan)
        np.testing.assert_array_equal(action, plans[-1].actions[0, 0].numpy().reshape(2, 2)[step % 2])
        observation, *_ = env.step(action)
    assert plans[0] is plans[1] and plans[1] is not plans[2] and plans[2] is plans[3]


def test_it_is_measured_in_blocks(run_dir: Path, data: Path) -> None:
    found = measure(config(image_size=4), data, run_dir)
    assert {"position_cm_0", "position_cm_1"} <= set(found)


def test_another_cut_is_refused_in_one_line(run_dir: Path, data: Path, tmp_path: Path) -> None:
    for changed in (config(image_size=4, frame_skip=1), config()):
        with pytest.raises(CheckpointError, match="train again, or set it back") as caught:
            measure(changed, data, run_dir)
        assert "\n" not in str(caught.value)
    manifest = read_manifest(run_dir)
    write_manifest(tmp_path, dataclasses.replace(manifest, action_block=3))
    with pytest.raises(CheckpointError, match="action_block is 3 and frame_skip 2; expected the same number"):
        read_manifest(tmp_path)


def test_a_cut_that_changes_is_another_model_and_a_place_is_not(run_dir: Path, data: Path, tmp_path: Path) -> None:
    assert stages.trained(config(image_size=4), data, run_dir)
    assert stages.trained(config(image_size=4, cache_dir=str(tmp_path), cache_gb=9.0), data, run_dir)
    assert not stages.trained(config(image_size=4, stride=2), data, run_dir)
    assert not stages.trained(config(image_size=4, frame_skip=1), data, run_dir)


@pytest.mark.parametrize("settings", [{"source": "stream"}, {"cache_gb": 1e-9}])
def test_what_is_larger_than_the_cache_may_be_is_streamed(data: Path, tmp_path: Path, settings: dict) -> None:
    streaming = config(cache_dir=str(tmp_path / "caches"), **settings)
    cached = open_recordings(data, config())
    recordings = open_recordings(data, streaming)
    assert recordings.streamed and not cached.streamed and not (tmp_path / "caches").exists()
    one, two = recordings.windows(3), cached.windows(3)
    assert isinstance(one, StreamedWindows) and isinstance(two, Windows) and one.num_windows == two.num_windows
    assert torch.equal(one.batch(np.arange(5)).actions, two.batch(np.arange(5)).actions)
    torch.testing.assert_close(recordings.recorded_actions(20), cached.recorded_actions(20))
    stages.fit_model(streaming, data, tmp_path / "run", resume=False, progress=NoProgress())
    stages.fit_heads_of(streaming, data, tmp_path / "run", progress=NoProgress())
    assert stages.trained(streaming, data, tmp_path / "run")


def test_a_cache_that_must_not_be_that_large_is_refused(data: Path) -> None:
    with pytest.raises(DataError, match=r"would take .* GB, data\.cache_gb is 1e-09: raise it"):
        open_recordings(data, config(source="cache", cache_gb=1e-9))


def test_the_cache_is_where_it_is_told(data: Path, tmp_path: Path) -> None:
    open_recordings(data, config(cache_dir=str(tmp_path / "caches"), image_size=4))
    assert [path.name.endswith("-4px") for path in (tmp_path / "caches").iterdir() if not path.name.startswith(".")] == [True]


def test_a_mixture_trains_and_its_datasets_are_remembered(root: Path, data: Path, tmp_path: Path) -> None:
    other = line_data(root, "other", seed=9)
    parts = (MixturePart(str(data), weight=3.0), MixturePart(str(other)))
    mixed = dataclasses.replace(config(), data=dataclasses.replace(config().data, mixture=parts))
    recordings = open_recordings((), mixed)
    assert (recordings.num_episodes, recordings.seeds) == (48, Dataset.open(data).seeds | Dataset.open(other).seeds)
    windows = recordings.windows(3)
    assert isinstance(windows, JoinedWindows) and len(windows.sources) == 2
    source = recordings.batches(3, 4, seed=0)
    drawn = np.concatenate([windows.source_of(source.sampler.next()) for _ in range(500)])
    assert np.mean(drawn == 0) == pytest.approx(0.75, abs=0.05)
    learned = [learned_from(path) for path in (data, other)]
    counts = [dataset.num_frames - dataset.num_episodes for dataset in learned]
    mean = np.average([dataset.stats["action"]["mean"] for dataset in learned], axis=0, weights=counts)
    np.testing.assert_allclose(recordings.normalisation()["action"].mean, mean)
    assert recordings.recorded_actions(16).shape == (16, 4)

    stages.fit_model(mixed, (), tmp_path, resume=False, progress=NoProgress())
    stages.fit_heads_of(mixed, (), tmp_path, progress=NoProgress())
    assert stages.trained(mixed, (), tmp_path) and not stages.trained(config(), data, tmp_path)
    with pytest.raises(CheckpointError, match="was not trained on"):
        stages.fit_heads_of(config(), data, tmp_path, progress=NoProgress())
    # the same two on the command line, with their weights
    told = dataclasses.replace(config(), data=dataclasses.replace(config().data, weights=(3.0, 1.0)))
    assert open_recordings((data, other), told).fingerprint == recordings.fingerprint


def test_datasets_that_one_model_cannot_learn_from_are_refused(root: Path, data: Path) -> None:
    class WiderWorld(LineWorld):
        def __init__(self) -> None:
            super().__init__(3, ACTIONS)
            box = gymnasium.spaces.Box
            self.observation_space = gymnasium.spaces.Dict(
                pixels=box(0, 255, (8, 8, 3), np.uint8), state=box(-4, 4, (7,), np.float32)
            )

        def _observe(self) -> dict[str, np.ndarray]:
            seen = super()._observe()
            return {**seen, "state": np.append(seen["state"], np.float32(0))}

    settings = RecordConfig(num_episodes=4, workers=1, aimed=0.0, random=1.0, expert=0.0)
    record(WiderWorld, settings, root / "wider")
    with pytest.raises(
        MismatchError, match=r"one model cannot learn from both .*'state' shape: \(6,\) expected, \(7,\) got"
    ) as caught:
        open_recordings((data, root / "wider"), config())
    assert "\n" not in str(caught.value)
    only_pixels = dataclasses.replace(config(), model=dataclasses.replace(config().model, sensors=("pixels",)))
    assert open_recordings((data, root / "wider"), only_pixels).num_episodes == 28  # the model does not look at it


def test_datasets_are_named_in_one_place(data: Path) -> None:
    with pytest.raises(ConfigError, match="no dataset is named"):
        open_recordings((), config())
    mixed = dataclasses.replace(config(), data=DataConfig(mixture=(MixturePart(str(data)),)))
    with pytest.raises(ConfigError, match=r"by --data .* and by data\.mixture"):
        open_recordings(data, mixed)
    with pytest.raises(ConfigError, match=r"data\.weights has 1 numbers; expected one for each of 2 --data"):
        open_recordings((data, data), config(weights=[1.0]))


def test_settings_are_checked() -> None:
    for bad in ({"frame_skip": 0}, {"image_size": 0}, {"cache_gb": 0.0}, {"buffer_windows": 1}, {"source": "disk"}):
        with pytest.raises(ConfigError, match="expected"):
            config(**bad)
    assert config().data.framing == Framing(2)
    long = strict.build(ExperimentConfig, {"env": {"kwargs": {"max_sweeps": 4}}, "data": {"frame_skip": 3}})
    with pytest.raises(ConfigError, match=r"has 2 frames at most with data\.frame_skip 3"):
        long.require_whole_windows()
