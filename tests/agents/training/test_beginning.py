"""What a run began with stays with it: the scale of its vectors, and the weights of another run."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import pytest

from agents import strict
from agents.experiment import ExperimentConfig
from agents.recording.record import RecordConfig, record
from agents.training import stages
from tests.fakes import LineWorld
from worldmodel.errors import MismatchError
from worldmodel.progress import NoProgress
from worldmodel.train.state import load_state, save_state
from worldmodel.train.update import Update

QUIET = NoProgress()


def config(**train: object) -> ExperimentConfig:
    values = {
        "data": {"val_fraction": 0.25},
        "model": {
            "encoder": {"widths": [8, 8], "stem_stride": 2, "grid": 2, "token_dim": 4},
            "predictor": {"width": 16, "depth": 1, "num_heads": 2, "cond_dim": 8, "action_width": 8},
            "sensors": ["pixels", "state"],
        },
        "train": {"num_steps": 6, "batch_size": 4, "num_frames": 3, "val_batches": 1, "device": "cpu", **train},
        "logging": {"wandb": "disabled"},
    }
    return strict.build(ExperimentConfig, values)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "lines"
    record(partial(LineWorld, 3, 6), RecordConfig(num_episodes=24, workers=1, aimed=0.0, random=1.0, expert=0.0), root)
    return root


class Killed(Exception):
    """Somebody ended the program."""


def begin(config: ExperimentConfig, data: Path, run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train for three updates, and be killed."""
    update = Update.__call__

    def killed(self: Update, window, number: int, position: float) -> dict[str, float]:
        if number == 4:
            raise Killed
        return update(self, window, number, position)

    with monkeypatch.context() as patch:
        patch.setattr(Update, "__call__", killed)
        with pytest.raises(Killed):
            stages.fit_model(config, data, run_dir, resume=False, progress=QUIET)


def test_a_run_that_scaled_its_vectors_otherwise_is_not_gone_on_with(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Validation episodes counted too once, and the state said nothing of it."""
    each_update = config(save_every_seconds=0.0)
    begin(each_update, data, tmp_path, monkeypatch)
    state = load_state(tmp_path)
    assert state is not None
    del state.identity["scaled_by"]
    save_state(tmp_path, state)
    with pytest.raises(MismatchError, match="scaled_by") as caught:
        stages.fit_model(each_update, data, tmp_path, resume=True, progress=QUIET)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("finished", [True, False])
def test_a_run_whose_beginning_was_trained_again_is_not_gone_on_with(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished: bool
) -> None:
    parent, run_dir = tmp_path / "parent", tmp_path / "run"
    stages.fit_model(config(), data, parent, resume=False, progress=QUIET)
    child = config(init_from=str(parent), save_every_seconds=0.0)
    if finished:
        stages.fit_model(child, data, run_dir, resume=False, progress=QUIET)
    else:
        begin(child, data, run_dir, monkeypatch)
    assert stages.trained(child, data, run_dir) == finished
    shutil.rmtree(parent)
    assert stages.trained(child, data, run_dir) == finished, "a finished run stands without what it began with"

    stages.fit_model(config(), data, parent, resume=False, progress=QUIET)
    assert stages.trained(child, data, run_dir) == finished, "trained again to the same bits"
    shutil.rmtree(parent)
    stages.fit_model(config(seed=1), data, parent, resume=False, progress=QUIET)
    assert not stages.trained(child, data, run_dir)
    with pytest.raises(MismatchError, match=r"run began with .*parent, which was trained again since") as caught:
        stages.fit_model(child, data, run_dir, resume=True, progress=QUIET)
    assert "\n" not in str(caught.value)
