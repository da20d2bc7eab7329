"""The training loop: it learns, it resumes on the same bits after any kind of stop, and it does not train on NaN."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import train_fakes
from train_fakes import CONFIG, KILLED, FakeModel, FakeWindows, make_trainer, objective

from worldmodel.data import Batches, JoinedWindows, MixtureSampler
from worldmodel.errors import CheckpointError, ConfigError, DataError, MismatchError, WorldModelError
from worldmodel.train.config import TrainConfig
from worldmodel.train.logging import read_metrics
from worldmodel.train.nonfinite import replay
from worldmodel.train.state import STATE, load_state

TIMED = ("time", "train/samples_per_s", "train/data_wait_share", "train/cpu_seconds", "train/seconds_left")


def curves(run_dir):
    """metrics.jsonl without what the clock says."""
    return [{key: value for key, value in row.items() if key not in TIMED} for row in read_metrics(run_dir)]


def same_bits(a, b) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@pytest.fixture
def straight(tmp_path):
    """A run without any stop."""
    trainer = make_trainer(tmp_path / "straight")
    trainer.fit()
    return trainer


class StopAfter:
    """The objective, until it has been called `count` times; then `act` happens."""

    def __init__(self, count, act):
        self.left, self.act = count, act

    def __call__(self, *arguments):
        if self.left == 0:
            self.act()
        self.left -= 1
        return objective(*arguments)


def raise_error():
    raise RuntimeError("the machine burns")


def test_it_learns_and_says_so(tmp_path):
    config = dataclasses.replace(CONFIG, num_steps=200, learning_rate=1e-2, val_every=100)
    make_trainer(tmp_path, config).fit()
    rows = read_metrics(tmp_path)
    assert rows[-1]["step"] == 200
    assert rows[-1]["train/loss"] < 0.5 * rows[0]["train/loss"]
    val = [row for row in rows if "val/loss" in row]
    assert [row["step"] for row in val] == [100, 200]
    assert val[-1]["val/pred"] < val[0]["val/pred"]
    names = ("loss", "pred", "spread", "lr", "grad_norm", "samples_per_s", "data_wait_share")
    assert {f"train/{name}" for name in names} <= rows[0].keys()
    assert 0 <= rows[0]["train/data_wait_share"] <= 1


class Followed(torch.nn.Module):
    """The objective, and the updates after which it was told to follow the weights, with one of them as it was then."""

    def __init__(self):
        super().__init__()
        self.told = []

    def forward(self, *arguments):
        return objective(*arguments)

    def after_update(self, model, step, num_steps):
        self.told.append((step, num_steps, model.predictor[0].bias[0].item()))


def test_training_is_a_plain_loop(tmp_path):
    """Written a second time with torch's own schedule: clipping that bites, decay of matrices, one look at each batch."""
    config = dataclasses.replace(CONFIG, num_steps=8, learning_rate=0.05, weight_decay=0.3, betas=(0.7, 0.9), clip_norm=0.1)
    followed, model, windows = Followed(), FakeModel(), FakeWindows()
    trainer = make_trainer(tmp_path, config, objective=followed)
    trainer.fit()

    matrices, others = ([p for p in model.parameters() if (p.ndim > 1) == whole] for whole in (True, False))
    groups = [{"params": matrices, "weight_decay": 0.3}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=1.0, betas=(0.7, 0.9))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.05, 8, pct_start=config.warmup_fraction, cycle_momentum=False)
    order = np.concatenate([np.random.default_rng([config.seed, epoch]).permutation(30) for epoch in range(2)])
    generator, told, clipped = torch.Generator().manual_seed(config.seed), [], 0
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        for step in range(8):
            loss, _ = objective(model, windows.batch(order[4 * step : 4 * step + 4]), generator)
            gradient = torch.autograd.grad(loss, list(model.parameters()))
            norm = torch.cat([g.flatten() for g in gradient]).norm()
            clipped += bool(norm > 0.1)
            for parameter, grad in zip(model.parameters(), gradient, strict=True):
                parameter.grad = grad * min(1.0, 0.1 / float(norm))
            optimizer.step()
            schedule.step() if step < 7 else None
            told.append((step + 1, 8, model.predictor[0].bias[0].item()))  # type: ignore[index]
    assert clipped > 4
    for name, value in model.state_dict().items():
        if name not in ("encoder.bias", "norm.running_mean"):  # a bias before a normalisation learns from rounding alone
            torch.testing.assert_close(trainer.model.state_dict()[name], value, rtol=1e-4, atol=1e-5, msg=name)
    for ours, theirs in zip(followed.told, told, strict=True):
        assert ours == (*theirs[:2], pytest.approx(theirs[2], abs=1e-5))


