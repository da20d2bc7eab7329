"""The EMA target: how it follows, that nothing pulls on it, and that a resumed run has the same one."""

from __future__ import annotations

import dataclasses
import signal
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from tests.worldmodel.test_jepa import CONFIG
from tests.worldmodel.toy import ToyWindows, toy_spec
from worldmodel.errors import ConfigError
from worldmodel.jepa import JEPA
from worldmodel.objectives import EMAConfig, ObjectiveConfig, build_objective
from worldmodel.objectives.ema import EMATarget
from worldmodel.train.config import TrainConfig
from worldmodel.train.logging import JsonlLogger
from worldmodel.train.trainer import Trainer


def test_the_decay_follows_its_schedule() -> None:
    config = EMAConfig(decay=0.9, final_decay=1.0)
    assert [config.at(step, 11) for step in (1, 6, 11)] == pytest.approx([0.9, 0.95, 1.0])
    cosine = EMAConfig(decay=0.9, final_decay=1.0, schedule="cosine")
    assert [cosine.at(step, 5) for step in (1, 2, 3, 5)] == pytest.approx([0.9, 0.9 + 0.05 * (1 - 0.5**0.5), 0.95, 1.0])
    assert EMAConfig(decay=0.9, schedule="constant").at(5, 5) == 0.9
    assert config.at(1, 1) == 0.9
    with pytest.raises(ConfigError, match=r"decay is 1\.5"):
        EMAConfig(decay=1.5)


def test_it_follows_exactly() -> None:
    encoder = torch.nn.Linear(2, 2).double()
    target, want = EMATarget(EMAConfig(decay=0.8, schedule="constant"), encoder), encoder.weight.detach().numpy().copy()
    for step in range(1, 4):
        with torch.no_grad():
            encoder.weight.add_(step)
        target.follow(encoder, step, 3)
        want = 0.8 * want + 0.2 * encoder.weight.detach().numpy()
    np.testing.assert_allclose(target.encoder.weight.numpy(), want, rtol=1e-12)  # type: ignore[union-attr]


def make_model(seed: int = 0) -> JEPA:
    torch.manual_seed(seed)
    return JEPA(CONFIG, toy_spec())


def test_nothing_pulls_on_the_target() -> None:
    """No gradient reaches the copy, and none reaches the encoder through it: what it aims at is a constant."""
    model = make_model()
    objective = build_objective(ObjectiveConfig(target="ema", sigreg_coef=0, rollout_coef=0), model)
    window = ToyWindows(8, num_frames=2).batch(np.arange(8))
    model.train()
    loss, terms = objective(model, window, torch.Generator())
    loss.backward()
    assert objective.ema is not None and all(p.grad is None for p in objective.ema.parameters())
    assert [n for n, p in objective.named_parameters() if p.requires_grad] == []
    constant = objective.ema(window.observations)
    z = model.encode(window.observations)
    want = (model.predict(z[:, :-1], window.actions) - constant[:, 1:]).square().mean()
    torch.testing.assert_close(terms["pred"], want.detach())
    weights = list(model.encoder.parameters())
    for got, grad in zip([p.grad for p in weights], torch.autograd.grad(want, weights), strict=True):
        torch.testing.assert_close(got, grad)


def test_the_target_sees_the_sensors_that_are_hidden_from_the_encoder() -> None:
    torch.manual_seed(0)
    encoder = dataclasses.replace(CONFIG.encoder, sensor_dropout=0.8)
    model = JEPA(dataclasses.replace(CONFIG, encoder=encoder), toy_spec())
    objective = build_objective(ObjectiveConfig(target="ema"), model).train()
    obs = ToyWindows(8, num_frames=2).batch(np.arange(8)).observations
    assert objective.ema is not None and not torch.equal(model.train().encode(obs), model.encode(obs))
    seen = objective.ema(obs)
    torch.testing.assert_close(objective.ema(obs), seen)
    cast(Any, model.encoder).sensors.dropout = 0.0
    torch.testing.assert_close(model.encode(obs), seen)


def test_at_the_start_it_is_the_encoder() -> None:
    model = make_model()
    losses = []
    for config in (ObjectiveConfig(target="ema"), ObjectiveConfig(stop_gradient_target=True)):
        objective = build_objective(config, model)
        losses.append(objective.eval()(model.eval(), ToyWindows(4).batch(np.arange(4)), torch.Generator().manual_seed(0))[0])
    torch.testing.assert_close(losses[0], losses[1])


def make_trainer(run_dir: Path, seed: int = 0) -> Trainer:
    model = make_model(seed)
    config = TrainConfig(num_steps=6, batch_size=8, num_frames=3, device="cpu", log_every=2, val_every=3, val_batches=1)
    objective = build_objective(ObjectiveConfig(target="ema", ema=EMAConfig(decay=0.5)), model)
    return Trainer(model, objective, ToyWindows(32), ToyWindows(8, seed=1), config, JsonlLogger(run_dir), run_dir)


def test_a_resumed_run_has_the_same_target(tmp_path: Path) -> None:
    straight = make_trainer(tmp_path / "straight")
    straight.fit()

    class CtrlC:
        def update(self, done: int, total: int, **fields: float | str) -> None:
            if done == 3:
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        make_trainer(tmp_path / "run").fit(progress=CtrlC())
    resumed = make_trainer(tmp_path / "run", seed=9)
    resumed.fit(resume=True)
    state = straight.learner.state_dict()
    assert any("ema.encoder" in name for name in state)
    for name, value in state.items():
        assert torch.equal(value, resumed.learner.state_dict()[name]), name
    encoder, copy = straight.model.encoder, straight.objective.ema.encoder  # type: ignore[union-attr, attr-defined]
    pairs = list(zip(encoder.parameters(), copy.parameters(), strict=True))  # type: ignore[operator]
    assert any(not torch.equal(one, other) for one, other in pairs)  # it lags behind
