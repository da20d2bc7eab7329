"""What would fail only after training is told before it, in one line that names the setting."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agents.experiment import EnvConfig, EvalConfig, ExperimentConfig
from agents.training.preflight import require_parent, require_ready
from tests.agents.training.test_recordings import ACTIONS, config, line_data
from tests.fakes import LineWorld
from worldmodel.data import Dataset
from worldmodel.data.view import write_view
from worldmodel.errors import CheckpointError, ConfigError, DataError, MissingExtraError, WorldModelError


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return line_data(tmp_path_factory.mktemp("lines"), "data")


def make_line(config: EnvConfig, **overrides: Any) -> LineWorld:
    return LineWorld(3, ACTIONS)


def failing(error: WorldModelError) -> Callable[..., Any]:
    def make_env(config: EnvConfig, **overrides: Any) -> LineWorld:
        raise error

    return make_env


def ready(experiment: ExperimentConfig, data: Path, make_env: Callable[..., Any] = make_line) -> list[str]:
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
    assert ready(changed("evaluate", agents=("worldmodel:goal~state", "random")), data) == []
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
