"""Each further term of the objective: equal to a reference in value and gradient, and what it is zero for."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.worldmodel import references
from tests.worldmodel.test_jepa import tiny
from tests.worldmodel.toy import ToyWindows, toy_spec
from worldmodel.errors import ConfigError, DataError
from worldmodel.objectives import InfoNCEConfig, ObjectiveConfig, VICRegConfig, build_objective
from worldmodel.objectives.contrastive import InfoNCE, info_nce
from worldmodel.objectives.inverse_dynamics import InverseDynamics
from worldmodel.objectives.prediction import prediction_errors
from worldmodel.objectives.sigreg import SIGReg, SIGRegConfig, epps_pulley
from worldmodel.objectives.straightening import curvature
from worldmodel.objectives.vicreg import variance_and_covariance

RNG = np.random.default_rng(0)


def latents64(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape) * np.linspace(0.3, 1.5, shape[-1])


@pytest.mark.parametrize("shape", [(2, 1, 1, 1), (5, 2, 3, 4), (7, 1, 2, 3)])
def test_vicreg_equals_its_reference(shape: tuple[int, ...]) -> None:
    z, config = latents64(*shape), VICRegConfig(gamma=1.1, eps=1e-3)
    references.assert_equal(
        lambda x: variance_and_covariance(x, config)[0], lambda x: references.variance(x, config.gamma, config.eps), z
    )
    if shape[-1] > 1:
        references.assert_equal(lambda x: variance_and_covariance(x, config)[1], references.covariance, z)


def test_vicreg_is_zero_for_decorrelated_channels_of_unit_variance() -> None:
    basis = np.linalg.qr(np.concatenate([np.ones((16, 1)), RNG.normal(size=(16, 4))], axis=1))[0][:, 1:]  # orthogonal to 1
    z = torch.from_numpy(basis * np.sqrt(15)).view(16, 1, 1, 4) + 3  # wherever its mean is
    variance, covariance = variance_and_covariance(z, VICRegConfig())
    assert float(variance) == pytest.approx(0, abs=1e-6) and float(covariance) == pytest.approx(0, abs=1e-12)
    collapsed = torch.ones(16, 1, 1, 4, requires_grad=True)
    variance, covariance = variance_and_covariance(collapsed, VICRegConfig())
    assert float(variance.detach()) == pytest.approx(1 - 1e-2) and float(covariance.detach()) == 0
    variance.backward()
    assert collapsed.grad is not None and bool(collapsed.grad.isfinite().all())
    _, covariance = variance_and_covariance(z[..., :1].expand(-1, -1, -1, 4), VICRegConfig())
    assert float(covariance) == pytest.approx(3)  # four copies of one channel: 12 ones off the diagonal, over 4
    with pytest.raises(DataError, match="one window"):
        variance_and_covariance(z[:1], VICRegConfig())


@pytest.mark.parametrize("num_frames", [3, 5])
def test_straightening_equals_its_reference(num_frames: int) -> None:
    references.assert_equal(curvature, references.curvature, latents64(4, num_frames, 2, 3))


def test_straight_lines_are_straight() -> None:
    time = torch.tensor([0.0, 1.0, 4.0, 5.0]).view(1, 4, 1, 1)  # at changing speed
    line = torch.randn(6, 1, 2, 3) + time * torch.randn(6, 1, 2, 3)
    assert float(curvature(line)) == pytest.approx(0, abs=1e-5)
    assert float(curvature(line[:, [0, 1, 0]])) == pytest.approx(2, abs=1e-5)  # and back again
    still = torch.ones(2, 3, 1, 1, requires_grad=True)
    curvature(still).backward()
    assert still.grad is not None and bool(still.grad.isfinite().all())
    with pytest.raises(ConfigError, match="3 frames, got 2"):
        curvature(line[:, :2])


@pytest.mark.parametrize("groups", [[0, 1, 2, 3, 4], [0, 0, 1, 2, 1]])
def test_info_nce_equals_cross_entropy_written_out(groups: list[int]) -> None:
    x, y = latents64(5, 3), latents64(5, 3)
    same = torch.tensor(groups)[:, None] == torch.tensor(groups)[None]
    fixed = torch.from_numpy(y)
    references.assert_equal(lambda t: info_nce(t, fixed, 0.3, same), lambda a: references.info_nce(a, y, 0.3, groups), x)
    other = torch.from_numpy(x)
    references.assert_equal(lambda t: info_nce(other, t, 0.3, same), lambda a: references.info_nce(x, a, 0.3, groups), y)
    if len(set(groups)) == 5:
        torch.testing.assert_close(info_nce(other, fixed, 0.3), info_nce(other, fixed, 0.3, same))


def test_info_nce_learns_which_instruction_goes_with_which_window() -> None:
    torch.manual_seed(0)
    words, z = torch.randn(4, 12), torch.randn(32, 2, 3, 5)
    which = torch.arange(32) % 4
    z[:, 1, 0, :4] += 3 * torch.nn.functional.one_hot(which, 4)
    term = InfoNCE(InfoNCEConfig(embedding_dim=12, width=8), 3, 5)
    optimiser = torch.optim.Adam(term.parameters(), 1e-2)
    history = []
    for _ in range(100):
        optimiser.zero_grad()
        loss = term(z, words[which])
        loss.backward()
        optimiser.step()
        history.append(float(loss.detach()))
    assert history[-1] < np.log(8) + 0.2 < history[0]  # the eight windows of one instruction stay each other's equals


def test_sigreg_statistic_has_the_references_gradient() -> None:
    references.assert_equal(epps_pulley, references.epps_pulley, RNG.normal(size=20) * 0.4 + 0.2)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_inverse_dynamics_reads_all_the_actions_between(steps: int) -> None:
    """Every pair of frames so far apart, in plain loops."""
    spec = toy_spec().action
    head = InverseDynamics(2, 3, spec, steps=steps).double()
    z, actions = torch.from_numpy(latents64(4, 4, 2, 3)), torch.from_numpy(RNG.uniform(-1, 1, (4, 3, 4)))
    squares = []
    for b in range(4):
        for t in range(4 - steps):
            pair = torch.cat([z[b, t], z[b, t + steps]], dim=-1)
            guess = head.layers(head.place(pair).flatten())
            squares += [(guess[4 * s + a] - actions[b, t + s, a]) ** 2 for s in range(steps) for a in range(4)]
    want = torch.stack(squares).mean()
    torch.testing.assert_close(head(z, actions), want, rtol=1e-12, atol=0)
    weights = list(head.parameters())
    for got, grad in zip(*(torch.autograd.grad(loss, weights) for loss in (head(z, actions), want)), strict=True):
        torch.testing.assert_close(got, grad, rtol=1e-9, atol=1e-12)
    with pytest.raises(ConfigError, match=f"windows of {steps + 1} frames"):
        head(z[:, :steps], actions[:, : steps - 1])


def test_a_stopped_rollout_teaches_each_step_alone() -> None:
    """Same value, and the gradient of the last step's error only: the steps before it are given."""
    model = tiny()
    z, actions = torch.randn(3, 4, 17, 6), 2 * torch.rand(3, 3, 4) - 1
    through = prediction_errors(model, z, actions, 3)
    stopped = prediction_errors(model, z, actions, 3, stop_gradient_steps=True)
    torch.testing.assert_close(through.rollout, stopped.rollout)
    with torch.no_grad():
        first = model.step(z[:, :1], actions[:, :1])
        second = model.step(first[:, None], actions[:, 1:2])
    alone = [model.step(first[:, None], actions[:, 1:2]), model.step(second[:, None], actions[:, 2:3])]
    want = torch.stack([(alone[i] - z[:, i + 2]).square().mean() for i in range(2)]).mean()
    weights = list(model.predictor.parameters())

    def gradient(loss: torch.Tensor) -> torch.Tensor:
        found = torch.autograd.grad(loss, weights, allow_unused=True, retain_graph=True)
        return torch.cat([g.flatten() for g in found if g is not None])

    torch.testing.assert_close(gradient(stopped.rollout), gradient(want), atol=1e-5, rtol=1e-4)
    assert not torch.allclose(gradient(through.rollout), gradient(want), atol=1e-3)


