"""Statistics over the batch of all ranks, with gradients: what makes a loss the same on two processes as on one.

Each rank holds an equal part of the batch. A loss of these statistics is the same number on every rank; the gradient that
comes back to a rank is the sum over the ranks' losses, which is what data parallelism expects, since it averages gradients.
Without torch.distributed they are what their names say of the one batch there is.

R ranks
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def num_ranks() -> int:
    """R; 1 without torch.distributed."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def own_rows(num: int) -> slice:
    """This rank's of the rows (R * num, ...) of all ranks in their order."""
    rank = dist.get_rank() if num_ranks() > 1 else 0
    return slice(rank * num, (rank + 1) * num)


def mean_across(x: Tensor) -> Tensor:
    """Mean over the ranks, x itself where there is one."""
    return x if num_ranks() == 1 else _Sum.apply(x) / num_ranks()  # type: ignore[operator]


def gather_across(x: Tensor) -> Tensor:
    """The rows (B, ...) of all ranks in their order, (R * B, ...)."""
    ranks = num_ranks()
    if ranks == 1:
        return x
    placed = x.new_zeros(ranks, *x.shape)
    placed[dist.get_rank()] = x
    return _Sum.apply(placed).flatten(0, 1)  # type: ignore[union-attr]


def same_on_all(x: Tensor) -> Tensor:
    """The first rank's values, in place: for what is drawn at random and has to be the same everywhere. No gradient."""
    if num_ranks() > 1:
        dist.broadcast(x, src=0)
    return x


class _Sum(torch.autograd.Function):
    """Sum over the ranks, forwards and backwards."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.contiguous().clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        total = grads[0].contiguous().clone()
        dist.all_reduce(total)
        return total
