"""A run's health, from its recordings to its folder, and which runs violations of expectation are not asked of."""

from __future__ import annotations

import contextlib
import dataclasses
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
from agents.training.health import NUM_WINDOWS, health_of, latents_of, load_surprise, longest_windows, rank_of_solving
from agents.training.measure import measure, tell
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


def test_everything_is_in_the_log_once(run_dir: Path, data: Path) -> None:
    values = json.loads((run_dir / "diagnostics.json").read_text())
    before = (run_dir / "metrics.jsonl").read_bytes()
    (row,) = (row for row in read_metrics(run_dir) if "measure/alarms" in row)
    assert row["step"] == 4 and row["measure/alarms"] == len(values["alarms"])
    for name in ("predicted", "copied", "predicted_cm", "seen_cm"):
        for ahead, value in enumerate(values["horizon"][name], start=1):
            assert row.get(f"measure/horizon_{name}_{ahead}") == value
    for name, value in (values["measures"] | {k: v for k, v in values["probe"].items() if "position" in k}).items():
        assert row[f"measure/{name}"] == value
    assert row["measure/surprise_mean_1"] == values["surprise"]["mean"][0]

    measure(config(frame_skip=1), data, run_dir)  # the same again is not told again
    assert (run_dir / "metrics.jsonl").read_bytes() == before


def test_numbers_and_picture_go_to_whoever_is_told(run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = dataclasses.replace(load_run(run_dir), directory=tmp_path)
    calls: list[tuple[Any, ...]] = []

    class Told:
        """Writes down what it is told."""

        def log(self, *given: Any) -> None:
            calls.append(given)

        log_file = log

    monkeypatch.setattr("agents.training.measure.told", lambda *given: contextlib.nullcontext(Told()))
    tell(run, config(frame_skip=1), {"std": 0.5, "lost": math.nan})
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "imagined.png").write_bytes(b"a picture")
    tell(run, config(frame_skip=1), {"std": 0.5})
    row = (4, {"measure/std": 0.5})
    assert calls == [row, row, (4, "measure/imagined", tmp_path / "figures" / "imagined.png")]


def test_solving_actions_are_ranked_under_the_cost_that_the_run_plans_with(
    run_dir: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, asked = load_run(run_dir), []
    monkeypatch.setattr("agents.training.health.cost_rank", lambda *given: asked.append(given) or 0.25)
    episodes = open_recordings(data, config(frame_skip=1)).validation_episodes(2, 3)
    seen = [latents_of(run, episode) for episode in episodes]
    assert rank_of_solving(run, episodes, seen, torch.Generator().manual_seed(0)) == 0.25
    model, z, done, others, cost = asked[0]
    assert model is run.model and cost.head is run.heads.progress  # type: ignore[union-attr]
    places = [(e, t) for e in range(2) for t in range(episodes[e].num_actions)]
    rows = [next((e, t) for e, t in places if np.array_equal(episodes[e].actions[t], action)) for action in done]
    assert sorted(rows) == places
    for (e, t), latent, drawn in zip(rows, z, others, strict=True):
        assert torch.equal(latent[0], seen[e][t])
        assert drawn.shape == (16, 2) and drawn.min() >= -1 and drawn.max() <= 1 and drawn.std() > 0.3

    headless = dataclasses.replace(run, heads=None)  # it can only plan towards a goal: each episode's own end
    rank_of_solving(headless, episodes, seen, torch.Generator().manual_seed(0))
    assert torch.equal(asked[1][-1].goal, torch.stack([seen[e][-1] for e, _ in rows]))


def test_the_scale_of_surprise_is_checked_on_other_windows(run_dir: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.training.health.NUM_WINDOWS", 16)
    recordings, run, asked = open_recordings(data, config(frame_skip=1)), load_run(run_dir), []
    windows = longest_windows(recordings)

    class Asked:
        """The same windows, written down."""

        num_windows = windows.num_windows

        def batch(self, indices: np.ndarray) -> Any:
            asked.append(indices)
            return windows.batch(indices)

    found = health_of(run, recordings, torch.Generator().manual_seed(0), cast(Any, Asked()))
    assert found.surprise is not None and not set(asked[0]) & set(asked[1]) and len(asked[0]) == 16
    window = windows.batch(asked[1])
    with torch.no_grad():
        z = run.model.encode({key: value[:, :2] for key, value in window.observations.items()})
        predicted = run.model.rollout(z[:, :1], window.actions[:, None, :1])[:, 0, 0]
    expected = found.surprise.z(z[:, 0], predicted, z[:, 1])
    assert found.measures["surprise_z_mean"] == pytest.approx(float(expected.mean()), abs=1e-4)
    assert found.measures["surprise_z_std"] == pytest.approx(float(expected.std()), abs=1e-4)


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
