"""`worldmodel train`: a folder that another training is in is told before anything is read."""

from __future__ import annotations

import io
from pathlib import Path

import gymnasium
import pytest

from agents.console import Screen
from agents.experiment import EnvConfig, ExperimentConfig
from agents.training import command
from worldmodel.errors import ConfigError


def no_env(config: EnvConfig, **overrides: object) -> gymnasium.Env:
    raise AssertionError("no environment is needed")


@pytest.mark.parametrize(
    ("there", "resume", "told"), [(True, False, "go on with --resume"), (False, True, "leave --resume out")]
)
def test_beginning_and_going_on_are_not_mistaken_for_each_other(
    there: bool, resume: bool, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "has_state", lambda run_dir: there)
    with pytest.raises(ConfigError, match=told):
        command.run(ExperimentConfig(), tmp_path / "nowhere", tmp_path / "run", resume, no_env, Screen(io.StringIO()))
