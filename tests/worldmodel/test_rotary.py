"""Rotary positions against turns of complex numbers, written independently; over (time, y, x) as the predictor uses them."""

from __future__ import annotations

import cmath
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.worldmodel.test_jepa import tiny
from worldmodel.nn.rotary import rotate, rotation


def reference(x: np.ndarray, positions: np.ndarray, base: float) -> np.ndarray:
    """Pair (i, i + d/2) of a head is a complex number, turned by its axis's position times its frequency (RoFormer, eq. 16)."""
    length, dim = x.shape
    num_pairs, num_axes = dim // 2, positions.shape[1]
    out = np.empty_like(x)
    of_axis = [[pair for pair in range(num_pairs) if pair % num_axes == axis] for axis in range(num_axes)]
    for token in range(length):
        for axis, pairs in enumerate(of_axis):
            for level, pair in enumerate(pairs):
                angle = positions[token, axis] * math.exp(-math.log(base) * level / len(pairs))
                turned = complex(x[token, pair], x[token, pair + num_pairs]) * cmath.exp(1j * angle)
                out[token, pair], out[token, pair + num_pairs] = turned.real, turned.imag
    return out


@pytest.mark.parametrize(("dim", "num_axes"), [(2, 1), (8, 1), (8, 2), (24, 3), (10, 3), (32, 3)])
def test_rotations_equal_turns_of_complex_numbers(dim: int, num_axes: int) -> None:
    rng = np.random.default_rng(dim)
    x, positions = rng.normal(size=(7, dim)), rng.uniform(-5, 5, (7, num_axes))
    for base in (100.0, 10_000.0):
        got = rotate(torch.from_numpy(x), rotation(torch.from_numpy(positions), dim, base))
        np.testing.assert_allclose(got.numpy(), reference(x, positions, base), atol=1e-12)


def test_scores_over_time_y_x_depend_on_differences_only() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k = (torch.randn(1, 12, generator=generator, dtype=torch.float64) for _ in range(2))

    def score(a: list[float], b: list[float]) -> float:
        turned_q = rotate(q, rotation(torch.tensor([a], dtype=torch.float64), 12))
        turned_k = rotate(k, rotation(torch.tensor([b], dtype=torch.float64), 12))
        return float((turned_q * turned_k).sum())

    base = score([1.0, 2.0, 0.0], [3.0, 1.0, 1.0])
    assert score([4.0, 0.0, 5.0], [6.0, -1.0, 6.0]) == pytest.approx(base, abs=1e-12)
    for axis in range(3):  # and on every axis
        moved = [3.0, 1.0, 1.0]
        moved[axis] += 1
        assert abs(score([1.0, 2.0, 0.0], moved) - base) > 1e-3


def test_rotation_keeps_lengths_and_origin() -> None:
    x = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    positions = torch.tensor([[0.0, 0.0], [1.0, 2.0], [7.0, 3.0], [2.0, 0.0]])
    turned = rotate(x, rotation(positions, 8))
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))
    torch.testing.assert_close(turned[0], x[0])
    with pytest.raises(ValueError, match="even"):
        rotation(torch.zeros(2, 2), 3)


@pytest.mark.parametrize("first", [0, 3])
def test_the_predictor_places_its_tokens_in_down_right_and_time(first: int) -> None:
    """Merged places of a 4 x 4 grid are two units apart in pictures, one apart in tokens; vectors lie at the centre."""
    predictor = tiny(context_length=3).predictor  # head width 8, 2 x 2 merged places and proprio
    corners = [(-0.5, -0.5), (-0.5, 0.5), (0.5, -0.5), (0.5, 0.5), (0.0, 0.0)]
    where = torch.tensor([[down, right, frame] for frame in range(first, first + 2) for down, right in corners])
    got: tuple[Tensor, Tensor] = predictor._rotation(first, 2)
    x = np.random.default_rng(0).normal(size=(10, 8))
    np.testing.assert_allclose(rotate(torch.from_numpy(x), got).numpy(), reference(x, where.double().numpy(), 100.0), atol=1e-5)
