"""Losses written a second time, in numpy float64 and plain loops, and their gradients by central differences."""

from __future__ import annotations

import itertools
import math
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


def layer_norm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, eps: float = 1e-5) -> np.ndarray:
    """Over the last axis."""
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + eps) * weight + bias


def gelu(x: np.ndarray) -> np.ndarray:
    """x times the normal distribution's share below x."""
    return 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def turned(x: np.ndarray, position: np.ndarray, base: float = 100.0) -> np.ndarray:
    """One token's head x (E,) at its position (axes,): pair i turns by the axis that it is dealt to."""
    half, axes = len(x) // 2, len(position)
    out = x.copy()
    for pair in range(half):
        axis, level = pair % axes, pair // axes
        angle = position[axis] * base ** (-level / max(1, math.ceil((half - axis) / axes)))
        a, b = x[pair], x[pair + half]
        out[pair], out[pair + half] = a * math.cos(angle) - b * math.sin(angle), a * math.sin(angle) + b * math.cos(angle)
    return out


def masked_error(
    weights: dict[str, np.ndarray],
    num_heads: int,
    grid: int,
    context: np.ndarray,
    visible: np.ndarray,
    hidden: np.ndarray,
    target: np.ndarray,
) -> float:
    """Masked prediction (V-JEPA, eq. 1): context (B, V, D) of the shown tokens, target (B, T, K, D), token by token."""
    num_cameras = len(weights["camera"])
    num_placed = num_cameras * grid**2

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        return layer_norm(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    errors = []
    for row in range(len(context)):
        numbers = [*visible[row], *hidden[row]]
        x = [linear(token, "embed") for token in context[row]] + [weights["hidden"]] * len(hidden[row])
        positions = []
        for i, number in enumerate(numbers):
            frame, place = divmod(int(number), num_placed)
            camera, (down, right) = place // grid**2, divmod(place % grid**2, grid)
            x[i] = x[i] + weights["camera"][camera]
            positions.append(np.array([frame, down + 0.5 - grid / 2, right + 0.5 - grid / 2]))
        tokens = np.stack(x)
        block = 0
        while f"trunk.blocks.{block}.up.weight" in weights:
            name = f"trunk.blocks.{block}"
            q, k, v = np.split(linear(norm(tokens, f"{name}.norm_attention"), f"{name}.attention.qkv"), 3, axis=-1)
            heads = []
            for mine in np.split(np.arange(q.shape[1]), num_heads):
                queries = np.stack([turned(q[i, mine], p) for i, p in enumerate(positions)])
                keys = np.stack([turned(k[i, mine], p) for i, p in enumerate(positions)])
                scores = np.exp(queries @ keys.T / math.sqrt(len(mine)))
                heads.append(scores / scores.sum(1, keepdims=True) @ v[:, mine])
            tokens = tokens + linear(np.concatenate(heads, axis=-1), f"{name}.attention.out")
            tokens = tokens + linear(gelu(linear(norm(tokens, f"{name}.norm_mlp"), f"{name}.up")), f"{name}.down")
            block += 1
        guesses = linear(norm(tokens, "trunk.norm"), "out")[len(visible[row]) :]
        for guess, number in zip(guesses, hidden[row], strict=True):
            frame, place = divmod(int(number), num_placed)
            errors.append(np.abs(guess - target[row, frame, place]).mean())
    return float(np.mean(errors))
