"""What would fail only after training is told before it, in one line that names the setting."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from agents.experiment import EnvConfig, EvalConfig, ExperimentConfig
from agents.recording.record import RecordConfig, record
from agents.training.preflight import require_parent, require_ready, require_recording
from agents.training.sources import Sources
from agents.worldspec import spec_of
from tests.agents.training.test_recordings import ACTIONS, config, line_data
from tests.fakes import LineWorld
from worldmodel.data import Dataset
from worldmodel.data.view import write_view
from worldmodel.errors import CheckpointError, ConfigError, DataError, MismatchError, MissingExtraError, WorldModelError


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return line_data(tmp_path_factory.mktemp("lines"), "data")


def make_line(config: EnvConfig, **overrides: Any) -> LineWorld:
    return LineWorld(3, ACTIONS)


def failing(error: WorldModelError) -> Callable[..., Any]:
    def make_env(config: EnvConfig, **overrides: Any) -> LineWorld:
        raise error

    return make_env


def ready(experiment: ExperimentConfig, data: Sources, make_env: Callable[..., Any] = make_line) -> list[str]:
    """What is told."""
    told: list[str] = []
    require_ready(experiment, data, make_env, told.append)
    return told


def changed(section: str, **values: Any) -> ExperimentConfig:
    """The usual experiment, without frames skipped, with other values in a section."""
    usual = config(frame_skip=1)
    return dataclasses.replace(usual, **{section: dataclasses.replace(getattr(usual, section), **values)})


def test_an_experiment_that_will_do_is_told_nothing(data: Path) -> None:
    assert ready(config(), data) == []
    tolerant = dataclasses.replace(with_dropout(0.2), evaluate=EvalConfig(agents=("worldmodel:goal~state", "random")))
    assert ready(tolerant, data) == []
    # the longest windows that there are: an episode has a frame more than actions
    assert ready(changed("train", num_frames=ACTIONS + 1), data) == []
    assert ready(changed("heads", max_steps_ahead=ACTIONS), data) == []


@pytest.mark.parametrize(
    ("section", "values", "told"),
    [
        (
            "train",
            {"num_frames": ACTIONS + 2},
            f"no window of {ACTIONS + 2} frames .* lower train.num_frames",
        ),
        ("heads", {"max_steps_ahead": ACTIONS + 1}, f"no window of {ACTIONS + 2} frames .* lower heads.max_steps_ahead"),
        ("data", {"val_fraction": 1e-9, "frame_skip": 1}, "in the val split: 0 of 24 episodes .*; change data.val_fraction"),
        ("heads", {"held_out": 0.99}, "heads.held_out 0.99 leaves none"),
    ],
)
def test_windows_that_there_are_not(data: Path, section: str, values: dict[str, Any], told: str) -> None:
    with pytest.raises(DataError, match=told) as caught:
        ready(changed(section, **values), data)
    assert "\n" not in str(caught.value)
    if "window" in told:
        assert str(caught.value).startswith(f"{data}: ") and f"longest of {0 if 'val' in told else ACTIONS + 1} frames" in str(
            caught.value
        )


def test_a_single_episode_is_enough_to_pretrain_on_and_too_few_for_heads(data: Path, tmp_path: Path) -> None:
    write_view(tmp_path / "one.json", data, Dataset.open(data).fingerprint, [0], "")
    usual = changed("data", val_fraction=0.0)
    with pytest.raises(DataError, match=r"^1 episodes have windows to fit heads on"):
        ready(usual, tmp_path / "one.json")
    objective = dataclasses.replace(usual.objective, prediction_coef=0.0, rollout_coef=0.0, masked_coef=1.0)
    assert ready(dataclasses.replace(usual, objective=objective), tmp_path / "one.json") == []


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("wroldmodel", "evaluate.agents: unknown agent 'wroldmodel'; .* Did you mean 'worldmodel'?"),
        ("worldmodel:gaol", "Did you mean 'worldmodel:goal'?"),
        ("worldmodel:", "unknown agent 'worldmodel:'"),
        ("random~state", "unknown agent 'random~state'"),
        ("worldmodel~stat", "evaluate.agents: unknown sensor 'stat'; .* Did you mean 'state'?"),
    ],
)
def test_an_agent_that_nobody_has(data: Path, name: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told.replace("?", r"\?")):
        ready(changed("evaluate", agents=(name,)), data)


def test_a_world_that_could_be_made_nowhere_is_refused_and_one_that_cannot_be_made_here_is_told(data: Path) -> None:
    usual, asked = config(), []

    def make_env(config: EnvConfig, **overrides: Any) -> LineWorld:
        asked.append((config, overrides))
        return LineWorld(3, ACTIONS)

    ready(dataclasses.replace(usual, evaluate=EvalConfig(num_objects=2)), data, make_env)
    assert asked == [(usual.env, {"num_objects": 2})]

    with pytest.raises(ConfigError, match="unknown robot"):
        ready(usual, data, failing(ConfigError("unknown robot")))
    # whatever was recorded can be made somewhere; so can what needs a package, or a screen
    recorded = dataclasses.replace(usual, env=EnvConfig(Dataset.open(data).spec.env_id))
    elsewhere = (recorded, failing(ConfigError("no\nsuch file"))), (usual, failing(MissingExtraError("no package")))
    for experiment, maker in (*elsewhere, (usual, failing(WorldModelError("no OpenGL context")))):
        (line,) = ready(experiment, data, maker)
        assert line.startswith(f"warning: {experiment.env.id} cannot be made here") and ": no " in line and "\n" not in line
    with pytest.raises(ConfigError, match="no range"):
        other = dataclasses.replace(recorded, env=EnvConfig(recorded.env.id, {"num_objects": 99}))
        ready(other, data, failing(ConfigError("no range")))


def test_a_run_to_begin_from_is_there(tmp_path: Path) -> None:
    require_parent(config())
    nowhere = changed("train", init_from=str(tmp_path / "nowhere"))
    with pytest.raises(CheckpointError, match=r"train.init_from: no such folder: .*nowhere; name the folder of a trained run"):
        require_parent(nowhere)


def test_a_failed_camera_is_black_and_another_sensor_is_missed_alone(data: Path) -> None:
    assert ready(changed("evaluate", agents=("worldmodel~pixels",)), data) == []
    with pytest.raises(ConfigError, match="worldmodel~state cannot act without 'state', which the model is never without"):
        ready(changed("evaluate", agents=("worldmodel", "worldmodel~state")), data)
    usual = with_dropout(0.2).model
    alone = dataclasses.replace(usual, sensors=("state",), encoder=dataclasses.replace(usual.encoder, output="vector"))
    (line,) = ready(dataclasses.replace(with_dropout(0.2), model=alone), data, made(BlindLine))
    assert line.startswith("warning: evaluate will refuse") and line.endswith("sensor 'state' is missing")


class BlindLine(LineWorld):
    """Shows no state."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.observation_space = gymnasium.spaces.Dict(pixels=gymnasium.spaces.Box(0, 255, (8, 8, 3), np.uint8))


