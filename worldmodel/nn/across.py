"""Statistics over the batch of all ranks, with gradients: what makes a model and its loss the same on two processes as on one.

Each rank holds an equal part of the batch. A loss of these statistics is the same number on every rank; the gradient that
comes back to a rank is the sum over the ranks' losses, which is what data parallelism expects, since it averages gradients.
Without torch.distributed they are what their names say of the one batch there is.

R ranks
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor

_alone = False


def num_ranks() -> int:
    """R; 1 without torch.distributed, and within `alone`."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() and not _alone else 1


@contextmanager
def alone() -> Iterator[None]:
    """Within the `with`, this rank's batch is the whole batch: for what every rank computes in the same way for itself."""
    global _alone
    before, _alone = _alone, True
    try:
        yield
    finally:
        _alone = before


def own_rows(num: int) -> slice:
    """This rank's of the rows (R * num, ...) of all ranks in their order."""
    rank = dist.get_rank() if num_ranks() > 1 else 0
    return slice(rank * num, (rank + 1) * num)


def mean_across(x: Tensor) -> Tensor:
    """Mean over the ranks, x itself where there is one."""
    return x if num_ranks() == 1 else _sum(x) / num_ranks()


def gather_across(x: Tensor) -> Tensor:
    """The rows (B, ...) of all ranks in their order, (R * B, ...)."""
    ranks = num_ranks()
    if ranks == 1:
        return x
    placed = x.new_zeros(ranks, *x.shape)
    placed[dist.get_rank()] = x
    return _sum(placed).flatten(0, 1)


def same_on_all(x: Tensor) -> Tensor:
    """The first rank's values, in place: for what is drawn at random and has to be the same everywhere. No gradient."""
    if num_ranks() > 1:
        dist.broadcast(x, src=0)
    return x


# An operator of its own, which torch.compile takes as it is: encoders that normalise over all ranks stay one graph.
@torch.library.custom_op("worldmodel::sum_across", mutates_args=())
def _sum(x: Tensor) -> Tensor:
    """Sum over the ranks, forwards and backwards."""
    total = x.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total


@_sum.register_fake
def _(x: Tensor) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


_sum.register_autograd(lambda ctx, grad: _sum(grad))
