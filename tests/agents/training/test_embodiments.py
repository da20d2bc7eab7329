"""One model of two robots that act and feel differently, from recordings to the agent of either."""

from __future__ import annotations

import dataclasses
import io
import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from agents import strict
from agents.console import Screen
from agents.experiment import DataConfig, EnvConfig, ExperimentConfig, MixturePart
from agents.inspect import health_lines, show_run
from agents.players import make_agent
from agents.recording.record import RecordConfig, record
from agents.report.pictures import load_strips
from agents.training import stages
from agents.training.health import NUM_WINDOWS
from agents.training.health import longest_windows as health_windows
from agents.training.measure import measure
from agents.training.recordings import Recordings, open_recordings
from agents.training.runs import Run, build_agent, load_run
from tests.fakes import LineWorld
from worldmodel.data import Dataset, in_validation
from worldmodel.diagnostics import horizon_errors
from worldmodel.errors import ConfigError, DataError, MismatchError
from worldmodel.normalisation import MeanStd
from worldmodel.progress import NoProgress
from worldmodel.train.checkpoint import read_manifest, write_manifest


class OtherWorld(LineWorld):
    """The same line, hit by a robot with three numbers to an action and more to feel."""

    def __init__(self, num_objects: int = 3, max_sweeps: int = 6) -> None:
        super().__init__(num_objects, max_sweeps)
        box = gymnasium.spaces.Box
        spaces = {"pixels": box(0, 255, (8, 8, 3), np.uint8), "state": box(-9, 9, (9,), np.float32)}
        self.observation_space = gymnasium.spaces.Dict(spaces)
        self.action_space = box(-2, 2, (3,), np.float32)

    def step(self, action: np.ndarray):
        return super().step(np.array([action[2] / 2, action[0]], np.float32))

    def _observe(self) -> dict[str, np.ndarray]:
        seen = super()._observe()
        return {**seen, "state": np.concatenate([seen["state"], [5, 6, 7]]).astype(np.float32)}


WORLDS = (partial(LineWorld, 3, 6), OtherWorld)


def config(**model: Any) -> ExperimentConfig:
    values = {
        "data": {"val_fraction": 0.25},
        "model": {
            "encoder": {"widths": [8, 8], "stem_stride": 2, "grid": 2, "token_dim": 4} | model.pop("encoder", {}),
            "predictor": {"width": 16, "depth": 1, "num_heads": 2, "cond_dim": 8, "action_width": 8},
            "sensors": ["pixels", "state"],
            **({"embodiments": True} | model),
        },
        "objective": {"inverse_dynamics_coef": 0.1},
        "train": {"num_steps": 8, "batch_size": 4, "num_frames": 3, "val_batches": 1, "device": "cpu"},
        "heads": {"num_labelled_frames": 60, "num_unlabelled_frames": 20, "progress_steps": 20, "progress_width": 8,
                  "picture_steps": 0, "max_steps_ahead": 1},
        "planner": {"elites": {"horizon": 2, "num_samples": [8, 8], "num_proposals": 4}, "num_recorded_actions": 16},
        "logging": {"wandb": "disabled"},
    }  # fmt: skip
    return strict.build(ExperimentConfig, values)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("robots")
    for seed, (name, world) in enumerate(zip(("one", "two"), WORLDS, strict=True)):
        settings = RecordConfig(num_episodes=24, seed=100 * seed, workers=1, aimed=0.0, random=1.0, expert=0.0)
        record(world, settings, root / name)
    return root / "one", root / "two"


@pytest.fixture(scope="module")
def run_dir(data: tuple[Path, Path]) -> Path:
    run_dir = data[0].parent / "run"
    stages.fit_model(config(), data, run_dir, resume=False, progress=NoProgress())
    assert stages.trained(config(), data, run_dir)
    stages.fit_heads_of(config(), data, run_dir, progress=NoProgress())
    return run_dir


