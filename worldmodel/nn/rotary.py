"""Rotary positions over any number of axes: a score depends on the difference of two positions only (RoFormer, eq. 14-16)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

Rotation = tuple[Tensor, Tensor]
"""Cosine and sine of each pair's angle, each (L, head_dim / 2)."""


def rotation(positions: Tensor, head_dim: int, base: float = 100.0) -> Rotation:
    """Cosines and sines for positions (L, axes); the pairs of a head are dealt out to the axes in turn.

    The fastest pair of an axis turns by one radian a unit, the slowest by about 1/base.
    """
    if head_dim % 2:
        raise ValueError(f"rotary positions need an even head width, got {head_dim}")
    num_axes = positions.shape[-1]
    angles = []
    for pair in range(head_dim // 2):
        axis, level = pair % num_axes, pair // num_axes
        num_levels = math.ceil((head_dim // 2 - axis) / num_axes)
        angles.append(positions[:, axis] * base ** (-level / max(num_levels, 1)))
    angle = torch.stack(angles, dim=-1)  # (L, head_dim / 2)
    return angle.cos(), angle.sin()


def rotate(x: Tensor, turn: Rotation) -> Tensor:
    """x (..., L, head_dim) with the pair (i, i + head_dim / 2) turned by its position's angle."""
    cos, sin = (part.to(x.dtype) for part in turn)
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)
