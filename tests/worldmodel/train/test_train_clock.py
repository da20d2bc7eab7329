"""A run that is limited in processor time ends when that is spent, also over a resumption, and its learning rate with it."""

from __future__ import annotations

import dataclasses
import signal
from pathlib import Path

import pytest
from train_fakes import CONFIG, make_trainer, objective

from worldmodel.errors import ConfigError
from worldmodel.train import clock as clock_module
from worldmodel.train import trainer as trainer_module
from worldmodel.train.clock import Clock
from worldmodel.train.logging import read_metrics
from worldmodel.train.schedule import one_cycle
from worldmodel.train.state import load_state


class Ticking:
    """A processor that spends a second between any two looks at its clock."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


@pytest.fixture
def _ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(num_steps: int, max_cpu_seconds: float | None) -> Clock:
        return Clock(num_steps, max_cpu_seconds, processor_time=Ticking())

    monkeypatch.setattr(trainer_module, "Clock", make)


def test_the_limit_that_is_nearer_counts() -> None:
    clock = Clock(100, 10.0, processor_time=Ticking())
    assert [clock.position(step) for step in (0, 7)] == [0, 7] and clock.progress(7) == (7, 100)
    for _ in range(5):
        clock.start()
        clock.stop()
    assert clock.spent == 5 and clock.position(7) == 50 and clock.progress(7) == (5, 10)
    assert clock.position(60) == 60 and clock.progress(60) == (60, 100)
    assert not clock.over(99) and clock.over(100)
    clock.spent = 10.0
    assert clock.over(7) and clock.position(7) == 100


def test_without_a_limit_in_time_a_step_is_a_step() -> None:
    clock = Clock(100, None, spent=1e9)
    assert type(clock.position(7)) is int and clock.position(7) == 7 and not clock.over(99) and clock.progress(7) == (7, 100)


def test_what_is_outside_an_update_is_not_counted() -> None:
    ticking = Ticking()
    clock = Clock(10, 5.0, processor_time=ticking)
    clock.start()
    clock.stop()
    ticking.now += 1000
    clock.start()
    clock.stop()
    assert clock.spent == 2


def test_several_processes_cannot_be_limited_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock_module, "num_ranks", lambda: 2)
    Clock(10, None)
    with pytest.raises(ConfigError, match=r"train\.max_cpu_seconds is 5 in a run of 2 processes"):
        Clock(10, 5.0)


@pytest.mark.usefixtures("_ticking")
def test_training_ends_when_the_time_is_spent_and_the_learning_rate_with_it(tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, num_steps=1000, max_cpu_seconds=10.0, log_every=1, val_every=1000)
    assert make_trainer(tmp_path, config).fit() == 10
    rows = read_metrics(tmp_path)
    assert [row["train/cpu_seconds"] for row in rows] == list(range(1, 11))
    want = [one_cycle(100 * i, 1000, config.learning_rate, config.warmup_fraction) for i in range(10)]
    assert [row["train/lr"] for row in rows] == pytest.approx(want)
    assert "val/loss" in rows[-1]  # the last update is always validated
    assert make_trainer(tmp_path, config).fit(resume=True) == 10  # and it is over


@pytest.mark.usefixtures("_ticking")
def test_a_resumed_run_has_what_is_left_of_the_time(tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, num_steps=1000, max_cpu_seconds=10.0, log_every=1, val_every=1000)
    calls = iter(range(1000))

    def stopped(*arguments):
        if next(calls) == 5:
            signal.raise_signal(signal.SIGINT)
        return objective(*arguments)

    with pytest.raises(KeyboardInterrupt):
        make_trainer(tmp_path, config, objective=stopped).fit()
    state = load_state(tmp_path)
    assert state is not None and state.cpu_seconds == 6
    assert make_trainer(tmp_path, config).fit(resume=True) == 10
    assert [row["train/cpu_seconds"] for row in read_metrics(tmp_path)] == list(range(1, 11))
