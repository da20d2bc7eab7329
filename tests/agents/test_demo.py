"""The pipeline: what is done is skipped, what was interrupted goes on, and other settings are refused."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import pytest

from agents import demo
from agents.console import Screen
from agents.demo import Stage
from agents.experiment import ExperimentConfig
from worldmodel.errors import ConfigError


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
