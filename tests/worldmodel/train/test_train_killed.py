"""kill -9 at random moments, again and again: there is always a whole state, and the run ends on the bits of another one."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from train_fakes import CONFIG, make_trainer, objective

from worldmodel.train.logging import read_metrics
from worldmodel.train.sharded_state import find_state

SAVING = dataclasses.replace(CONFIG, num_steps=40, save_every_seconds=0, num_threads=1)
NUM_KILLS = 8


def train(run_dir: Path, begun: Any) -> None:
    """At a pace at which it can be hit while it computes, while it saves, and between."""

    def slow(*arguments) -> tuple[Tensor, dict[str, Tensor]]:
        begun.set()
        time.sleep(0.005)
        return objective(*arguments)

    make_trainer(run_dir, SAVING, objective=slow).fit(resume=True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="starts processes by fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning")
def test_killed_at_random_moments(tmp_path: Path) -> None:
    rng, fork, steps = np.random.default_rng(0), multiprocessing.get_context("fork"), [0]
    for _ in range(NUM_KILLS):
        begun = fork.Event()
        child = fork.Process(target=train, args=(tmp_path / "run", begun))
        child.start()
        while child.is_alive() and not begun.wait(0.01):
            pass
        time.sleep(float(rng.uniform(0, 0.3)))
        child.kill()
        child.join()
        state = find_state(tmp_path / "run")  # raises where it is not whole
        steps.append(0 if state is None else state.step)
        rows = [row["step"] for row in read_metrics(tmp_path / "run") if "train/loss" in row]
        assert rows == list(range(4, 4 * len(rows) + 1, 4)), rows  # no row twice, and none missing
    assert steps == sorted(steps)  # a kill takes nothing back that was saved
    assert steps[-1] > 0

    resumed, straight = make_trainer(tmp_path / "run", SAVING), make_trainer(tmp_path / "straight", SAVING)
    resumed.fit(resume=True)
    straight.fit()
    for name, value in straight.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name
    losses = [[row["train/loss"] for row in read_metrics(tmp_path / run) if "train/loss" in row] for run in ("run", "straight")]
    assert losses[0] == losses[1]
    left = [path.name for path in (tmp_path / "run").rglob("*.part")]
    assert left == []  # what kills left half written was written over
