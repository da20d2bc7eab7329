"""Absolute errors, temporal similarity, pooled statistics: each against a float64 reference, and the defaults untouched."""

from __future__ import annotations

import dataclasses
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.worldmodel import references
from tests.worldmodel.test_jepa import CONFIG, latents, observation, tiny
from tests.worldmodel.toy import ToyWindows, toy_spec
from worldmodel.encoder import EncoderConfig
from worldmodel.errors import ConfigError
from worldmodel.jepa import JEPA
from worldmodel.objectives import ObjectiveConfig, SIGRegConfig, build_objective
from worldmodel.objectives.prediction import prediction_errors
from worldmodel.objectives.sigreg import SIGReg
from worldmodel.objectives.similarity import difference


class Turner:
    """Says that a latent turns by a fixed matrix, whatever is done."""

    matrix = torch.tensor([[0.8, -0.6], [0.6, 0.8]], dtype=torch.float64)

    def predict(self, z: Tensor, actions: Tensor) -> Tensor:
        return z @ self.matrix

    def step(self, z: Tensor, actions: Tensor) -> Tensor:
        return z[:, -1] @ self.matrix


def absolute(z: np.ndarray, steps: int) -> tuple[float, float]:
    """Mean absolute errors of Turner one step ahead, and over the later steps of a rollout of `steps`."""
    matrix, last = Turner.matrix.numpy(), z.shape[1] - 1
    one = [np.abs(z[:, t] @ matrix - z[:, t + 1]).mean() for t in range(last)]
    imagined, later = z[:, last - steps] @ matrix, []
    for t in range(last - steps + 1, last):
        imagined = imagined @ matrix
        later.append(np.abs(imagined - z[:, t + 1]).mean())
    return float(np.mean(one)), float(np.mean(later))


@pytest.mark.parametrize("steps", [2, 3])
def test_absolute_errors_equal_their_reference_in_value_and_gradient(steps: int) -> None:
    z = np.random.default_rng(0).normal(size=(3, 5, 2, 2))

    def loss(x: Tensor, name: str) -> Tensor:
        errors = prediction_errors(cast(Any, Turner()), x, torch.zeros(3, 4, 1), steps, error="absolute")
        return getattr(errors, name)

    references.assert_equal(lambda x: loss(x, "one_step"), lambda x: absolute(x, steps)[0], z)
    references.assert_equal(lambda x: loss(x, "rollout"), lambda x: absolute(x, steps)[1], z)
    copy = prediction_errors(cast(Any, Turner()), torch.from_numpy(z), torch.zeros(3, 4, 1), 2, error="absolute").copy
    assert float(copy) == pytest.approx(np.abs(z[:, 1:] - z[:, :-1]).mean())


def test_similarity_equals_its_reference_in_value_and_gradient() -> None:
    z = np.random.default_rng(1).normal(size=(3, 4, 2, 2))

    def reference(x: np.ndarray) -> float:
        return float(np.mean([(x[b, t + 1] - x[b, t]) ** 2 for b in range(3) for t in range(3)]))

    references.assert_equal(difference, reference, z)


def test_pooled_sigreg_is_the_statistic_of_all_places_together() -> None:
    z = torch.from_numpy(np.random.default_rng(2).normal(size=(6, 2, 5, 3)))
    sigreg = SIGReg(SIGRegConfig(num_projections=4, pooled=True))
    got = sigreg(z, torch.Generator().manual_seed(3))
    drawn = torch.Generator().manual_seed(3)
    torch.randperm(1, generator=drawn)
    directions = torch.randn(1, 3, 4, generator=drawn)[0].double().numpy()
    directions /= np.linalg.norm(directions, axis=0)
    want = [references.epps_pulley(z[:, t].reshape(30, 3).numpy() @ directions[:, m]) for t in range(2) for m in range(4)]
    assert float(got) == pytest.approx(np.mean(want), rel=1e-4)
    # a token that says only where it is passes the pooled test and fails at each place
    places = torch.randn(64, 2, generator=torch.Generator().manual_seed(0)).expand(200, 1, 64, 2)
    apart = SIGReg(SIGRegConfig(num_places=64))
    pooled = SIGReg(SIGRegConfig(pooled=True))
    generator = torch.Generator().manual_seed(0)
    assert float(pooled(places, generator)) / (200 * 64) < 0.2 * float(apart(places, generator)) / 200


def test_the_objective_weighs_them() -> None:
    model, window = tiny(), ToyWindows(8).batch(np.arange(8))
    config = ObjectiveConfig(error="absolute", similarity_coef=0.5, sigreg_coef=0.0)
    loss, terms = build_objective(config, model)(model, window, torch.Generator())
    torch.testing.assert_close(loss.detach(), terms["pred"] + terms["rollout"] + 0.5 * terms["similarity"])
    squared = build_objective(dataclasses.replace(config, error="squared"), model)(model, window, torch.Generator())[1]
    assert abs(float(squared["pred"]) - float(terms["pred"])) > 1e-3


def encoder_of(norm: str, **changes: object) -> JEPA:
    encoder = dataclasses.replace(CONFIG.encoder, norm=norm, **changes)  # type: ignore[arg-type]
    torch.manual_seed(0)
    return JEPA(dataclasses.replace(CONFIG, encoder=encoder), toy_spec())


@pytest.mark.parametrize("output", ["grid", "pooled"])
def test_tokens_are_normalised_as_it_says(output: str) -> None:
    obs = observation(8, 3)
    for norm, axes in (("place", (0, 1)), ("pooled", (0, 1, 2))):
        model = encoder_of(norm, output=output)
        raw = model.encoder.tokens(obs).detach().double()
        want = (raw - raw.mean(axes)) / (raw.var(axes, correction=0) + 1e-4).sqrt()
        torch.testing.assert_close(model.encode(obs).double(), want, atol=1e-3, rtol=1e-3)
    plain = encoder_of("none", output=output)
    z = plain.encode(obs)
    torch.testing.assert_close(z, plain.encoder.tokens(obs))
    assert z.dtype == torch.float32 and not any("norm.mean" in name for name in plain.encoder.state_dict())
    z = encoder_of("pooled").encode(obs).detach()
    assert float(z.mean((0, 1)).abs().max()) > 0.1  # places differ


def test_rollouts_work_on_latents_that_are_not_normalised() -> None:
    model = tiny(encoder=EncoderConfig(widths=(8, 12), grid=4, token_dim=6, norm="none"))
    z, actions = latents(2, 2)
    with torch.inference_mode():
        torch.testing.assert_close(model.rollout(z, actions[:, None])[:, 0, 0], model.predict(z[:, -1:], actions[:, :1])[:, 0])


def test_a_flat_vector_is_a_linear_map_of_all_tokens() -> None:
    encoder = dataclasses.replace(CONFIG.encoder, output="vector", pool="flat", norm="none", token_dim=10)
    model = JEPA(dataclasses.replace(CONFIG, encoder=encoder), toy_spec())
    obs = observation(2, 3)
    z = model.encode(obs)
    assert z.shape == (2, 3, 1, 10)
    fused = cast(Any, model.encoder)
    tokens = torch.cat(fused.sensors(obs), dim=2).flatten(2).double()  # (B, T, L * C)
    want = tokens @ fused.out.weight.double().T + fused.out.bias.double()
    torch.testing.assert_close(z[:, :, 0].double(), want, atol=1e-4, rtol=1e-4)
    with pytest.raises(ConfigError, match="pool is flat and output is grid; expected output: vector"):
        EncoderConfig(pool="flat")
