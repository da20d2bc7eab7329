"""Several processes train as one: the same curve, the same state, one decision; and when one is lost, all of them end."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from rank_fakes import DDP, EVERYTHING, FSDP, SMALLEST, fit, make_trainer, on_ranks
from torch.distributed.tensor import DTensor

from worldmodel.errors import LostRankError, WorldModelError
from worldmodel.objectives import ObjectiveConfig
from worldmodel.train.checkpoint import cpu_state
from worldmodel.train.logging import read_metrics
from worldmodel.train.parallel import Parallel
from worldmodel.train.ranks import Ranks
from worldmodel.train.sharded_state import SHARDED, find_state
from worldmodel.train.state import STATE
from worldmodel.train.trainer import Trainer

TIMED = (
    "step",
    "time",
    "train/samples_per_s",
    "train/data_wait_share",
    "train/cpu_seconds",
    "train/flops_utilisation",
    "train/seconds_left",
)


def require_same_curves(run_dir: Path, other: Path, rtol: float = 1e-5) -> None:
    """Every number of the log, those of the validation included."""
    ours, theirs = read_metrics(run_dir), read_metrics(other)
    assert [row["step"] for row in ours] == [row["step"] for row in theirs]
    for mine, yours in zip(ours, theirs, strict=True):
        assert mine.keys() == yours.keys()
        for name in mine.keys() - set(TIMED):
            assert mine[name] == pytest.approx(yours[name], rel=rtol, abs=1e-12), (mine["step"], name)


def require_same_states(run_dir: Path, other: Path) -> None:
    """Weights, moments and the place in the data, whoever wrote them."""
    ours, theirs = find_state(run_dir), find_state(other)
    assert ours is not None and theirs is not None
    assert (ours.step, ours.sampler, ours.identity) == (theirs.step, theirs.sampler, theirs.identity)
    names = {name for name in (*ours.tensors, *theirs.tensors) if not name.startswith("generator.torch")}
    for name in names:
        torch.testing.assert_close(ours.tensors[name], theirs.tensors[name], rtol=1e-6, atol=1e-9, msg=name)


def train_in_many_ways(folder: Path) -> None:
    """What each of two processes does: train by DDP and FSDP2, stop half way, go on with what one process has left."""
    for name, parallel in (("ddp", DDP), ("fsdp", FSDP)):
        trainer = fit(folder / name, parallel=parallel)
        safetensors.torch.save_file(cpu_state(trainer.model), folder / f"{name}-{Ranks().rank}.safetensors")
        assert not trainer.model.training
        fit(folder / f"half_{name}", parallel=parallel, stop_at=5)
    held = [p.to_local().numel() for p in trainer.learner.parameters() if isinstance(p, DTensor)]
    assert len(held) == len(list(trainer.model.parameters())) + len(list(trainer.objective.parameters()))  # type: ignore[attr-defined]
    assert sum(held) < 0.7 * sum(p.numel() for p in trainer.learner.parameters())
    fit(folder / "one_half", parallel=FSDP, resume=True)


@pytest.mark.slow
def test_two_processes_train_as_one_and_any_number_goes_on(tmp_path: Path) -> None:
    one = fit(tmp_path / "one")
    fit(tmp_path / "one_half", stop_at=3)
    on_ranks(2, tmp_path, train_in_many_ways)
    for name in ("ddp", "fsdp"):
        require_same_curves(tmp_path / name, tmp_path / "one")
        require_same_states(tmp_path / name, tmp_path / "one")
        for rank in range(2):
            weights = safetensors.torch.load_file(tmp_path / f"{name}-{rank}.safetensors")
            torch.testing.assert_close(weights, cpu_state(one.model), rtol=1e-6, atol=1e-9)
        # begun by two, ended by one
        half = tmp_path / f"half_{name}"
        assert (half / SHARDED).exists() and not (half / STATE).exists()
        fit(half, resume=True)
        assert (half / STATE).exists() and not (half / SHARDED).exists() and len(list((half / "training").iterdir())) == 1
        require_same_curves(half, tmp_path / "one")
    # begun by one, ended by two
    assert not (tmp_path / "one_half" / STATE).exists()
    require_same_curves(tmp_path / "one_half", tmp_path / "one")
    require_same_states(tmp_path / "one_half", tmp_path / "one")


def tell_after_validation(folder: Path) -> None:
    for name, parallel in (("ddp", DDP), ("fsdp", FSDP)):
        trainer = make_trainer(folder / name, parallel=parallel)

        def validated(step: int, name: str = name, trainer: Trainer = trainer) -> None:
            safetensors.torch.save_file(cpu_state(trainer.model), folder / f"{name}-{Ranks().rank}-{step}.safetensors")

        trainer.validated = validated
        trainer.fit()


@pytest.mark.slow
def test_after_a_validation_the_first_process_has_the_whole_model(tmp_path: Path) -> None:
    one, kept = make_trainer(tmp_path / "one"), {}
    one.validated = lambda step: kept.update({step: cpu_state(one.model)})
    one.fit()
    assert list(kept) == [4, 8]
    on_ranks(2, tmp_path, tell_after_validation)
    told = {path.name: safetensors.torch.load_file(path) for path in tmp_path.glob("*.safetensors")}
    assert told.keys() == {f"{name}-0-{step}.safetensors" for name in ("ddp", "fsdp") for step in kept}
    for name, weights in told.items():
        torch.testing.assert_close(weights, kept[int(name.split("-")[2].split(".")[0])], rtol=1e-6, atol=1e-9)


PLAIN: dict[str, Any] = {"model": SMALLEST, "objective": ObjectiveConfig(rollout_coef=0), "validates": False, "num_steps": 2}


def train_in_half_precision(folder: Path) -> None:
    for name, parallel in (("ddp", DDP), ("fsdp", FSDP)):
        fit(folder / name, parallel=parallel, double=False, bf16=True, **PLAIN)


@pytest.mark.slow
def test_bf16_is_that_of_one_process(tmp_path: Path) -> None:
    fit(tmp_path / "one", double=False, bf16=True, **PLAIN)
    on_ranks(2, tmp_path, train_in_half_precision)
    require_same_curves(tmp_path / "ddp", tmp_path / "one", rtol=2e-2)
    require_same_curves(tmp_path / "fsdp", tmp_path / "one", rtol=2e-2)


def train_compiled(folder: Path) -> None:
    for name, parallel in (("ddp", DDP), ("fsdp", FSDP)):
        fit(folder / name, parallel=parallel, compile="aot_eager", **PLAIN)


@pytest.mark.slow
def test_compiled_and_plain_learn_the_same_on_two_processes(tmp_path: Path) -> None:
    fit(tmp_path / "one", **PLAIN)
    on_ranks(2, tmp_path, train_compiled)
    require_same_curves(tmp_path / "ddp", tmp_path / "one")
    require_same_curves(tmp_path / "fsdp", tmp_path / "one")


FILMS: dict[str, Any] = {
    "objective": dataclasses.replace(EVERYTHING, prediction_coef=0, rollout_coef=0, inverse_dynamics_coef=0)
}


def train_on_films(folder: Path) -> None:
    for name, parallel in (("ddp", DDP), ("fsdp", FSDP)):
        fit(folder / name, parallel=parallel, **FILMS)


@pytest.mark.slow
def test_a_predictor_that_lies_unused_is_left_alone(tmp_path: Path) -> None:
    fit(tmp_path / "one", **FILMS)
    on_ranks(2, tmp_path, train_on_films)
    for name in ("ddp", "fsdp"):
        require_same_curves(tmp_path / name, tmp_path / "one")
        require_same_states(tmp_path / name, tmp_path / "one")  # moments of what is used, and of nothing else


def train_in_four(folder: Path) -> None:
    fit(folder / "hybrid", parallel=Parallel(dp_replicate=2, dp_shard=2), num_steps=3)


@pytest.mark.slow
def test_four_processes_hold_two_copies_in_two_shards_each(tmp_path: Path) -> None:
    fit(tmp_path / "one", num_steps=3)
    on_ranks(4, tmp_path, train_in_four)
    require_same_curves(tmp_path / "hybrid", tmp_path / "one")
    require_same_states(tmp_path / "hybrid", tmp_path / "one")


def nan_on_one(folder: Path) -> None:
    """Window 7 is no number; it is one process's, and both have to know of it."""
    for name, parallel in (("ddp", DDP), ("fsdp", FSDP)):
        for what in ("skip", "stop"):
            trainer = make_trainer(
                folder / f"{name}_{what}", parallel=parallel, on_nonfinite=what, objective=ObjectiveConfig(), num_steps=9
            )
            trainer.batches.windows.actions[7] = math.nan  # type: ignore[attr-defined]
            try:
                trainer.fit()
            except WorldModelError as error:
                (folder / f"{name}_{what}_{Ranks().rank}").write_text(str(error))
            assert all(p.isfinite().all() for p in trainer.model.parameters())


