"""SIGReg against an independent float64 reference, and what it tells apart."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.worldmodel import references
from worldmodel.objectives.sigreg import SIGReg, SIGRegConfig, epps_pulley


def reference_statistic(x: np.ndarray) -> float:
    """N * integral over [-3, 3] of |ecf - exp(-t^2/2)|^2 exp(-t^2/2) for one sample (N,), numpy's trapezoid rule."""
    t = np.linspace(-3, 3, 33)
    ecf = np.exp(1j * t[:, None] * x[None, :].astype(np.float64)).mean(axis=1)
    integrand = np.abs(ecf - np.exp(-(t**2) / 2)) ** 2 * np.exp(-(t**2) / 2)
    return float(len(x) * np.trapezoid(integrand, t))


def test_statistic_equals_reference() -> None:
    x = torch.randn(50, 3, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([0.2, 1.0]) + 0.3
    got = epps_pulley(x)
    want = [[reference_statistic(x[:, i, j].numpy()) for j in range(2)] for i in range(3)]
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-4)


def test_each_place_and_time_is_tested_on_its_own() -> None:
    """One channel, so that the only unit directions are +1 and -1 and the statistic is the same for both."""
    z = torch.randn(40, 2, 5, 1, generator=torch.Generator().manual_seed(1)) + torch.arange(5.0)[:, None]
    got = SIGReg(SIGRegConfig(num_places=5, num_projections=3))(z, torch.Generator().manual_seed(0))
    want = np.mean([[reference_statistic(z[:, t, k, 0].numpy()) for k in range(5)] for t in range(2)])
    np.testing.assert_allclose(float(got), want, rtol=1e-4)


@pytest.mark.parametrize(("num_places", "pooled"), [(3, False), (16, False), (16, True)])
def test_the_whole_term_equals_the_reference_in_value_and_gradient(num_places: int, pooled: bool) -> None:
    """Drawn places, a direction set of unit length for each, the mean over places, times and directions: all in numpy."""
    z = np.random.default_rng(0).normal(size=(6, 2, 5, 4)) * 0.6 + 0.2
    config = SIGRegConfig(num_places=num_places, num_projections=3, pooled=pooled)
    drawn = torch.Generator().manual_seed(7)
    places = torch.randperm(1 if pooled else 5, generator=drawn)[:num_places].tolist()
    directions = torch.randn(len(places), 4, 3, generator=drawn).double().numpy()

    def reference(z: np.ndarray) -> float:
        found = []
        for time in range(2):
            for number, place in enumerate(places):
                rows = z[:, time].reshape(-1, 4) if pooled else z[:, time, place]
                for m in range(3):
                    direction = directions[number, :, m]
                    found.append(references.epps_pulley(rows @ (direction / np.linalg.norm(direction))))
        return float(np.mean(found))

    def term(x: Tensor) -> Tensor:
        return SIGReg(config)(x, torch.Generator().manual_seed(7))

    value = term(torch.from_numpy(z).requires_grad_())
    assert float(value.detach()) == pytest.approx(reference(z), rel=1e-5)  # directions are drawn and normalised in float32
    x = torch.from_numpy(z).requires_grad_()
    (gradient,) = torch.autograd.grad(term(x), x)
    np.testing.assert_allclose(gradient.numpy(), references.numeric_gradient(reference, z), rtol=1e-4, atol=1e-6)


def test_normal_is_low_and_collapse_high() -> None:
    generator = torch.Generator().manual_seed(0)
    sigreg = SIGReg(SIGRegConfig())
    normal = torch.randn(256, 1, 8, 16, generator=generator)
    line = torch.randn(256, 1, 8, 1, generator=generator).expand(-1, -1, -1, 16)
    low, collapsed, constant = (float(sigreg(z, torch.Generator().manual_seed(2))) for z in (normal, line, 0 * normal))
    # Of a normal sample: integral of (1 - exp(-t^2)) exp(-t^2 / 2) = sqrt(2 pi) (1 - 1 / sqrt(3)) = 1.06.
    assert 0.8 < low < 1.3
    assert collapsed > 10 * low
    assert constant > 10 * low


def test_minimising_it_spreads_a_collapsed_latent() -> None:
    generator = torch.Generator().manual_seed(0)
    z = (0.1 * torch.randn(64, 1, 2, 3, generator=generator)).requires_grad_()
    optimiser = torch.optim.Adam([z], 0.05)
    sigreg = SIGReg(SIGRegConfig())
    for _ in range(60):
        optimiser.zero_grad()
        sigreg(z, generator).backward()
        optimiser.step()
    np.testing.assert_allclose(z.detach().std(dim=0), 1, atol=0.15)


def test_directions_are_fresh_and_seeded() -> None:
    z = torch.randn(16, 1, 4, 8, generator=torch.Generator().manual_seed(0)) * torch.arange(1, 9)
    sigreg, generator = SIGReg(SIGRegConfig(num_projections=2)), torch.Generator().manual_seed(0)
    first, second = float(sigreg(z, generator)), float(sigreg(z, generator))
    assert first != second
    assert float(sigreg(z, torch.Generator().manual_seed(0))) == first
