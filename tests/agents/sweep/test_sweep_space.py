"""A sweep file stands for exactly the trials that W&B would run, and a slip in it is one line."""

from __future__ import annotations

import math
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents import arguments, parsing
from agents.sweep.draw import DISTRIBUTIONS, distribution_of
from agents.sweep.space import Trial, load_sweep, trials_of
from worldmodel.errors import ConfigError

BASE = "data: {val_fraction: 0.2}\ntrain: {num_steps: 10, device: cpu}\n"


def written(folder: Path, text: str) -> Path:
    (folder / "base.yaml").write_text(BASE)
    path = folder / "try.yaml"
    path.write_text(text.replace("BASE", str(folder / "base.yaml")))
    return path


def trials(folder: Path, text: str, words: str = "") -> list[Trial]:
    return trials_of(load_sweep(written(folder, text)), shlex.split(words), "try.yaml")


GRID = """
program: worldmodel
command: [worldmodel, sweep, try.yaml, "${args_no_hyphens}"]
method: grid
metric: {name: eval/worldmodel/success_rate, goal: maximize}
parameters:
  train.seed: {values: [0, 1]}
  config: {value: BASE}
  objective:
    parameters:
      rollout_steps: {values: [1, 2]}
  settings:
    values: ["objective.sigreg_coef=0.1", "objective.sigreg_coef=0 objective.target=ema"]
"""


def test_a_grid_is_every_combination_the_first_parameter_slowest(tmp_path: Path) -> None:
    found = trials(tmp_path, GRID)
    got = []
    for experiment in (t.experiment for t in found):
        objective = experiment.objective
        got.append((experiment.train.seed, objective.rollout_steps, objective.sigreg_coef, objective.target))
    each = [(1, 0.1, "online"), (1, 0.0, "ema"), (2, 0.1, "online"), (2, 0.0, "ema")]
    assert got == [(seed, *rest) for seed in (0, 1) for rest in each]
    assert all(t.experiment.train.num_steps == 10 for t in found)  # of the base
    assert len({t.name for t in found}) == 8


def test_seeds_of_one_group_share_it_with_nobody_else(tmp_path: Path) -> None:
    found = trials(tmp_path, GRID)
    groups = [t.group for t in found]
    assert groups[:4] == groups[4:] and len(set(groups)) == 4
    assert groups[0] == "rollout_steps1-sigreg_coef_0.1"
    assert found[0].experiment.logging.group == "try/rollout_steps1-sigreg_coef_0.1"
    assert (
        found[0].name.startswith("rollout_steps1-sigreg_coef_0.1-seed0-") and found[0].experiment.logging.name == found[0].name
    )


def test_a_word_leaves_the_trials_that_have_it(tmp_path: Path) -> None:
    every = {t.name: t for t in trials(tmp_path, GRID)}
    one = trials(tmp_path, GRID, "objective.rollout_steps=2 train.seed=1")
    assert len(one) == 2 and all(t == every[t.name] for t in one)
    # exactly what W&B's agent calls: all of them, strings as they are
    (agents,) = trials(tmp_path, GRID, "train.seed=0 objective.rollout_steps=1 logging.wandb=offline "
                       f"config={tmp_path / 'base.yaml'} 'settings=objective.sigreg_coef=0 objective.target=ema'")  # fmt: skip
    assert agents.name in every and agents.experiment.logging.wandb == "offline"


NUMBERS = """
method: grid
parameters:
  config: {value: BASE}
  train.num_steps: {value: 5}
  objective: {parameters: {sigreg_coef: {values: [0.0, 1.0]}}}
  train.bf16: {values: [true, false]}
"""


def test_a_number_is_the_listed_one_however_it_is_written(tmp_path: Path) -> None:
    every = {t.name for t in trials(tmp_path, NUMBERS)}
    for word in ("objective.sigreg_coef=1", "objective.sigreg_coef=1e0", "'objective={sigreg_coef: 1}'"):
        found = trials(tmp_path, NUMBERS, word)
        assert len(found) == 2 and {t.name for t in found} <= every


def test_a_value_that_no_trial_has_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"line: objective\.sigreg_coef=0\.5 leaves no trial; this sweep has 0\.0, 1\.0"):
        trials(tmp_path, NUMBERS, "objective.sigreg_coef=0.5")
    with pytest.raises(ConfigError, match=r"train\.bf16=1 leaves no trial; this sweep has true, false"):
        trials(tmp_path, NUMBERS, "train.bf16=1")