class LongLine(LineWorld):
    """Its actions reach further."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.action_space = gymnasium.spaces.Box(-2, 2, (2,), np.float32)


def made(kind: type[LineWorld]) -> Callable[..., LineWorld]:
    return lambda config, **overrides: kind(3, ACTIONS)


def with_dropout(share: float) -> ExperimentConfig:
    usual = changed("data")
    encoder = dataclasses.replace(usual.model.encoder, sensor_dropout=share)
    return dataclasses.replace(usual, model=dataclasses.replace(usual.model, encoder=encoder))


def test_a_world_in_which_agents_could_not_act_is_told_before_training(data: Path) -> None:
    (line,) = ready(changed("data"), data, made(LongLine))
    assert line.startswith("warning: evaluate will refuse") and "action low: (-1.0, -1.0) expected, (-2.0, -2.0) got" in line
    (line,) = ready(changed("data"), data, made(BlindLine))
    assert line.startswith("warning: evaluate will refuse") and line.endswith("sensor 'state' is missing")
    pretraining = changed("objective", prediction_coef=0.0, rollout_coef=0.0, masked_coef=1.0)
    assert ready(pretraining, data, made(LongLine)) == []  # nobody acts


def test_a_sensor_that_may_be_missing_is_told_where_it_is_missing(data: Path, tmp_path: Path) -> None:
    (line,) = ready(with_dropout(0.2), data, made(BlindLine))
    assert "does not show state: the model does without it there" in line and "\n" not in line
    settings = RecordConfig(num_episodes=24, workers=1, aimed=0.0, random=1.0, expert=0.0)
    record(lambda: BlindSeeing(3, ACTIONS), settings, tmp_path / "blind")
    both = with_dropout(0.2)
    both = dataclasses.replace(both, model=dataclasses.replace(both.model, embodiments=True))
    (line,) = ready(both, (data, tmp_path / "blind"))
    assert line.startswith(f"{tmp_path / 'blind'} has no state: the model does without it there")
    with pytest.raises(ConfigError, match=r"^model: unknown sensor 'state'; available: pixels"):
        ready(with_dropout(0.2), tmp_path / "blind")


class BlindSeeing(BlindLine):
    """And observes none."""

    def _observe(self) -> dict[str, np.ndarray]:
        return {"pixels": super()._observe()["pixels"]}


def test_a_model_that_cannot_be_built_and_a_device_that_is_not_there(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="a picture of 7 x 7 does not come down"):
        ready(changed("data", image_size=7), data)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"^train.device: device 'cuda' is not available"):
        ready(changed("train", device="cuda"), data)


class ToldLine(LineWorld):
    """Says how many actions an episode has."""

    def describe(self) -> dict[str, Any]:
        plain = spec_of(LineWorld())
        return plain.to_dict() | {"env_kwargs": {"max_sweeps": self.max_sweeps}}


@pytest.mark.parametrize(
    ("section", "values", "error", "told"),
    [
        ("train", {"num_frames": ACTIONS + 2}, DataError, "what will be recorded: no window .* lower train.num_frames"),
        ("data", {"frame_skip": ACTIONS}, DataError, "lower train.num_frames"),
        ("train", {"batch_size": 25 * ACTIONS}, DataError, "are less than one batch of 200; .* lower train.batch_size"),
        ("data", {"val_fraction": 1e-9}, DataError, "in the val split: 0 of 24 episodes .*; change data.val_fraction"),
        ("heads", {"max_steps_ahead": ACTIONS + 1}, DataError, "lower heads.max_steps_ahead"),
        ("model", {"sensors": ("pixels", "touch")}, ConfigError, "model: unknown sensor 'touch'"),
        (
            "evaluate",
            {"agents": ("worldmodel~state",)},
            ConfigError,
            "worldmodel~state cannot act without 'state'",
        ),
        ("record", {"labels": ("status",)}, ConfigError, "record.labels has not both; plan with cost.name=goal"),
        ("objective", {"prediction_coef": 0.0, "rollout_coef": 0.0, "masked_coef": 1.0}, ConfigError, "nobody can plan with"),
        ("evaluate", {"agents": ("wordlmodel",)}, ConfigError, "evaluate.agents: unknown agent 'wordlmodel'"),
    ],
)
def test_what_will_be_recorded_is_enough_for_what_follows(
    section: str, values: dict[str, Any], error: type[WorldModelError], told: str
) -> None:
    settings = RecordConfig(num_episodes=24, workers=1, aimed=0.0, random=1.0, expert=0.0)
    usual = dataclasses.replace(changed("data"), record=settings)
    require_recording(usual, made(ToldLine))
    asked = dataclasses.replace(usual, **{section: dataclasses.replace(getattr(usual, section), **values)})
    with pytest.raises(error, match=told) as caught:
        require_recording(asked, made(ToldLine))
    assert "\n" not in str(caught.value)


def test_what_will_be_recorded_is_what_is_evaluated() -> None:
    def make_env(config: EnvConfig, **overrides: Any) -> LineWorld:
        return LongLine() if overrides else ToldLine()

    with pytest.raises(MismatchError, match="of the evaluation is not the world that is recorded: action low"):
        require_recording(changed("evaluate", num_objects=2), make_env)
