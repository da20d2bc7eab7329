"""Sweeps under W&B's own agent, offline: any method runs with its parameters fixed, and no run of the agent stays empty."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from agents import arguments, parsing
from agents.console import Screen
from agents.sweep import command
from agents.sweep.space import Trial, load_sweep
from tests.agents.sweep.sweep_fakes import BASE, make_env
from tests.worldmodel.train.wandb_file import read_offline_run
from worldmodel.errors import WorldModelError

SWEEP = """
program: worldmodel
command: [worldmodel, sweep, FILE, --data, DATA, --out, OUT, logging.wandb=offline, "${args_no_hyphens}"]
metric: {name: eval/worldmodel/success_rate, goal: maximize}
parameters:
  train.seed: {values: [0, 1]}
  config: {value: BASE}
  objective: {parameters: {sigreg_coef: {min: 0.0, max: 0.5}}}
  train.learning_rate: {distribution: log_uniform_values, min: 1.0e-5, max: 1.0e-2}
"""


class Agent:
    """Calls what W&B's agent calls for the parameters that its server sends."""

    def __init__(self, folder: Path, data: Path, method: str, out: str = "out") -> None:
        self.out, self.base, self.file = folder / out, folder / "base.yaml", folder / "drawn.yaml"
        self.base.write_text(BASE)
        text = f"method: {method}\n{SWEEP}"
        for name, path in {"FILE": self.file, "DATA": data, "OUT": self.out, "BASE": self.base}.items():
            text = text.replace(name, str(path))
        self.file.write_text(text)
        self.command = load_sweep(self.file).command

    def values(self, seed: int, sigreg_coef: float, learning_rate: float) -> dict[str, Any]:
        """As the server sends them: parameters of a section together."""
        known = {"config": str(self.base), "objective": {"sigreg_coef": sigreg_coef}}
        return {"train.seed": seed, **known, "train.learning_rate": learning_rate}

    def __call__(self, values: dict[str, Any], *more: str) -> str:
        variables = create_sweep_command_args({"args": {key: {"value": value} for key, value in values.items()}})
        words: list[str] = []
        for chunk in create_sweep_command([*self.command, *more]):
            words += variables[chunk[2:-1]] if chunk.startswith("${") else [chunk]
        called, screen = parsing.parse(words[1:]), io.StringIO()
        assert isinstance(called, arguments.Sweep)
        command.run(called.file, called.data, called.out, called.overrides, make_env, Screen(screen))
        return screen.getvalue()

    def table(self) -> tuple[list[dict[str, Any]], dict[str, str]]:
        """Parameters of the trials in it, and what is missing."""
        found = json.loads((self.out / "results.json").read_text())
        return [run["parameters"] for run in found["runs"]], found["missing"]


def flat(values: dict[str, Any]) -> dict[str, Any]:
    """As a trial has them."""
    return {
        **{k: v for k, v in values.items() if k != "objective"},
        "objective.sigreg_coef": values["objective"]["sigreg_coef"],
    }


@pytest.fixture(autouse=True)
def agents_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep W&B's caches out of the home folder; no agent until a test is one."""
    for name in ("WANDB_CACHE_DIR", "WANDB_DATA_DIR", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "wandb_home"))
    monkeypatch.delenv("WANDB_RUN_ID", raising=False)


@pytest.mark.parametrize("method", ["random", "random\nrun_cap: 3", "bayes"])
def test_trials_that_the_server_draws_run_and_the_table_is_of_them(
    tmp_path: Path, data: Path, quick: list[str], method: str
) -> None:
    agent = Agent(tmp_path, data, method)
    one, other = agent.values(0, 0.125, 2e-05), agent.values(1, 0.25, 0.001)
    assert "drawn: 1 trials, 0 finished already" in agent(one)
    assert agent.table() == ([flat(one)], {})
    agent(other)
    parameters, missing = agent.table()
    assert sorted(parameters, key=lambda p: p["train.seed"]) == [flat(one), flat(other)] and missing == {}
    assert "drawn: 1 trials, 1 finished already" in agent(one)
    assert len(quick) == 2 and len(agent.table()[0]) == 2


def test_a_table_of_drawn_trials_has_those_of_the_same_words_and_tells_what_failed(
    tmp_path: Path, data: Path, quick: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = Agent(tmp_path, data, "bayes")
    one, other = agent.values(0, 0.125, 0.001), agent.values(1, 0.25, 0.001)
    agent(one)
    agent(other, "train.num_steps=3")  # laid over all trials: another experiment
    assert agent.table() == ([flat(other)], {})

    def failing(trial: Trial, *_: Any) -> None:
        raise WorldModelError(f"{trial.group} burns")

    monkeypatch.setattr(command, "run_trial", failing)
    with pytest.raises(WorldModelError, match="1 of 1 trials failed"):
        agent(other)
    (parameters,), missing = agent.table()
    assert parameters == flat(one) and list(missing.values()) == ["sigreg_coef0.25-learning_rate0.001 burns"]


# of the fake result: seed 0 has 4 of 10, beside a random floor of 1 and an expert of 10
WANTED = {
    "eval/random/success_rate": 0.1,
    "eval/worldmodel/success_rate": 0.4,
    "eval/expert/success_rate": 1.0,
    "val/loss": 1.0,
    "protocol": "p",
    "result": {"loss": 1.0, "success": 0.4},
}


def test_a_finished_trial_is_summed_up_in_the_agents_run(
    tmp_path: Path, data: Path, quick: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = Agent(tmp_path, data, "bayes")
    values = agent.values(0, 0.125, 0.001)
    agent(values)
    agent(values)  # without an agent's run there is nothing to fill
    (folder,) = (path.parent for path in agent.out.glob("*/result.json"))
    assert not (folder / "wandb").exists()
    monkeypatch.setenv("WANDB_RUN_ID", "agent123")
    agent(values, "logging.wandb=disabled")
    assert not (folder / "wandb").exists()
    agent(values)
    (run,) = read_offline_run(folder)
    assert (run.run_id, run.name, run.config["train"]["seed"]) == ("agent123", folder.name, 0)
    assert {key: run.summary[key] for key in WANTED} == WANTED


def test_a_trial_of_a_neighbouring_sweep_is_summed_up_in_the_agents_run(
    tmp_path: Path, data: Path, quick: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_RUN_ID", "agent123")
    first = Agent(tmp_path, data, "bayes")
    first(first.values(0, 0.125, 0.001))
    second = Agent(tmp_path, data, "random", out="neighbour")
    second(second.values(0, 0.125, 0.001))
    (folder,) = (path.parent for path in second.out.glob("*/result.json"))
    assert len(quick) == 1  # the first one's
    (run,) = read_offline_run(folder)
    assert run.run_id == "agent123" and {key: run.summary[key] for key in WANTED} == WANTED