def test_the_whole_sweep_is_what_words_choose_from(tmp_path: Path) -> None:
    sweep = load_sweep(written(tmp_path, NUMBERS))
    plain = trials_of(sweep)
    assert trials_of(sweep, ["objective={sigreg_coef: 1.0}", "train.bf16=true"], every=True) == plain
    # the only value there is cannot be chosen: another is laid over all trials
    other = trials_of(sweep, ["train.num_steps=3", "train.bf16=true"], every=True)
    assert [t.experiment.train.num_steps for t in other] == [3] * 4
    assert {t.name for t in trials_of(sweep, ["train.num_steps=3", "train.bf16=true"])} < {t.name for t in other}


def test_wandbs_agent_calls_each_of_its_trials(tmp_path: Path) -> None:
    from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

    every = trials(tmp_path, GRID)
    sweep = load_sweep(tmp_path / "try.yaml")
    for trial in every:
        # what the server sends: parameters in a section come together
        values: dict[str, Any] = {key: value for key, value in trial.parameters.items() if not key.startswith("objective.")}
        values["objective"] = {"rollout_steps": trial.parameters["objective.rollout_steps"]}
        variables = create_sweep_command_args({"args": {key: {"value": value} for key, value in values.items()}})
        words: list[str] = []
        for chunk in create_sweep_command(list(sweep.command)):
            words += variables[chunk[2:-1]] if chunk.startswith("${") else [chunk]
        command = parsing.parse(words[1:])
        assert isinstance(command, arguments.Sweep) and command.file == Path("try.yaml")
        assert trials_of(sweep, command.overrides) == [trial]


def test_a_word_for_no_parameter_of_a_section_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown parameter 'objective\.rollout_step'.*mean 'objective\.rollout_steps'"):
        trials(tmp_path, GRID, "'objective={rollout_step: 1}'")


def test_other_words_are_laid_over_all_trials_which_then_are_others(tmp_path: Path) -> None:
    plain, changed = trials(tmp_path, GRID), trials(tmp_path, GRID, "train.num_steps=7")
    assert len(changed) == 8 and all(t.experiment.train.num_steps == 7 for t in changed)
    assert not {t.name for t in plain} & {t.name for t in changed}


def test_what_wandb_writes_as_python_does_is_understood(tmp_path: Path) -> None:
    text = """
method: grid
parameters:
  config: {value: BASE}
  data.image_size: {values: [null, 32]}
  train.bf16: {value: true}
"""
    (found,) = trials(tmp_path, text, "data.image_size=None train.bf16=True")
    assert found.experiment.data.image_size is None and found.experiment.train.bf16


RANDOM = """
method: random
run_cap: 50
parameters:
  config: {value: BASE}
  train.learning_rate: {distribution: log_uniform_values, min: 1.0e-4, max: 1.0e-2}
  train.batch_size: {min: 8, max: 64}
  objective.sigreg_coef: {min: 0.0, max: 0.5}
  objective.rollout_steps: {values: [1, 2], probabilities: [0.9, 0.1]}
"""


def test_random_trials_are_the_same_ones_each_time_and_within_their_bounds(tmp_path: Path) -> None:
    found, again = trials(tmp_path, RANDOM), trials(tmp_path, RANDOM)
    assert [t.name for t in found] == [t.name for t in again] and len({t.name for t in found}) == 50
    rates = np.log10([t.experiment.train.learning_rate for t in found])
    assert -4 <= rates.min() < -3.5 and -2.5 < rates.max() <= -2 and abs(rates.mean() + 3) < 0.3
    sizes = {t.experiment.train.batch_size for t in found}
    assert all(type(size) is int and 8 <= size <= 64 for size in sizes) and len(sizes) > 20
    ones = sum(t.experiment.objective.rollout_steps == 1 for t in found)
    assert 38 <= ones <= 50
    assert [t.name for t in trials(tmp_path, RANDOM.replace("50", "3"))] == [t.name for t in found[:3]]


