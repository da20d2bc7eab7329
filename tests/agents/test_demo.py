"""The pipeline: what is done is skipped, what was interrupted goes on, and other settings are refused."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import gymnasium
import pytest

from agents import demo
from agents.console import Screen
from agents.demo import Stage
from agents.evaluation.evaluate import EvalConfig
from agents.experiment import DataConfig, EnvConfig, ExperimentConfig
from agents.film import FILM_KWARGS
from tests.fakes import LineWorld
from worldmodel.errors import CheckpointError, ConfigError


class Pipeline:
    """Three stages that note when they work; the middle one can be interrupted."""

    def __init__(self) -> None:
        self.worked: list[str] = []
        self.results: set[str] = set()
        self.interrupt = False

    def work(self, name: str) -> None:
        self.worked.append(name)
        if self.interrupt and name == "b":
            raise KeyboardInterrupt
        self.results.add(name)

    def stages(self) -> list[Stage]:
        def stage(name: str) -> Stage:
            return Stage(name, f"do {name}", lambda: name in self.results, lambda progress: self.work(name))

        return [stage(name) for name in "abc"]


def test_an_interrupted_pipeline_goes_on_where_it_was(tmp_path: Path) -> None:
    pipeline, file = Pipeline(), io.StringIO()
    pipeline.interrupt = True
    with pytest.raises(KeyboardInterrupt):
        demo.run_stages(pipeline.stages(), tmp_path, Screen(file))
    pipeline.interrupt = False
    demo.run_stages(pipeline.stages(), tmp_path, Screen(file))
    assert pipeline.worked == ["a", "b", "b", "c"]
    assert "[1/3] do a: done already" in file.getvalue()
    times = json.loads((tmp_path / demo.TIMES).read_text())
    assert set(times) == {"a", "b", "c"} and min(times.values()) >= 0


def test_what_is_made_from_a_stage_that_runs_is_made_again(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in "abcd"}
    worked: list[str] = []
    interrupt = True

    def work(name: str) -> None:
        worked.append(name)
        if interrupt and name == "b":
            raise KeyboardInterrupt
        files[name].touch()

    def stage(name: str) -> Stage:
        return Stage(name, name, files[name].exists, lambda progress: work(name), results=(files[name],), is_source=name != "c")

    for name in "bcd":
        files[name].touch()  # old results, and the one that they were made from is gone
    with pytest.raises(KeyboardInterrupt):
        demo.run_stages([stage(name) for name in "abcd"], tmp_path, Screen(io.StringIO()))
    interrupt = False
    demo.run_stages([stage(name) for name in "abcd"], tmp_path, Screen(io.StringIO()))
    assert worked == ["a", "b", "b", "c", "d"]
    files["c"].unlink()
    demo.run_stages([stage(name) for name in "abcd"], tmp_path, Screen(io.StringIO()))
    assert worked[5:] == ["c"]  # nothing is made from it


def test_without_validation_episodes_measuring_is_left_out(tmp_path: Path) -> None:
    config = dataclasses.replace(ExperimentConfig(), data=DataConfig(val_fraction=0.0))
    (stage,) = (s for s in demo.pipeline(config, tmp_path, make_env=no_env) if s.name == "measure")
    file = io.StringIO()
    demo.run_stages([stage], tmp_path, Screen(file))
    assert file.getvalue().count("\n") == 1 and "left out, data.val_fraction is 0" in file.getvalue()


def no_env(config: EnvConfig, **overrides: object) -> gymnasium.Env:
    raise AssertionError("no environment is needed")


def test_the_film_shows_the_world_that_was_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = dataclasses.replace(ExperimentConfig(), evaluate=EvalConfig(num_objects=4, budget=5))
    (tmp_path / "evaluation.json").write_text('{"protocol": {"starts": [7]}}')
    made, filmed = [], []

    def make_env(config: EnvConfig, **overrides: object) -> gymnasium.Env:
        made.append(overrides)
        return LineWorld()

    monkeypatch.setattr(demo, "load_run", lambda *args: None)
    monkeypatch.setattr(demo, "film_and_look_inside", lambda run, config, env, start, *args: filmed.append(start))
    (stage,) = (s for s in demo.pipeline(config, tmp_path, make_env) if s.name == "film")
    demo.run_stages([stage], tmp_path, Screen(io.StringIO()))
    assert made == [{**FILM_KWARGS, "num_objects": 4, "max_sweeps": 5}] and filmed == [7]


def test_times_add_up_over_calls(tmp_path: Path) -> None:
    pipeline = Pipeline()
    (tmp_path / demo.TIMES).write_text('{"a": 100.0}')
    demo.run_stages(pipeline.stages(), tmp_path, Screen(io.StringIO()))
    assert json.loads((tmp_path / demo.TIMES).read_text())["a"] >= 100


def test_another_configuration_is_not_mixed_in(tmp_path: Path) -> None:
    config = ExperimentConfig()
    demo.remember(config, tmp_path)
    demo.remember(config, tmp_path)
    other = dataclasses.replace(config, train=dataclasses.replace(config.train, num_steps=7))
    with pytest.raises(ConfigError, match=r"train\.num_steps was \d+, is 7.*choose another --out"):
        demo.remember(other, tmp_path)


def test_what_cannot_follow_is_told_before_anything_is_recorded(tmp_path: Path) -> None:
    def make_env(config: EnvConfig, **overrides: object) -> gymnasium.Env:
        return LineWorld()

    with pytest.raises(ConfigError, match="unknown agent 'wordlmodel'"):
        asked = dataclasses.replace(ExperimentConfig(), evaluate=EvalConfig(agents=("wordlmodel",)))
        demo.run(asked, tmp_path / "run", no_env, Screen(io.StringIO()))
    with pytest.raises(ConfigError, match=r"a grid of 8 by a stem stride"):  # a picture of 8 pixels
        demo.run(ExperimentConfig(), tmp_path / "run", make_env, Screen(io.StringIO()))
    assert not (tmp_path / "run").exists()
    (tmp_path / "data").mkdir()  # what was recorded into it is welcome
    with pytest.raises(ConfigError, match=r"a grid of 8 by a stem stride"):
        demo.run(ExperimentConfig(), tmp_path, make_env, Screen(io.StringIO()))
    (tmp_path / "letters.txt").touch()
    with pytest.raises(ConfigError, match=r"holds other files \(letters.txt\)"):
        demo.run(ExperimentConfig(), tmp_path, no_env, Screen(io.StringIO()))


def test_a_run_to_begin_from_is_asked_for_until_training_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Going(Exception):
        """It goes on."""

    def go(*given: object) -> None:
        raise Going

    monkeypatch.setattr(demo, "require_recording", lambda *given, **named: None)
    monkeypatch.setattr(demo, "run_stages", go)
    config = dataclasses.replace(ExperimentConfig(), train=dataclasses.replace(ExperimentConfig().train, init_from="nowhere"))
    with pytest.raises(CheckpointError, match=r"train\.init_from: no such folder: nowhere"):
        demo.run(config, tmp_path, no_env, Screen(io.StringIO()))
    monkeypatch.setattr(demo.stages, "trained", lambda *given: True)
    with pytest.raises(Going):
        demo.run(config, tmp_path, no_env, Screen(io.StringIO()))