def test_the_manifest_keeps_both_robots(run_dir: Path) -> None:
    manifest = read_manifest(run_dir)
    (other,) = manifest.embodiments
    assert (manifest.spec.action.dim, other.spec.action.dim) == (2, 3)
    assert (len(manifest.normalisation["state"].mean), len(other.normalisation["state"].mean)) == (6, 9)
    assert other.normalisation["state"].mean[-3:] == pytest.approx((5, 6, 7))


def test_each_robot_is_scaled_by_its_own_training_episodes(run_dir: Path, data: tuple[Path, Path]) -> None:
    manifest = read_manifest(run_dir)
    for root, scale in zip(data, (manifest.normalisation, manifest.embodiments[0].normalisation), strict=True):
        dataset = Dataset.open(root)
        trained = [k for k, row in enumerate(dataset.episodes) if not in_validation(row.seed, 0.25)]
        felt = np.concatenate([dataset.read_episode(k).observations["state"] for k in trained])
        assert 0 < len(trained) < 24
        np.testing.assert_allclose(scale["state"].mean, felt.mean(axis=0, dtype=np.float64), rtol=1e-6, atol=1e-9)


def test_training_on_keeps_each_robots_own_scale(run_dir: Path, data: tuple[Path, Path], tmp_path: Path) -> None:
    """Also where both feel as many numbers."""
    one, two = read_manifest(run_dir), tmp_path / "two"
    twins = config(embodiments=True)
    twins = dataclasses.replace(twins, train=dataclasses.replace(twins.train, num_steps=1))
    part = dataclasses.replace(twins.data, mixture=tuple(MixturePart(str(data[0]), embodiment=n) for n in (0, 1)))
    twins = dataclasses.replace(twins, data=part)
    stages.fit_model(twins, (), tmp_path / "parent", resume=False, progress=NoProgress())
    parent = read_manifest(tmp_path / "parent")
    moved = {"state": MeanStd((9.0,) * 6, (2.0,) * 6), "action": parent.normalisation["action"]}
    body = dataclasses.replace(parent.embodiments[0], normalisation=moved)
    write_manifest(tmp_path / "parent", dataclasses.replace(parent, embodiments=(body,)))
    child = dataclasses.replace(twins, train=dataclasses.replace(twins.train, init_from=str(tmp_path / "parent")))
    stages.fit_model(child, (), two, resume=False, progress=NoProgress())
    assert read_manifest(two).normalisation["state"] == one.normalisation["state"]
    assert read_manifest(two).embodiments[0].normalisation["state"] == moved["state"]


def test_projections_are_each_robots_own_and_the_trunk_is_shared(run_dir: Path) -> None:
    model = load_run(run_dir).model
    own = {name.split(".bodies.")[0] for name in model.state_dict() if ".bodies." in name}
    assert own == {"encoder.tokenize_vectors.state", "encoder.norm", "predictor.action", "predictor.frame_action"}
    pixels = torch.randint(0, 256, (2, 1, 8, 8, 3), dtype=torch.uint8)
    latents = []
    for number, (state, actions) in enumerate(((6, 2), (9, 3))):
        model.embody(number)
        z = model.encode({"pixels": pixels, "state": torch.rand(2, 1, state)})
        assert model.predict(z, torch.rand(2, 1, actions)).shape == z.shape == (2, 1, 5, 4)
        assert model.spec.action.dim == actions
        latents.append(model.encoder.tokens({"pixels": pixels, "state": torch.rand(2, 1, state)}))  # type: ignore[operator]
    torch.testing.assert_close(latents[0][:, :, :4], latents[1][:, :, :4])
    with pytest.raises(MismatchError, match="embodiment 2 is asked for, the model has 2"):
        model.embody(2)


def test_both_robots_learned(data: tuple[Path, Path], tmp_path: Path) -> None:
    torch.manual_seed(0)
    stages.fit_model(config(), data, tmp_path, resume=False, progress=NoProgress())
    norms = load_run(tmp_path).model.encoder.norm.bodies  # type: ignore[union-attr]
    counts = [int(norm.num_updates) for norm in norms]  # type: ignore[union-attr, arg-type]
    assert sum(counts) == 8 and min(counts) > 0