def test_distributions_are_those_of_their_names() -> None:
    rng = np.random.default_rng(0)

    def many(name: str, **keys: float) -> np.ndarray:
        return np.array([DISTRIBUTIONS[name](rng, keys) for _ in range(4000)])

    assert set(many("int_uniform", min=1, max=3)) == {1, 2, 3}
    assert set(many("q_uniform", min=0.0, max=1.0, q=0.5)) == {0.0, 0.5, 1.0}
    x = many("log_uniform", min=math.log(2.0), max=math.log(8.0))
    assert x.min() >= 2 and x.max() <= 8 and abs(np.log(x).mean() - math.log(4.0)) < 0.03
    x = many("normal", mu=3.0, sigma=0.5)
    assert abs(x.mean() - 3) < 0.05 and abs(x.std() - 0.5) < 0.03
    assert abs(np.log(many("log_normal", mu=1.0, sigma=0.1)).mean() - 1) < 0.01
    assert distribution_of(None, {"min": 1, "max": 2}) == "int_uniform"
    assert distribution_of(None, {"min": 1, "max": 2.5}) == "uniform"
    assert distribution_of(None, {"mu": 0.0}) == "normal"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ("train.sed: {value: 0}", r"unknown parameter 'train\.sed'; did you mean 'train\.seed'\?"),
        ("train.seed: {valus: [0]}", r"unknown key .*valus.*did you mean .*values"),
        ("train.seed: {value: 0, values: [1]}", r"parameters\.train\.seed: value and values are both given"),
        ("train.seed: {min: 0}", r"parameters\.train\.seed: max missing"),
        ("train.seed: {min: 0, max: 5}", r"parameters\.train\.seed: a grid needs value or values"),
        ("train.seed: {distribution: unifrom, min: 0, max: 5}", r"Did you mean 'uniform'\?"),
        ("train.seed: {min: 5, max: 0}", "min is 5 and max is 0; expected min <= max"),
        ("train.seed: {values: [0, x]}", r"trial .*: train\.seed: expected integer, got 'x'"),
        ("settings: {value: train.sed=1}", r"trial .*: unknown key 'train\.sed'; did you mean 'train\.seed'"),
        ("train.num_frames: {value: 2}", r"train\.num_frames is 2; expected at least 3"),
        ("train.seed: {values: []}", r"parameters\.train\.seed: values is empty; expected a list of one or more"),
        ("train: {parameters: {seed: {values: []}}}", r"parameters\.train\.seed: values is empty"),
        ("train.seed: {values: 3}", r"parameters\.train\.seed\.values: expected list of values or null, got 3"),
        ("train.seed: {values: abc}", r"parameters\.train\.seed\.values: expected list of values or null, got 'abc'"),
        ("train: {parameters: {seed: 3}}", r"parameters\.train\.seed: expected keys with values, such as {value: 3}, got 3"),
        (
            "train.seed: {values: [0, 1], probabilities: [0, 0]}",
            r"probabilities is \[0\.0, 0\.0\]; expected numbers of at least 0",
        ),
        ("train.seed: {values: [0, 1], probabilities: [-1, 2]}", r"probabilities is \[-1\.0, 2\.0\]"),
        ("train.seed: {values: [0, 1], probabilities: [.nan, 2]}", r"probabilities is \[nan, 2\.0\]"),
        ("train.learning_rate: {min: 0.1, max: .inf}", "max is inf; expected a number$"),
        ("train.learning_rate: {distribution: q_normal, mu: .nan}", "mu is nan; expected a number$"),
        ("train.learning_rate: {distribution: q_uniform, min: 0, max: 1, q: 0}", "q is 0; expected a number above 0"),
    ],
)
def test_a_slip_is_one_line_that_names_the_file(tmp_path: Path, parameters: str, message: str) -> None:
    text = f"method: grid\nparameters:\n  config: {{value: BASE}}\n  {parameters}\n"
    with pytest.raises(ConfigError, match=message) as caught:
        trials(tmp_path, text)
    assert "try.yaml" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("method: bayse\nparameters: {config: {value: BASE}}\n", "method is 'bayse'; expected grid, random or bayes"),
        (
            "method: bayes\nmetric: {name: val/loss}\n"
            "parameters: {config: {value: BASE}, train.seed: {min: 0, max: 9}, train.bf16: {values: [0, 1]}}\n",
            r"try: method is bayes, and train\.seed, train\.bf16 not fixed: W&B's server chooses .*or use method: random",
        ),
        ("method: grid\nparameters: {train.seed: {value: 0}}\n", r"parameters\.config is missing"),
        ("parameters: {config: {value: BASE}}\n", "key 'method' is missing"),
        ("method: random\nparameters: {config: {value: BASE}, train.seed: {min: 0, max: 9}}\n", "run_cap is not given"),
        (
            "method: bayes\nparameters: {config: {value: BASE}}\n",
            r"try.yaml: metric\.name is missing; expected the name of a metric",
        ),
        ("method: grid\nmetric: {goal: maximize}\nparameters: {config: {value: BASE}}\n", r"metric\.name is missing"),
        ("method: grid\nmetric: {name: 3}\nparameters: {config: {value: BASE}}\n", r"metric\.name is 3; expected the name"),
        ("method: grid\nparameters: {config: {value: 3}}\n", r"parameters\.config is 3; expected a file"),
        ("method: grid\nparameters: {config: {value: nowhere.yaml}}\n", r"nowhere\.yaml: no such configuration file"),
    ],
)
def test_a_sweep_that_could_not_run_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        trials(tmp_path, text)
