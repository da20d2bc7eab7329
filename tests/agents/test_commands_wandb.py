"""What the commands send to W&B, offline and read back from its files: checkpoints by their names, and the film."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from agents import commands, parsing
from agents.console import Screen
from agents.experiment import EnvConfig
from agents.recording.record import RecordConfig, record
from agents.training.runs import load_run
from tests.agents.sweep.sweep_fakes import BASE
from tests.fakes import LineWorld
from tests.worldmodel.train.wandb_file import OfflineRun, read_offline_run
from worldmodel.train.checkpoint import cpu_state, load_checkpoint
from worldmodel.train.logging import aliases
from worldmodel.train.validate import Validation


class FilmedLine(LineWorld):
    """LineWorld with a camera beside it."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"]}

    def __init__(self, num_objects: int = 3, max_sweeps: int = 4, film_every: int = 1, render_mode: str = "rgb_array") -> None:
        super().__init__(num_objects, max_sweeps)
        self.render_mode = render_mode

    def render(self) -> np.ndarray:  # pyright: ignore[reportIncompatibleMethodOverride]
        return np.full((64, 64, 3), 40 * self.count, np.uint8)

    def step(self, action: np.ndarray) -> Any:
        *others, info = super().step(action)
        return *others, {**info, "film": [self.render()]}


def make_env(config: EnvConfig, **overrides: Any) -> FilmedLine:
    return FilmedLine(**{**config.kwargs, **overrides})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "lines"
    record(FilmedLine, RecordConfig(num_episodes=24, workers=1, aimed=0.0, random=1.0, expert=0.0), root)
    return root


@pytest.fixture(autouse=True)
def wandb_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep W&B's caches out of the home folder."""
    for name in ("WANDB_CACHE_DIR", "WANDB_DATA_DIR", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "wandb_home"))
    monkeypatch.delenv("WANDB_RUN_ID", raising=False)


@pytest.fixture
def validated(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, torch.Tensor]]:
    """The weights at each validation. The loss is the lowest at the second of three."""
    losses, seen = iter((3.0, 1.0, 2.0)), []

    def look(self: Validation, model: Any, *_: Any) -> Mapping[str, float]:
        seen.append(cpu_state(model))
        return {"val/loss": next(losses)}

    monkeypatch.setattr(Validation, "__call__", look)
    return seen


def run(*words: str) -> str:
    screen = io.StringIO()
    assert commands.run(parsing.parse(words), make_env, Screen(screen)) == 0
    return screen.getvalue()


def train(tmp_path: Path, data: Path, *words: str) -> Path:
    path, out = tmp_path / "lines.yaml", tmp_path / "run"
    path.write_text(BASE.replace("log_every: 2", "log_every: 2, val_every: 2"))
    run("train", "--config", str(path), "--data", str(data), "--out", str(out), "logging.wandb=offline", *words)
    return out


def checkpoints(runs: list[OfflineRun]) -> list[tuple[str, ...]]:
    """The names of each checkpoint that was sent, all of one run."""
    (run_id,) = {run.run_id for run in runs}
    found = [artifact for run in runs for artifact in run.artifacts if artifact[1] == "model"]
    assert all(name == f"model-{run_id}" for name, _, _ in found)
    return [names for _, _, names in found]


def test_training_sends_its_best_model_and_its_last_and_playing_its_film(
    tmp_path: Path, data: Path, validated: list[dict[str, torch.Tensor]]
) -> None:
    out = train(tmp_path, data)
    # whatever is sent is W&B's latest until something else is
    assert checkpoints(read_offline_run(out)) == [("best", "latest"), ("latest",)]
    best, last = load_checkpoint(out / "training" / "best"), load_checkpoint(out)
    assert (best.manifest.step, last.manifest.step) == (4, 6)
    assert load_run(out).heads is not None and load_run(out / "training" / "best").heads is None
    for found, wanted in ((best.model, validated[1]), (last.model, validated[2])):
        assert found.keys() == wanted.keys() and all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert any(not torch.equal(best.model[name], last.model[name]) for name in last.model)

    before = len(read_offline_run(out))
    play = ("play", "--run", str(out), "--seed", "3")
    run(*play, "logging.wandb=disabled")
    assert len(read_offline_run(out)) == before
    assert f"video: {out / 'videos' / 'play-3.mp4'}" in run(*play)
    (film,) = read_offline_run(out)[before:]
    (row,) = film.history
    assert row["step"] == 6 and row["play/3"]["_type"] == "video-file"
    assert [path for path in film.files if path.endswith(".mp4")] == [row["play/3"]["path"]]


def test_a_pretraining_that_ends_on_its_best_model_sends_it_once_under_both_names(tmp_path: Path, data: Path) -> None:
    out = train(tmp_path, data, "objective.actions=inferred", "train.val_every=6")
    assert aliases(out) == ("latest", "best")
    assert checkpoints(read_offline_run(out)) == [("best", "latest")]


def test_without_wandb_no_further_model_is_kept(tmp_path: Path, data: Path, validated: list[dict[str, torch.Tensor]]) -> None:
    out = train(tmp_path, data, "objective.actions=inferred", "logging.wandb=disabled")
    assert len(validated) == 3 and not (out / "training" / "best").exists() and not (out / "wandb").exists()
