"""PlaceNorm: statistics per (place, channel), never pooled over places."""

from __future__ import annotations

import numpy as np
import torch

from worldmodel.nn.norm import PlaceNorm


def batch() -> torch.Tensor:
    z = torch.randn(10, 3, 4, 2, generator=torch.Generator().manual_seed(0))
    return z * torch.arange(1, 9).view(4, 2) + torch.arange(8).view(4, 2)


def test_training_equals_reference() -> None:
    z = batch()
    rows = z.numpy().astype(np.float64).reshape(30, 4, 2)
    want = (rows - rows.mean(axis=0)) / np.sqrt(rows.var(axis=0) + 1e-4)
    np.testing.assert_allclose(PlaceNorm(4, 2)(z).numpy().reshape(30, 4, 2), want, atol=1e-5)


def test_running_statistics_average_the_first_batches() -> None:
    norm = PlaceNorm(4, 2, momentum=0.02)
    z = batch()
    norm(z)
    norm(z + 2)
    rows = z.reshape(30, 8)
    torch.testing.assert_close(norm.mean, rows.mean(0) + 1)
    torch.testing.assert_close(norm.variance, rows.var(0))
    norm.eval()
    want = (rows - norm.mean) / (norm.variance + 1e-4).sqrt()
    torch.testing.assert_close(norm(z).reshape(30, 8), want)
    assert int(norm.num_updates) == 2


def test_state_survives_saving() -> None:
    norm, other = PlaceNorm(4, 2), PlaceNorm(4, 2)
    norm(batch())
    other.load_state_dict(norm.state_dict())
    torch.testing.assert_close(other.eval()(batch()), norm.eval()(batch()))
