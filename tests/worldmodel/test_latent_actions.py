"""Latent actions: read off two frames, inside the robot's box, and nothing else of an action is looked at."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from tests.worldmodel.test_jepa import tiny
from tests.worldmodel.toy import ToyWindows, toy_spec
from worldmodel.errors import ConfigError
from worldmodel.objectives import Objective, ObjectiveConfig, build_objective
from worldmodel.objectives.latent_actions import LatentActions

SPEC = dataclasses.replace(toy_spec().action, low=(-1.0, -2.0, 0.0, 5.0), high=(1.0, 0.0, 3.0, 6.0))
INFERRED = ObjectiveConfig(actions="inferred", sigreg_coef=0.0)


def test_each_is_read_off_its_two_frames() -> None:
    """In plain loops, value and gradient, and only from neighbours."""
    torch.manual_seed(0)
    infer = LatentActions(2, 3, SPEC).double()
    z = torch.randn(4, 3, 2, 3, dtype=torch.float64, requires_grad=True)
    rows = []
    for b in range(4):
        for t in range(2):
            pair = torch.cat([z[b, t], z[b, t + 1]], dim=-1)
            guess = infer.inverse.layers(infer.inverse.place(pair).flatten())
            rows += [
                low + (high - low) * (1 + torch.tanh(g)) / 2 for g, low, high in zip(guess, SPEC.low, SPEC.high, strict=True)
            ]
    want = torch.stack(rows).view(4, 2, 4)
    torch.testing.assert_close(infer(z), want, rtol=1e-7, atol=1e-9)  # the bounds are kept in float32
    weights = [z, *infer.parameters()]
    grads = (torch.autograd.grad(out.square().sum(), weights) for out in (infer(z), want))
    for got, grad in zip(*grads, strict=True):
        torch.testing.assert_close(got, grad, rtol=1e-6, atol=1e-9)


def test_they_stay_in_the_box() -> None:
    torch.manual_seed(0)
    infer = LatentActions(2, 3, SPEC)
    low, high, z = torch.tensor(SPEC.low), torch.tensor(SPEC.high), 1e4 * torch.randn(64, 2, 2, 3)
    with torch.no_grad():
        found = infer(z)
    assert bool(((found >= low) & (found <= high)).all())
    with torch.no_grad():
        for weight in infer.inverse.layers[-1].parameters():
            weight.mul_(-1)  # the other end of the box
        torch.testing.assert_close(infer(z), low + high - found)
    assert bool((found != infer(z)).all())


def losses(objective: Objective, scale: float) -> torch.Tensor:
    window = ToyWindows(4).batch(np.arange(4))
    model = tiny()
    window = dataclasses.replace(window, actions=scale * window.actions)
    return objective(model, window, torch.Generator().manual_seed(0))[0]


def test_recorded_actions_are_not_looked_at() -> None:
    torch.manual_seed(1)
    inferred = build_objective(INFERRED, tiny())
    assert losses(inferred, 1.0).equal(losses(inferred, 0.3)) and losses(inferred, 1.0).equal(losses(inferred, float("nan")))
    recorded = build_objective(ObjectiveConfig(sigreg_coef=0.0), tiny())
    assert not losses(recorded, 1.0).equal(losses(recorded, 0.3))


def test_what_infers_them_is_taught_by_the_prediction() -> None:
    torch.manual_seed(1)
    objective = build_objective(INFERRED, tiny())
    losses(objective, 1.0).backward()
    assert all(bool(weight.grad.abs().sum() > 0) for weight in objective.parameters() if weight.grad is not None)
    assert {name.split(".")[0] for name, weight in objective.named_parameters() if weight.grad is not None} == {
        "latent_actions"
    }


def test_a_model_of_inferred_actions_is_one_to_begin_from() -> None:
    assert INFERRED.predicts and not INFERRED.plans and ObjectiveConfig().plans
    with pytest.raises(ConfigError, match="actions is inferred, and nothing is predicted"):
        ObjectiveConfig(actions="inferred", prediction_coef=0.0, rollout_coef=0.0, masked_coef=1.0)
    with pytest.raises(ConfigError, match="inverse_dynamics_coef would look at the recorded ones"):
        ObjectiveConfig(actions="inferred", inverse_dynamics_coef=0.1)
