"""The objective's terms: exact values on a fake model, gradients where they belong, and that it learns."""

from __future__ import annotations

import dataclasses
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.worldmodel.test_jepa import CONFIG, latents, tiny
from tests.worldmodel.toy import ToyWindows, toy_spec
from worldmodel.errors import ConfigError
from worldmodel.jepa import JEPA
from worldmodel.objectives import ObjectiveConfig, build_objective
from worldmodel.objectives.inverse_dynamics import InverseDynamics
from worldmodel.objectives.prediction import prediction_errors


class Doubler:
    """Says that a latent doubles, whatever is done."""

    def predict(self, z: Tensor, actions: Tensor) -> Tensor:
        assert z.shape[1] == actions.shape[1]
        return 2 * z

    def step(self, z: Tensor, actions: Tensor) -> Tensor:
        assert z.shape[1] == actions.shape[1]
        return 2 * z[:, -1]


def test_errors_are_exact() -> None:
    z = torch.tensor([1.0, 3.0, 5.0, 7.0]).view(1, 4, 1, 1)
    errors = prediction_errors(cast(Any, Doubler()), z, torch.zeros(1, 3, 4), rollout_steps=3)
    assert float(errors.one_step) == pytest.approx(((2 - 3) ** 2 + (6 - 5) ** 2 + (10 - 7) ** 2) / 3)
    assert float(errors.rollout) == pytest.approx(((4 - 5) ** 2 + (8 - 7) ** 2) / 2)
    assert float(errors.copy) == pytest.approx(4.0)
    two = prediction_errors(cast(Any, Doubler()), z, torch.zeros(1, 3, 4), rollout_steps=2)
    assert float(two.rollout) == pytest.approx((12 - 7) ** 2)  # from the second frame: 3 -> 6 -> 12
    assert float(prediction_errors(cast(Any, Doubler()), z, torch.zeros(1, 3, 4), rollout_steps=1).rollout) == 0


@pytest.mark.parametrize("context_length", [1, 2])
def test_rollout_term_equals_the_models_rollout(context_length: int) -> None:
    model = tiny(context_length=context_length)
    z, actions = latents(3, 4)
    with torch.no_grad():
        errors = prediction_errors(model, z, actions[:, :3], rollout_steps=3)
        imagined = model.rollout(z[:, :1], actions[:, None, :3])[:, 0]
    torch.testing.assert_close(errors.rollout, (imagined[:, 1:] - z[:, 2:]).square().mean(), atol=1e-4, rtol=1e-4)


def test_no_gradient_into_a_stopped_target() -> None:
    model = tiny()
    z, actions = latents(2, 2)
    for stopped in (False, True):
        z.grad = None
        z.requires_grad_()
        prediction_errors(model, z, actions[:, :1], 1, stop_gradient_target=stopped).one_step.backward()
        assert z.grad is not None
        assert bool(z.grad[:, 0].any())
        assert bool(z.grad[:, 1].any()) != stopped


def test_a_rollout_longer_than_the_window_is_refused() -> None:
    z, actions = latents(1, 2)
    with pytest.raises(ValueError, match="windows of 3 frames"):
        prediction_errors(tiny(), z, actions[:, :1], rollout_steps=2)


def test_loss_is_the_weighted_sum_of_its_terms() -> None:
    config = ObjectiveConfig(prediction_coef=2.0, rollout_coef=0.5, sigreg_coef=0.3, inverse_dynamics_coef=0.7)
    model = tiny()
    objective = build_objective(config, model)
    window = ToyWindows(8).batch(np.arange(8))
    loss, terms = objective(model, window, torch.Generator().manual_seed(0))
    want = 2 * terms["pred"] + 0.5 * terms["rollout"] + 0.3 * terms["sigreg"] + 0.7 * terms["inverse"]
    torch.testing.assert_close(loss.detach(), want)
    again, _ = objective(model, window, torch.Generator().manual_seed(0))
    torch.testing.assert_close(again, loss, rtol=0, atol=0)
    assert set(terms) == {"pred", "rollout", "copy", "sigreg", "inverse"}
    assert not any(term.requires_grad for term in terms.values())


def test_a_weight_of_zero_costs_nothing() -> None:
    model = tiny()
    objective = build_objective(ObjectiveConfig(rollout_coef=0, sigreg_coef=0), model)
    assert list(objective.parameters()) == []
    _, terms = objective(model, ToyWindows(4, num_frames=2).batch(np.arange(4)), torch.Generator())
    assert "sigreg" not in terms
    with pytest.raises(ConfigError, match="sigreg_coef is -1; expected at least 0"):
        build_objective(ObjectiveConfig(sigreg_coef=-1), model)


def test_inverse_dynamics_learns_an_action_that_shows() -> None:
    torch.manual_seed(0)
    head = InverseDynamics(4, 6, toy_spec().action)
    generator = torch.Generator().manual_seed(0)
    actions = 2 * torch.rand(256, 1, 4, generator=generator) - 1
    z = torch.randn(256, 2, 4, 6, generator=generator)
    z[:, 1, :, :4] = z[:, 0, :, :4] + actions
    optimiser = torch.optim.Adam(head.parameters(), 1e-2)
    for _ in range(150):
        optimiser.zero_grad()
        loss = head(z, actions)
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.05  # of 0.33 for saying nothing


def test_training_beats_copying_and_does_not_collapse() -> None:
    """Eighty steps on one small batch: predictions get better than copying, and the latent stays spread."""
    torch.manual_seed(0)
    model = JEPA(dataclasses.replace(CONFIG, sensors=("pixels",)), toy_spec())
    objective, generator = build_objective(ObjectiveConfig(), model), torch.Generator().manual_seed(0)
    window = ToyWindows(32).batch(np.arange(32))
    optimiser = torch.optim.AdamW(model.parameters(), 4e-3)
    history = []
    for _ in range(80):
        loss, terms = objective(model, window, generator)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        history.append(terms)
    assert float(history[-1]["pred"] / history[-1]["copy"]) < 0.8
    assert float(history[-1]["sigreg"]) < float(history[0]["sigreg"])