def test_one_seed_is_one_run_and_another_is_another(tmp_path, straight):
    again, other = make_trainer(tmp_path / "again"), make_trainer(tmp_path / "other", dataclasses.replace(CONFIG, seed=1))
    again.fit()
    other.fit()
    assert same_bits(straight.model, again.model)
    assert curves(tmp_path / "straight") == curves(tmp_path / "again")
    assert not same_bits(straight.model, other.model)


def test_training_leaves_the_callers_random_numbers_alone(tmp_path):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    make_trainer(tmp_path).fit()
    assert torch.equal(torch.get_rng_state(), before)


def test_validation_changes_nothing(tmp_path, straight):
    unseen = make_trainer(tmp_path / "unseen", windows_val=None)
    unseen.fit()
    assert same_bits(straight.model, unseen.model)


@pytest.mark.parametrize("updates", [3, 10, 19])
def test_ctrl_c_saves_and_resuming_ends_on_the_same_bits(tmp_path, straight, updates):
    # Validation calls the objective too: two batches after update 8, two after update 16.
    calls = updates + 2 * (updates > 8) + 2 * (updates > 16) - 1
    stop = StopAfter(calls, lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt, match=f"stopped after update {updates}; the state is saved"):
        make_trainer(tmp_path / "run", objective=stop).fit()
    state = load_state(tmp_path / "run")
    assert state is not None and state.step == updates

    resumed = make_trainer(tmp_path / "run", model=FakeModel(seed=9))
    resumed.fit(resume=True)
    assert same_bits(straight.model, resumed.model)
    assert curves(tmp_path / "straight") == curves(tmp_path / "run")
    ours, theirs = load_state(tmp_path / "run"), load_state(tmp_path / "straight")
    assert ours is not None and theirs is not None and ours.sampler == theirs.sampler
    assert all(torch.equal(value, theirs.tensors[name]) for name, value in ours.tensors.items())


@pytest.mark.parametrize(("call", "updates"), [(3, 4), (20, 20)])
def test_ctrl_c_between_two_looks_at_it_is_not_lost(tmp_path, monkeypatch, call, updates):
    """It comes right after the loop has asked whether it came: of update 3, and of the last one."""
    trainer, calls = make_trainer(tmp_path), []

    def largest(*numbers):
        calls.append(numbers)
        if len(calls) == call:
            signal.raise_signal(signal.SIGINT)
        return list(numbers)

    monkeypatch.setattr(trainer.ranks, "largest", largest)
    with pytest.raises(KeyboardInterrupt, match=f"stopped after update {updates}; the state is saved"):
        trainer.fit()
    state = load_state(tmp_path)
    assert state is not None and state.step == updates


def mixed_batches() -> Batches:
    joined = JoinedWindows([FakeWindows(20), FakeWindows(13, seed=5)])
    return Batches(joined, MixtureSampler(joined, [1, 2], CONFIG.batch_size, CONFIG.seed))


def test_batches_that_somebody_else_chose_are_resumed_on_the_same_bits(tmp_path):
    straight = make_trainer(tmp_path / "straight", windows_train=mixed_batches())
    straight.fit()
    stop = StopAfter(6, lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt, match="stopped after update 7"):
        make_trainer(tmp_path / "run", windows_train=mixed_batches(), objective=stop).fit()
    resumed = make_trainer(tmp_path / "run", model=FakeModel(seed=9), windows_train=mixed_batches())
    resumed.fit(resume=True)
    assert same_bits(straight.model, resumed.model)
    assert curves(tmp_path / "straight") == curves(tmp_path / "run")


