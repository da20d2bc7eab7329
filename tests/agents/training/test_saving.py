"""A model that a loop of one's own has trained, as a run folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from agents import cli
from agents.experiment import ExperimentConfig, load_experiment
from agents.training.recordings import Recordings, open_recordings
from agents.training.runs import load_run
from agents.training.saving import save_run
from worldmodel.errors import ConfigError
from worldmodel.jepa import JEPA

TINY = Path(__file__).parents[3] / "configs" / "tiny.yaml"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[ExperimentConfig, Recordings]:
    data = tmp_path_factory.mktemp("recorded") / "data"
    assert cli.main(["record", "--config", str(TINY), "--out", str(data), "--episodes", "12"]) == 0
    config = load_experiment(TINY, ("model.sensors=[pixels, proprio]",))
    return config, open_recordings(data, config)


def test_what_is_loaded_is_what_was_saved(recorded: tuple[ExperimentConfig, Recordings], tmp_path: Path) -> None:
    config, recordings = recorded
    torch.manual_seed(1)
    model = JEPA(config.model, recordings.spec, recordings.normalisation()).eval()
    save_run(tmp_path / "run", model, recordings, config, step=7, seen=[5_000_000])

    run = load_run(tmp_path / "run")
    assert run.manifest.step == 7 and run.heads is None
    assert run.manifest.data.fingerprint == recordings.fingerprint
    assert run.manifest.normalisation == recordings.normalisation() != {}
    seeds = {seed for first, last in run.manifest.data.train_seeds for seed in range(first, last + 1)}
    assert seeds == recordings.seeds | {5_000_000}
    frames = recordings.windows(2).batch(np.arange(3)).observations
    with torch.no_grad():
        assert torch.equal(run.model.encode(frames), model.encode(frames))


def test_a_model_of_another_world_is_refused(recorded: tuple[ExperimentConfig, Recordings], tmp_path: Path) -> None:
    config, recordings = recorded
    other = dataclasses.replace(recordings.spec, robot="another")
    with pytest.raises(ConfigError, match=r"another world than was recorded; build it from recordings\.bodies"):
        save_run(tmp_path / "run", JEPA(config.model, other, recordings.normalisation()), recordings, config, step=1)
    assert not (tmp_path / "run").exists()