@pytest.mark.slow
def test_what_is_no_number_on_one_process_stops_all_or_is_skipped_by_all(tmp_path: Path) -> None:
    on_ranks(2, tmp_path, nan_on_one)
    for name in ("ddp", "fsdp"):
        rows = read_metrics(tmp_path / f"{name}_skip")
        assert sum(row.get("train/skipped", 0) for row in rows) == 2  # 36 windows, batches of 8: twice in 9 updates
        assert rows[-1]["step"] == 9
        told = [(tmp_path / f"{name}_stop_{rank}").read_text() for rank in range(2)]
        assert told[0] == told[1] and "loss is nan" in told[0] and "107" in told[0]
        facts = next((tmp_path / f"{name}_stop" / "nonfinite").glob("*.json"))
        assert len(json.loads(facts.read_text())["episode_index"]) == 8  # the batch of both
    assert not list(tmp_path.glob("*_skip_*"))


class Slow:
    """An update takes its time, and the first ones are told of in a file."""

    def __init__(self, told: Path) -> None:
        self.told = told

    def update(self, done: int, total: int, **fields: str | float) -> None:
        self.told.write_text(str(done))
        time.sleep(0.2 if done < 5 else 3600)


def wait_for_a_loss(folder: Path) -> None:
    """One of two processes, of which the second will be killed."""
    try:
        make_trainer(folder / "run", save_every_seconds=0, parallel=FSDP).fit(progress=Slow(folder / "told"))
    except LostRankError as error:
        (folder / "lost").write_text(str(error))
        sys.exit(2)


@pytest.mark.slow
def test_a_killed_process_ends_the_others_and_costs_the_updates_since_the_last_state(tmp_path: Path) -> None:
    context = on_ranks(2, tmp_path, wait_for_a_loss, join=False)
    first, second = context.processes
    deadline = time.monotonic() + 120
    while not (tmp_path / "told").exists() or (tmp_path / "told").read_text() < "3":
        assert first.is_alive() and time.monotonic() < deadline
        time.sleep(0.01)
    second.kill()
    first.join(60)
    assert first.exitcode == 2
    line = (tmp_path / "lost").read_text()
    assert "process 0 of 2 lost another one" in line and "--resume" in line and "\n" not in line
    state = find_state(tmp_path / "run")
    assert state is not None and state.step >= 2
    fit(tmp_path / "run", resume=True, save_every_seconds=0)
    fit(tmp_path / "one")
    require_same_curves(tmp_path / "run", tmp_path / "one")