@pytest.mark.parametrize("number", [0, 1])
def test_the_agent_is_the_robot_of_its_environment(run_dir: Path, number: int) -> None:
    run, env = load_run(run_dir), WORLDS[number]()
    agent = build_agent(run, run.experiment().planner, run.experiment().cost, env)
    assert run.model.embodiment == number
    agent.reset([0])
    observation, _ = env.reset(seed=5)
    for _ in range(2):
        action = agent.act({key: value[None] for key, value in observation.items()})[0]
        assert env.action_space.contains(action)
        observation, *_ = env.step(action)
    assert run.heads is not None and run.heads.recorded(number).shape == (16, (2, 3)[number])
    assert bool(run.heads.recorded(number).any())


def test_a_robot_that_it_does_not_know_is_refused(run_dir: Path) -> None:
    env = OtherWorld()
    env.action_space = gymnasium.spaces.Box(-2, 2, (4,), np.float32)
    run = load_run(run_dir)
    with pytest.raises(MismatchError, match=r"environment does not fit of embodiment 1: action names") as caught:
        build_agent(run, run.experiment().planner, run.experiment().cost, env)
    assert "\n" not in str(caught.value)


def test_it_is_measured_as_each_of_the_robots(run_dir: Path, data: tuple[Path, Path]) -> None:
    first = measure(config(), data, run_dir)
    assert "position_cm_0" in first
    values = json.loads((run_dir / "diagnostics.json").read_text())
    measures, ours = values["measures"], {name for name in values["measures"] if not name.startswith("embodiment_")}
    theirs = {name.removeprefix("embodiment_1_") for name in measures if name.startswith("embodiment_1_")}
    assert {"effective_rank", "action_ratio", "error_over_copy"} <= ours & theirs and "position_cm_0" in theirs
    assert measures["embodiment_1_effective_rank"] != measures["effective_rank"]
    # what the model makes of that robot's own windows, all of which are looked at
    run, windows = load_run(run_dir), health_windows(open_recordings(data, config()), 1)
    assert run.heads is not None and windows.num_windows < NUM_WINDOWS
    run.model.embody(1)
    drift = horizon_errors(run.model, windows.batch(np.arange(windows.num_windows)), run.heads.progress)
    assert measures["embodiment_1_error_over_copy"] == pytest.approx(drift.predicted[0] / drift.copied[0], rel=1e-5)
    assert any(line.startswith("embodiment 1 (OtherWorld): ") for line in values["alarms"])
    lines = health_lines(run_dir)
    assert any(line.startswith("embodiment 1: std ") for line in lines)