def test_sigterm_saves_too(tmp_path):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # whatever a library in another test has left there
    stop = StopAfter(4, lambda: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(SystemExit) as caught:
        make_trainer(tmp_path, objective=stop).fit()
    assert caught.value.code == 143
    state = load_state(tmp_path)
    assert state is not None and state.step == 5
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_after_an_error_it_goes_on_from_the_last_state_and_no_row_is_doubled(tmp_path, straight):
    config = dataclasses.replace(CONFIG, save_every_seconds=0)
    with pytest.raises(RuntimeError, match="the machine burns"):
        make_trainer(tmp_path / "run", config, objective=StopAfter(14, raise_error)).fit()
    # Rows that were told of after the last state, and half a row.
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 16, "time": 0.0, "train/loss": 9.0}\n{"step": 17, "ti')
    resumed = make_trainer(tmp_path / "run", config)
    resumed.fit(resume=True)
    assert same_bits(straight.model, resumed.model)
    assert curves(tmp_path / "straight") == curves(tmp_path / "run")


def test_kill_9_at_any_moment_leaves_a_state_to_resume_from(tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run_dir = tmp_path / "run"
    child = subprocess.Popen([sys.executable, str(Path(train_fakes.__file__)), str(run_dir)], env=environment)
    try:
        deadline = time.monotonic() + 120
        while (state := load_state(run_dir)) is None or state.step < 7:
            assert child.poll() is None and time.monotonic() < deadline
            time.sleep(0.005)
    finally:
        child.kill()
        child.wait()
    state = load_state(run_dir)
    assert state is not None and 7 <= state.step < KILLED.num_steps

    resumed = make_trainer(run_dir, KILLED)
    straight = make_trainer(tmp_path / "straight", dataclasses.replace(KILLED, save_every_seconds=60))
    resumed.fit(resume=True)
    straight.fit()
    assert same_bits(straight.model, resumed.model)
    assert curves(run_dir) == curves(tmp_path / "straight")


def test_a_finished_run_is_resumed_to_its_own_weights(tmp_path, straight):
    calls = StopAfter(0, raise_error)
    again = make_trainer(tmp_path / "straight", model=FakeModel(seed=9), objective=calls)
    again.fit(resume=True)
    assert same_bits(straight.model, again.model)
    assert not again.model.training


def test_a_run_is_never_overwritten_by_accident(tmp_path, straight):
    with pytest.raises(ConfigError, match=r"holds a training run \(update 20\): resume it, or choose another folder"):
        make_trainer(tmp_path / "straight").fit()


def test_a_run_started_otherwise_is_not_resumed(tmp_path, straight):
    changed = dataclasses.replace(CONFIG, learning_rate=2e-3, log_every=1)
    with pytest.raises(MismatchError, match=r"learning_rate was 0.001 and is 0.002; set it back to go on, or"):
        make_trainer(tmp_path / "straight", changed).fit(resume=True)
    with pytest.raises(MismatchError, match="num_windows was 30 and is 40; data was None and is 'new'"):
        make_trainer(tmp_path / "straight", windows_train=FakeWindows(40), identity={"data": "new"}).fit(resume=True)


def test_a_damaged_state_is_one_line(tmp_path, straight):
    path = tmp_path / "straight" / STATE
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="is damaged") as caught:
        make_trainer(tmp_path / "straight").fit(resume=True)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("where", [-1, -5000])
def test_a_state_of_which_one_bit_has_changed_is_not_resumed(tmp_path, straight, where):
    path = tmp_path / "straight" / STATE
    content = bytearray(path.read_bytes())
    content[where] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="is damaged: its checksum") as caught:
        make_trainer(tmp_path / "straight").fit(resume=True)
    assert "\n" not in str(caught.value)


def test_a_state_from_before_there_were_checksums_is_resumed(tmp_path, straight):
    path = tmp_path / "straight" / STATE
    with safetensors.safe_open(path, framework="pt") as file:
        said = {"state": file.metadata()["state"]}
    safetensors.torch.save_file(safetensors.torch.load_file(path), path, metadata=said)
    assert make_trainer(tmp_path / "straight").fit(resume=True) == CONFIG.num_steps


def nan_in_one(window_number: int) -> FakeWindows:
    windows = FakeWindows()
    windows.positions[window_number, 1, 0] = math.nan
    return windows


