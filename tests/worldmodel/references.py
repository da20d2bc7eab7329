"""Losses written a second time, in numpy float64 and plain loops, and their gradients by central differences."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor


def numeric_gradient(loss: Callable[[np.ndarray], float], x: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """Central differences of a loss of x, element by element."""
    gradient = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[place] += step
        down[place] -= step
        gradient[place] = (loss(up) - loss(down)) / (2 * step)
    return gradient


def assert_equal(loss: Callable[[Tensor], Tensor], reference: Callable[[np.ndarray], float], x: np.ndarray) -> None:
    """The loss and its gradient at x equal those of the reference."""
    tensor = torch.from_numpy(x).requires_grad_()
    value = loss(tensor)
    (gradient,) = torch.autograd.grad(value, tensor)
    np.testing.assert_allclose(float(value.detach()), reference(x), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(gradient.numpy(), numeric_gradient(reference, x), rtol=1e-5, atol=1e-8)


def variance(z: np.ndarray, gamma: float, eps: float) -> float:
    """VICReg, eqs. 1 and 2, mean over places and times: z (B, T, K, D)."""
    total = []
    for t, k in np.ndindex(z.shape[1:3]):
        for j in range(z.shape[3]):
            x = z[:, t, k, j]
            total.append(max(0.0, gamma - np.sqrt(np.var(x, ddof=1) + eps)))
    return float(np.mean(total))


def covariance(z: np.ndarray) -> float:
    """VICReg, eqs. 3 and 4, mean over places and times."""
    total = []
    for t, k in np.ndindex(z.shape[1:3]):
        matrix = np.cov(z[:, t, k].T)
        width = len(matrix)
        total.append(sum(matrix[i, j] ** 2 for i in range(width) for j in range(width) if i != j) / width)
    return float(np.mean(total))


def curvature(z: np.ndarray) -> float:
    """One minus the mean cosine of consecutive velocities."""
    cosines = []
    for row in z:
        velocity = [(row[t + 1] - row[t]).ravel() for t in range(len(row) - 1)]
        for one, other in itertools.pairwise(velocity):
            cosines.append(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))
    return float(1 - np.mean(cosines))


def info_nce(x: np.ndarray, y: np.ndarray, temperature: float, groups: list[int]) -> float:
    """Cross entropy in both directions, written out; rows of one group match each other."""

    def cosine(a: np.ndarray, b: np.ndarray) -> float:
        return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))

    num, total = len(x), 0.0
    for i in range(num):
        to_y = np.array([cosine(x[i], y[j]) / temperature for j in range(num)])
        to_x = np.array([cosine(x[j], y[i]) / temperature for j in range(num)])
        matches = [j for j in range(num) if groups[j] == groups[i]]
        for logits in (to_y, to_x):
            log_sum = np.log(np.exp(logits - logits.max()).sum()) + logits.max()
            total += np.mean([log_sum - logits[j] for j in matches])
    return float(total / (2 * num))


def epps_pulley(x: np.ndarray) -> float:
    """N * integral over [-3, 3] of |ecf - exp(-t^2/2)|^2 exp(-t^2/2) for one sample (N,), numpy's trapezoid rule."""
    t = np.linspace(-3, 3, 33)
    ecf = np.exp(1j * t[:, None] * x[None, :]).mean(axis=1)
    return float(len(x) * np.trapezoid(np.abs(ecf - np.exp(-(t**2) / 2)) ** 2 * np.exp(-(t**2) / 2), t))
