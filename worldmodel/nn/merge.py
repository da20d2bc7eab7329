"""Neighbouring places of a grid as one token, and back.

B batch   T time   C cameras   G grid side   m merge   D width
"""

from __future__ import annotations

from einops import rearrange
from torch import Tensor


def merge(tokens: Tensor, grid: int, m: int) -> Tensor:
    """(B, T, C * G * G, D) in row order -> (B, T, C * (G / m)^2, m * m * D)."""
    if m == 1:
        return tokens
    h = grid // m
    return rearrange(tokens, "b t (c h p w q) d -> b t (c h w) (p q d)", h=h, w=h, p=m, q=m)


def unmerge(tokens: Tensor, grid: int, m: int) -> Tensor:
    """The inverse of `merge`."""
    if m == 1:
        return tokens
    h = grid // m
    return rearrange(tokens, "b t (c h w) (p q d) -> b t (c h p w q) d", h=h, w=h, p=m, q=m)
