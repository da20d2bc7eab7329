"""Rotary positions over any number of axes: a score depends on the difference of two positions only (RoFormer, eq. 14-16)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

Rotation = tuple[Tensor, Tensor]
"""Cosine and sine of each pair's angle, each (L, head_dim / 2)."""


def angles(positions: Tensor, head_dim: int, base: float = 100.0) -> Tensor:
    """Angle of each pair at positions (L, axes), (L, head_dim / 2); the pairs of a head are dealt out to the axes in turn.

    The fastest pair of an axis turns by one radian a unit, the slowest by about 1/base. Each pair belongs to one axis, so
    the angles of a sum of positions are the sum of their angles.
    """
    if head_dim % 2:
        raise ValueError(f"rotary positions need an even head width, got {head_dim}")
    num_axes, turned = positions.shape[-1], []
    for pair in range(head_dim // 2):
        axis, level = pair % num_axes, pair // num_axes
        num_levels = math.ceil((head_dim // 2 - axis) / num_axes)
        turned.append(positions[:, axis] * base ** (-level / max(num_levels, 1)))
    return torch.stack(turned, dim=-1)


def rotation(positions: Tensor, head_dim: int, base: float = 100.0) -> Rotation:
    """Cosines and sines of `angles` at positions (L, axes), such as (time, y, x)."""
    angle = angles(positions, head_dim, base)
    return angle.cos(), angle.sin()


def rotate(x: Tensor, turn: Rotation) -> Tensor:
    """x (..., L, head_dim) with the pair (i, i + head_dim / 2) turned by its position's angle."""
    cos, sin = (part.to(x.dtype) for part in turn)
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)
