"""A run's health, from its recordings to its folder, and which runs violations of expectation are not asked of."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, cast

import gymnasium
import numpy as np
import pytest
import torch

from agents.evaluation.violations import expectation
from agents.inspect import drift_line, health_lines
from agents.report.types import HorizonCurve
from agents.training import stages
from agents.training.health import NUM_WINDOWS, health_of, load_surprise, longest_windows
from agents.training.measure import measure
from agents.training.recordings import open_recordings
from agents.training.runs import load_run
from tests.agents.training.test_recordings import ACTIONS, config, line_data
from tests.fakes import LineWorld
from worldmodel.errors import ConfigError
from worldmodel.progress import NoProgress
from worldmodel.train.logging import read_metrics


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return line_data(tmp_path_factory.mktemp("lines"), "data")


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    experiment, run_dir = config(frame_skip=1), tmp_path_factory.mktemp("run") / "run"
    stages.fit_model(experiment, data, run_dir, resume=False, progress=NoProgress())
    stages.fit_heads_of(experiment, data, run_dir, progress=NoProgress())
    measure(experiment, data, run_dir)
    return run_dir


def test_validation_logs_the_models_health(run_dir: Path) -> None:
    last = [row for row in read_metrics(run_dir) if "val/loss" in row][-1]
    names = ("std", "effective_rank", "epps_pulley", "action_ratio", "action_rank", "cost_spread", "error_over_copy", "alarms")
    assert {f"val/{name}" for name in names} <= last.keys()


def test_everything_is_in_the_folder(run_dir: Path, data: Path) -> None:
    values = json.loads((run_dir / "diagnostics.json").read_text())
    recordings = open_recordings(data, config(frame_skip=1))
    windows = longest_windows(recordings)
    horizon = values["horizon"]
    assert horizon["num_windows"] == min(windows.num_windows, NUM_WINDOWS)
    lengths = {len(horizon[name]) for name in ("predicted", "copied", "predicted_cm", "copied_cm", "seen_cm")}
    assert lengths == {windows.batch(np.array([0])).actions.shape[1]} and max(lengths) <= ACTIONS
    assert {"std", "action_ratio", "action_rank", "cost_spread", "error_over_copy"} <= values["measures"].keys()
    # a predictor of four updates does not know the action, and that is said
    assert values["measures"]["action_ratio"] < 0.2
    assert any(line.startswith("predictions ignore the action") for line in values["alarms"])
    assert health_lines(run_dir)[0].startswith("ALARM ")
    scale = load_surprise(run_dir)
    assert 1 <= len(scale.mean) <= 4 and scale.num_windows > 1


def test_an_error_that_is_not_known_is_not_told() -> None:
    curve = HorizonCurve((0.1, 0.2), (0.3, 0.4), 8, (1.0, math.nan), (2.0, math.nan), (0.5, math.nan))
    assert drift_line(curve) == "error 1 ahead 0.10 (copy 0.30), 1.0 cm (copy 2.0); 2 ahead 0.20 (copy 0.40); 8 windows"


def test_another_robot_than_the_one_that_was_calibrated_is_refused(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.evaluation.violations.require_fit", lambda run, env: 1)
    with pytest.raises(ConfigError, match="measured for surprise as embodiment 0, and this environment is of 1"):
        expectation(load_run(run_dir), LineWorld(3, ACTIONS), 1, np.random.default_rng(0))


def test_a_model_of_blocks_is_refused(tmp_path: Path, data: Path) -> None:
    experiment = config(image_size=4)
    stages.fit_model(experiment, data, tmp_path / "run", resume=False, progress=NoProgress())
    env: gymnasium.Env = LineWorld(3, ACTIONS)
    with pytest.raises(ConfigError, match="takes 2 actions as one"):
        expectation(load_run(tmp_path / "run"), env, 1, np.random.default_rng(0))


def test_a_single_window_is_measured_without_a_scale_of_surprise(run_dir: Path, data: Path) -> None:
    recordings = open_recordings(data, config(frame_skip=1))
    windows = longest_windows(recordings)

    class First:
        """Of all windows, one."""

        num_windows = 1

        def batch(self, indices: np.ndarray) -> Any:
            return windows.batch(np.zeros(len(indices), np.int64))

    found = health_of(load_run(run_dir), recordings, torch.Generator().manual_seed(0), cast(Any, First()))
    assert found.surprise is None and "action_ratio" not in found.measures and "std" in found.measures