def test_a_loss_that_is_no_number_stops_and_keeps_the_batch(tmp_path):
    with pytest.raises(WorldModelError, match=r"update \d+: loss is nan.*episodes .*107.*train.on_nonfinite=skip") as caught:
        make_trainer(tmp_path, windows_train=nan_in_one(7), windows_val=None).fit()
    path = next((tmp_path / "nonfinite").glob("*.safetensors"))
    assert str(path) in str(caught.value)
    batch = safetensors.torch.load_file(path)
    facts = json.loads(path.with_suffix(".json").read_text())
    assert 107 in batch["episode_index"].tolist() == facts["episode_index"]
    assert batch["observations.position"].isnan().any()
    assert facts["measured"]["loss"] == "nan"


def test_what_is_kept_of_a_stop_measures_the_same_again(tmp_path):
    """A number that is none because of this batch, these weights and these draws together, dropout among them."""
    spreads = []

    def watched(*arguments):
        loss, terms = objective(*arguments)
        spreads.append(terms["spread"].item())
        return loss, terms

    def fragile(*arguments):
        loss, terms = objective(*arguments)
        return loss * (math.nan if terms["spread"].item() == spreads[6] else 1.0), terms

    make_trainer(tmp_path / "whole", objective=watched, windows_val=None).fit()
    with pytest.raises(WorldModelError, match="update 7: loss is nan, grad_norm is nan"):
        make_trainer(tmp_path, objective=fragile, windows_val=None).fit()
    path = tmp_path / "nonfinite" / "step-7.safetensors"
    measured = json.loads(path.with_suffix(".json").read_text())["measured"]
    again = replay(path, FakeModel(seed=9), fragile)
    assert again.keys() == measured.keys() and math.isnan(again["loss"]) and math.isnan(again["grad_norm"])
    assert {name: again[name] for name in ("pred", "spread")} == {name: measured[name] for name in ("pred", "spread")}
    with pytest.raises(CheckpointError, match="it belongs to another model"):
        replay(path, torch.nn.Linear(1, 1), fragile)


def test_or_skips_it_and_nothing_is_poisoned(tmp_path):
    config = dataclasses.replace(CONFIG, on_nonfinite="skip", num_steps=16)
    trainer = make_trainer(tmp_path, config, windows_train=nan_in_one(7))
    trainer.fit()
    assert all(value.isfinite().all() for value in trainer.model.state_dict().values())  # running statistics too
    rows = read_metrics(tmp_path)
    assert sum(row.get("train/skipped", 0) for row in rows) == 2  # 30 windows, batches of 4: twice in 16 updates
    assert all(math.isfinite(row["train/loss"]) and math.isfinite(row["val/loss"]) for row in rows if "val/loss" in row)


