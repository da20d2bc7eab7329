"""Speed: exact rates by a clock that is known, operations that can be counted by hand, and training that is none the wiser."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from train_fakes import FakeModel, FakeWindows, make_trainer

from worldmodel.train.logging import read_metrics
from worldmodel.train.speed import Speed, first_rows, flops_of, peak_flops
from worldmodel.types import Window


class Clock:
    """Seconds as they are asked for."""

    def __init__(self, *seconds: float) -> None:
        self.seconds = list(seconds)

    def __call__(self) -> float:
        return self.seconds.pop(0)


def test_a_row_tells_rate_waiting_and_utilisation_since_the_last_one() -> None:
    speed = Speed(batch_size=8, num_ranks=2, clock=Clock(0, 1, 4, 10, 10, 14, 20, 22, 22))
    for _ in range(2):
        speed.start()
        speed.got()
        speed.stop()
    assert speed.row() == {"train/samples_per_s": 2.0, "train/data_wait_share": 0.125}
    speed.flops_per_window, speed.peak = 30.0, 240.0
    speed.start()
    speed.got()
    speed.stop()
    # 8 windows in 2 s are 4 a second, 2 for each of two processes, which make 60 of the 240 operations a second
    assert speed.row() == {"train/samples_per_s": 4.0, "train/data_wait_share": 1.0, "train/flops_utilisation": 0.25}


class Products(nn.Module):
    """(T, 3) -> (T, 5) -> scalar by one matrix product each."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 5, bias=False), nn.Linear(5, 1, bias=False)
        self.drop = nn.Dropout(0.5)
        self.num_calls = 0


class Sum(nn.Module):
    def forward(self, model: Products, window: Window, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        model.num_calls += 1
        return model.second(model.drop(model.first(window.observations["position"]))).sum(), {}


def test_operations_are_those_of_both_ways_and_nothing_changes() -> None:
    model, before = Products(), torch.get_rng_state()
    window = FakeWindows().batch(torch.arange(6).numpy())
    # a window has 3 frames: forwards 3*3*5 and 3*5*1 products, backwards the weights' again and the second layer's input
    assert flops_of(model, Sum(), window) == 2 * (3 * 3 * 5 + 3 * 5) + 2 * (3 * 3 * 5 + 3 * 5 + 3 * 5)
    assert torch.equal(torch.get_rng_state(), before)
    assert model.num_calls == 0 and all(p.grad is None for p in model.parameters())


def test_one_window_is_not_counted() -> None:
    assert flops_of(Products(), Sum(), FakeWindows().batch(torch.arange(1).numpy())) is None


def test_first_rows_are_a_window() -> None:
    window = dataclasses.replace(FakeWindows().batch(torch.arange(6).numpy()), embodiment=1)
    few = first_rows(window, 2)
    assert few.actions.equal(window.actions[:2]) and few.episode_index.tolist() == [100, 101] and few.embodiment == 1
    assert few.observations["position"].shape == (2, 3, 3) and few.dataset is None


def test_the_peak_is_a_rate_that_a_machine_can_have() -> None:
    assert 1e7 < peak_flops(torch.device("cpu"), torch.float32, seconds=0.01) < 1e14


class Plain(nn.Module):
    """The fakes' objective as a module, which is one that can be copied and counted."""

    def forward(self, model: FakeModel, window: Window, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        z = model.encode(window.observations)
        return (model.predict(z[:, :-1], window.actions) - z[:, 1:]).square().mean() + torch.rand((), generator=generator), {}


def test_training_tells_its_utilisation_and_ends_on_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told, silent = make_trainer(tmp_path / "told", objective=Plain()), make_trainer(tmp_path / "silent", objective=Plain())
    told.fit()
    assert all(row["train/flops_utilisation"] > 0 for row in read_metrics(tmp_path / "told") if "train/loss" in row)
    monkeypatch.setattr("worldmodel.train.trainer.flops_of", lambda *_: None)
    silent.fit()
    for name, value in told.model.state_dict().items():
        assert torch.equal(value, silent.model.state_dict()[name]), name
    assert not any("train/flops_utilisation" in row for row in read_metrics(tmp_path / "silent"))