def test_all_terms_are_summed_by_their_weights() -> None:
    config = ObjectiveConfig(
        variance_coef=2.0, covariance_coef=0.5, inverse_dynamics_coef=0.3, inverse_dynamics_steps=2, straightening_coef=0.2,
        contrastive_coef=0.1, contrastive=InfoNCEConfig(embedding_dim=7), rollout_gradient="stopped", target="ema",
    )  # fmt: skip
    model = tiny()
    objective = build_objective(config, model)
    window = ToyWindows(8).batch(np.arange(8))
    words = torch.randn(8, 7)
    window = dataclasses.replace(window, labels=window.labels | {"instruction": words})
    loss, terms = objective(model, window, torch.Generator().manual_seed(0))
    weights: dict[str, Any] = {
        "pred": 1, "rollout": 1, "sigreg": 0.05, "variance": 2, "covariance": 0.5, "inverse": 0.3, "curvature": 0.2,
        "contrastive": 0.1, "copy": 0,
    }  # fmt: skip
    assert set(terms) == set(weights) and objective.weighted == set(weights) - {"copy"}
    torch.testing.assert_close(loss.detach(), torch.stack([weights[n] * terms[n] for n in terms]).sum())
    loss.backward()
    assert all(p.grad is not None for p in model.encoder.parameters())
    with pytest.raises(DataError, match="'instruction', which the windows lack"):
        objective(model, ToyWindows(8).batch(np.arange(8)), torch.Generator().manual_seed(0))
    wrong = dataclasses.replace(window, labels={"instruction": words[:, :3]})
    with pytest.raises(DataError, match=r"expected an embedding \(B, 7\)"):
        objective(model, wrong, torch.Generator().manual_seed(0))