class ScaledObjective(torch.nn.Module):
    """An objective with a parameter of its own."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(1.0))

    def forward(self, model, window, generator):
        loss, terms = objective(model, window, generator)
        return loss * self.scale.exp() - self.scale, terms


def test_an_objectives_own_parameters_are_trained_and_resumed(tmp_path):
    first, again = ScaledObjective(), ScaledObjective()
    make_trainer(tmp_path, objective=first).fit()
    assert first.scale.item() != 1.0
    make_trainer(tmp_path, objective=again).fit(resume=True)
    assert torch.equal(again.scale, first.scale)


def test_the_latent_is_diagnosed(tmp_path):
    shapes = []

    def diagnose(model, z, actions):
        shapes.append((tuple(z.shape), tuple(actions.shape), model.training))
        return {"std": z.std().item()}

    make_trainer(tmp_path, diagnose=diagnose).fit()
    assert set(shapes) == {((4, 3, 1, 8), (4, 2, 2), False)}
    assert [row["step"] for row in read_metrics(tmp_path) if "val/std" in row] == [8, 16, 20]


def test_a_run_that_clips_nothing_is_saved_and_is_that_of_a_bound_out_of_reach(tmp_path):
    free, bound = (make_trainer(tmp_path / f"{n}", dataclasses.replace(CONFIG, clip_norm=n)) for n in (None, 1e9))
    free.fit()
    bound.fit()
    assert same_bits(free.model, bound.model)
    assert make_trainer(tmp_path / "None", dataclasses.replace(CONFIG, clip_norm=None)).fit(resume=True) == 20


def test_progress_is_told(tmp_path):
    told = []

    class Listener:
        def update(self, done, total, **fields):
            told.append((done, total, fields))

    make_trainer(tmp_path, dataclasses.replace(CONFIG, log_every=1)).fit(progress=Listener())
    assert [(done, total) for done, total, _ in told] == [(step, 20) for step in range(1, 21)]
    for (*_, fields), row in zip(told, read_metrics(tmp_path), strict=True):
        assert list(fields) == ["loss", "pred", "spread", "samples/s", "waits"]
        assert fields["loss"] == f"{row['train/loss']:.3g}"
        assert [fields[name] for name in ("pred", "spread")] == [f"{row[f'train/{name}']:.2g}" for name in ("pred", "spread")]
        assert fields["waits"] == f"{100 * row['train/data_wait_share']:.0f}%"


def test_terms_without_a_weight_are_not_shown_and_rates_when_there_are_some(tmp_path):
    class Weighted(Followed):
        weighted = frozenset({"pred"})

    class Listener:
        def update(self, done, total, **fields):
            told.append(list(fields))

    told = []
    make_trainer(tmp_path, objective=Weighted()).fit(progress=Listener())
    assert told[:3] == [["loss", "pred"]] * 3 and told[3:] == [["loss", "pred", "samples/s", "waits"]] * 17


def test_each_row_tells_the_time_that_is_left(tmp_path):
    make_trainer(tmp_path).fit()
    *others, last = [row["train/seconds_left"] for row in read_metrics(tmp_path)]
    assert last == 0 and len(others) == 4 and all(0 < left < 60 for left in others)


def test_a_row_is_in_the_log_before_whoever_waits_for_a_validation_is_told(tmp_path):
    told = []

    def validated(step):
        told.append((step, [row["step"] for row in read_metrics(tmp_path) if "val/loss" in row]))

    make_trainer(tmp_path, validated=validated).fit()
    assert told == [(8, [8]), (16, [8, 16]), (20, [8, 16, 20])]


def test_a_failing_window_is_raised_where_it_is_waited_for(tmp_path):
    class Broken(FakeWindows):
        def batch(self, indices):
            raise DataError("episode 3 is damaged")

    with pytest.raises(DataError, match="episode 3 is damaged"):
        make_trainer(tmp_path, windows_train=Broken()).fit()


# Compiling looks at the .grad of what it is given, which torch itself warns of.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
def test_bf16_and_compiling_run_and_leave_a_plain_model(tmp_path):
    config = dataclasses.replace(CONFIG, num_steps=4, bf16=True, compile="aot_eager")
    trainer = make_trainer(tmp_path, config)
    trainer.fit()
    assert "encode" not in vars(trainer.model)
    assert trainer.model.state_dict().keys() == FakeModel().state_dict().keys()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_steps": 0}, "num_steps is 0; expected at least 1"),
        ({"num_frames": 1}, "one frame predicts nothing"),
        ({"batch_size": 1}, "batch_size is 1; expected at least 2"),
        ({"warmup_fraction": 2.0}, r"warmup_fraction is 2.0; expected a number in \[0, 1\]"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0; expected more than 0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"learning_rate": float("inf")}, "learning_rate is inf"),
        ({"clip_norm": 0.0}, "clip_norm is 0.0"),
        ({"clip_norm": float("inf")}, "clip_norm is inf"),
        ({"betas": (0.9, 1.0)}, "betas is"),
        ({"num_threads": 0}, "num_threads is 0; expected at least 1"),
        ({"save_every_seconds": -1.0}, "save_every_seconds is -1.0"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**63}, "expected a whole number from 0"),
    ],
)
def test_impossible_settings_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        TrainConfig(**changes)


def test_the_ends_of_the_ranges_are_settings_too():
    TrainConfig(num_steps=1, batch_size=2, num_frames=2, warmup_fraction=0.0, clip_norm=None, num_threads=1)
    TrainConfig(warmup_fraction=1.0, weight_decay=0.0, save_every_seconds=0.0, seed=2**63 - 1)


def test_too_few_windows_and_windows_of_another_length_are_refused(tmp_path):
    with pytest.raises(DataError, match="3 windows of 3 frames are less than one batch of 4"):
        make_trainer(tmp_path, windows_train=FakeWindows(3))
    with pytest.raises(MismatchError, match=r"windows have 5 frames, train.num_frames is 3"):
        make_trainer(tmp_path, windows_train=FakeWindows(num_frames=5)).fit()
    with pytest.raises(ConfigError, match="device 'mps' is not available"):
        make_trainer(tmp_path, dataclasses.replace(CONFIG, device="mps"))