def test_a_robot_without_validation_episodes_is_left_out(
    run_dir: Path, data: tuple[Path, Path], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows = Recordings.windows

    def without(self: Recordings, *given: Any, **named: Any) -> Any:
        if named.get("embodiment") == 1:
            raise DataError("no episodes")
        return windows(self, *given, **named)

    monkeypatch.setattr(Recordings, "windows", without)
    assert "position_cm_0" in measure(config(), data, run_dir)
    assert not any(
        name.startswith("embodiment_") for name in json.loads((run_dir / "diagnostics.json").read_text())["measures"]
    )
    assert "embodiment 1 (OtherWorld) is not measured: no episodes" in caplog.text


def test_one_model_without_embodiments_takes_only_what_agrees(data: tuple[Path, Path]) -> None:
    with pytest.raises(MismatchError, match="one model cannot learn from both"):
        open_recordings(data, config(embodiments=False))
    mixture = (MixturePart(str(data[0])), MixturePart(str(data[1]), embodiment=1))
    mixed = dataclasses.replace(config(), data=DataConfig(val_fraction=0.25, mixture=mixture))
    assert len(open_recordings((), mixed).worlds) == 2
    with pytest.raises(ConfigError, match=r"needs model\.embodiments: true"):
        open_recordings((), dataclasses.replace(mixed, model=config(embodiments=False).model))
    skipped = (MixturePart(str(data[0])), MixturePart(str(data[1]), embodiment=2))
    with pytest.raises(ConfigError, match=r"the embodiments are \[0, 2\]; expected numbers from 0 on"):
        open_recordings((), dataclasses.replace(mixed, data=DataConfig(mixture=skipped)))


def test_datasets_that_agree_are_one_robot(data: tuple[Path, Path]) -> None:
    recordings = open_recordings((data[1], data[0], data[1]), config())
    assert [part.embodiment for part in recordings.parts] == [0, 1, 0]
    assert recordings.world.action.dim == 3 and recordings.recorded_actions(10, 1).shape == (10, 2)


class Blind(LineWorld):
    """Feels nothing."""

    def __init__(self) -> None:
        super().__init__(3, 6)
        self.observation_space = gymnasium.spaces.Dict(pixels=self.observation_space["pixels"])  # type: ignore[index]

    def _observe(self) -> dict[str, np.ndarray]:
        return {"pixels": super()._observe()["pixels"]}


@pytest.fixture(scope="module")
def tolerant(data: tuple[Path, Path]) -> Run:
    """A run of one robot whose sensors were hidden now and then in training."""
    experiment, run_dir = config(encoder={"sensor_dropout": 0.3}, embodiments=False), data[0].parent / "tolerant"
    stages.fit_model(experiment, data[0], run_dir, resume=False, progress=NoProgress())
    stages.fit_heads_of(experiment, data[0], run_dir, progress=NoProgress())
    return load_run(run_dir)


def first_action(agent: Any, env: gymnasium.Env) -> np.ndarray:
    agent.reset([0])
    observation, _ = env.reset(seed=5)
    return agent.act({key: value[None] for key, value in observation.items()})[0]


def test_a_robot_may_lack_a_sensor_that_is_hidden_in_training(tolerant: Run) -> None:
    env = Blind()
    agent = build_agent(tolerant, tolerant.experiment().planner, tolerant.experiment().cost, env)
    assert env.action_space.contains(first_action(agent, env))


def test_a_failed_sensor_is_an_agent_of_its_own_that_acts_on(tolerant: Run) -> None:
    experiment, env = tolerant.experiment(), LineWorld(3, 6)
    agents = {
        name: make_agent(name, tolerant, experiment, env) for name in ("worldmodel", "worldmodel~state", "worldmodel~pixels")
    }
    assert len({agent.identity for agent in agents.values()}) == 3
    assert all(env.action_space.contains(first_action(agent, env)) for agent in agents.values())
    seen = []
    for name in ("worldmodel~state", "worldmodel~pixels"):
        agent: Any = agents[name]
        agent.model = SimpleNamespace(
            encode=lambda obs: seen.append(obs) or tolerant.model.encode(obs), rollout=tolerant.model.rollout
        )
        first_action(agent, env)
    assert seen[0].keys() == {"pixels"} and seen[0]["pixels"].any()
    assert not seen[1]["pixels"].any() and seen[1]["state"].any()
    with pytest.raises(ConfigError, match=r"unknown sensor 'stat'.* 'state'"):
        make_agent("worldmodel~stat", tolerant, experiment, env)


def test_the_loss_in_success_stands_in_one_table(tolerant: Run, tmp_path: Path) -> None:
    overrides = ("evaluate.num_episodes=3", "evaluate.agents=[worldmodel, worldmodel~state]")
    found = stages.score(tolerant, tolerant.experiment(overrides), LineWorld(3, 6), NoProgress(), tmp_path / "scores.json")
    assert list(found.scores) == ["random", "worldmodel", "worldmodel~state", "expert"]


def test_what_was_never_hidden_cannot_fail(run_dir: Path) -> None:
    run, env = load_run(run_dir), LineWorld(3, 6)
    with pytest.raises(MismatchError, match=r"cannot act without 'state', .*sensor_dropout above 0"):
        make_agent("worldmodel~state", run, run.experiment(), env)
    blind = make_agent("worldmodel~pixels", run, run.experiment(), env)  # a black picture is a picture
    assert env.action_space.contains(first_action(blind, env))


class Feeling(Blind):
    """Sees nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.observation_space = gymnasium.spaces.Dict(state=LineWorld().observation_space["state"])  # type: ignore[index]

    def _observe(self) -> dict[str, np.ndarray]:
        return {"state": LineWorld._observe(self)["state"]}


def test_robots_with_different_sensors_share_a_model(data: tuple[Path, Path], tmp_path: Path) -> None:
    for name, world in (("blind", Blind), ("feeling", Feeling)):
        settings = RecordConfig(num_episodes=24, seed=7, workers=1, aimed=0.0, random=1.0, expert=0.0)
        record(world, settings, tmp_path / name)
    sources = (data[0], tmp_path / "blind", tmp_path / "feeling")
    experiment = config(encoder={"sensor_dropout": 0.3})
    stages.fit_model(experiment, sources, tmp_path / "run", resume=False, progress=NoProgress())
    stages.fit_heads_of(experiment, sources, tmp_path / "run", progress=NoProgress())
    assert "position_cm_0" in measure(experiment, sources, tmp_path / "run")
    run = load_run(tmp_path / "run")
    assert [set(world.sensors) for world in run.worlds] == [{"pixels", "state"}, {"pixels"}, {"state"}]
    for number, env in enumerate((LineWorld(3, 6), Blind(), Feeling())):
        agent = build_agent(run, run.experiment().planner, run.experiment().cost, env)
        assert run.model.embodiment == number
        assert env.action_space.contains(first_action(agent, env))

    # one that shows more than it was recorded with acts on what it was recorded with
    more = type("Blind", (LineWorld,), {})(3, 6)
    agent = build_agent(run, run.experiment().planner, run.experiment().cost, more)
    assert run.model.embodiment == 1 and agent.sensors == ("pixels",)
    assert more.action_space.contains(first_action(agent, more))
    observation = {key: torch.from_numpy(value)[None, None] for key, value in more.reset(seed=5)[0].items()}
    with pytest.raises(MismatchError, match="the observation has 'state', which this robot was recorded without; leave it out"):
        run.model.encode(observation)


def test_a_first_robot_that_sees_nothing_is_measured_without_pictures(data: tuple[Path, Path], tmp_path: Path) -> None:
    settings = RecordConfig(num_episodes=24, seed=7, workers=1, aimed=0.0, random=1.0, expert=0.0)
    record(Feeling, settings, tmp_path / "feeling")
    sources, experiment = (tmp_path / "feeling", data[0]), config(encoder={"sensor_dropout": 0.3})
    stages.fit_model(experiment, sources, tmp_path / "run", resume=False, progress=NoProgress())
    stages.fit_heads_of(experiment, sources, tmp_path / "run", progress=NoProgress())
    strips = tmp_path / "run" / "figures" / "strips.npz"
    assert "position_cm_0" in measure(experiment, sources, tmp_path / "run") and not strips.exists()  # nobody fitted a decoder
    fitted = dataclasses.replace(experiment, heads=dataclasses.replace(experiment.heads, picture_steps=20, picture_width=8))
    stages.fit_heads_of(fitted, sources, tmp_path / "run", progress=NoProgress())
    measure(fitted, sources, tmp_path / "run")
    assert load_strips(strips)[0][0].real.shape[1:] == (8, 8, 3)
    # the world of each robot is compared with its environment, by the sensors that it has
    asked: list[str] = []

    def make(config: EnvConfig, **_: Any) -> gymnasium.Env:
        asked.append(config.id)
        return (Feeling(), LineWorld(3, 6))[len(asked) - 1]

    assert show_run(tmp_path / "run", make, Screen(io.StringIO())) == [] and len(asked) == 2