def test_terms_that_are_only_told_have_no_weight() -> None:
    config = ObjectiveConfig(prediction_coef=0, sigreg_coef=0, covariance_coef=1, similarity_coef=1, masked_coef=1)
    objective, window = build_objective(config, model := tiny()), ToyWindows(8).batch(np.arange(8))
    _, terms = objective(model, window, torch.Generator().manual_seed(0))
    assert objective.weighted == {"rollout", "covariance", "similarity", "masked"}
    assert set(terms) - objective.weighted == {"pred", "copy", "variance"}


def test_windows_are_as_long_as_the_terms_in_use_need() -> None:
    assert ObjectiveConfig(rollout_coef=0, inverse_dynamics_steps=9).num_frames == 2
    assert ObjectiveConfig().num_frames == 3
    assert ObjectiveConfig(inverse_dynamics_coef=1, inverse_dynamics_steps=9).num_frames == 10
    assert ObjectiveConfig(rollout_coef=0, straightening_coef=1).num_frames == 3
    with pytest.raises(ConfigError, match="inverse_dynamics_steps is 0"):
        ObjectiveConfig(inverse_dynamics_steps=0)


@pytest.mark.parametrize("name", ["sigreg", "variance", "covariance", "contrastive"])
def test_statistics_over_the_batch_are_as_precise_within_autocast(name: str) -> None:
    """A covariance of rounded latents has an error of 9 % in the variance's gradient; the latents themselves are float32."""
    z = 0.9 * torch.randn(64, 2, 8, 16, generator=torch.Generator().manual_seed(0))

    def loss(z: Tensor) -> Tensor:
        if name == "sigreg":
            return SIGReg(SIGRegConfig())(z, torch.Generator().manual_seed(1))
        if name == "contrastive":
            return info_nce(z[:, 0, 0], z[:, 1, 1], 0.1)
        return variance_and_covariance(z, VICRegConfig())[name == "covariance"]

    found = []
    for bf16 in (False, True):
        x = z.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            value = loss(x)
        found.append((value.detach(), *torch.autograd.grad(value, x)))
    for plain, cast in zip(*found, strict=True):
        torch.testing.assert_close(cast, plain)
