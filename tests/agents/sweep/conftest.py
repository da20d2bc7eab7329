"""A recorded dataset, and trials that run in no time."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from agents import strict
from agents.recording.record import RecordConfig, record
from agents.sweep import command
from agents.sweep.space import Trial
from agents.sweep.trial import Result
from agents.training.beginning import weights_now
from agents.training.sources import Sources, fingerprint_of, parts_of
from tests.agents.sweep.sweep_fakes import results
from tests.fakes import LineWorld


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "lines"
    record(lambda: LineWorld(3, 6), RecordConfig(num_episodes=24, workers=1, aimed=0.0, random=1.0, expert=0.0), root)
    return root


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Trials that run in no time, and as what they are called: what is tested is what is done with them."""
    ran: list[str] = []

    def result_of(trial: Trial, data: Sources, folder: Path, *_: Any) -> Result:
        ran.append(trial.name)
        strict.dump(trial.experiment, folder / "config.yaml")
        plain = results(trial.group, trial.experiment.train.seed, 4, 1.0)
        fingerprint = fingerprint_of(parts_of(data, trial.experiment.data))
        known = {"dataset": fingerprint, "init_from": weights_now(trial.experiment)}
        result = dataclasses.replace(plain, name=trial.name, parameters=trial.parameters, **known)
        result.save(folder)
        return result

    monkeypatch.setattr(command, "run_trial", result_of)
    return ran
