"""Vectors as one token each: proprioception, touch and force.

B batch   T time   R rows   P elements   D width of a token
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from worldmodel.errors import MismatchError
from worldmodel.normalisation import MeanStd


class VectorTokenizer(nn.Module):
    """A vector (..., P) -> one token (..., 1, D)."""

    mean: Tensor
    std: Tensor
    grid = 0
    num_tokens = 1

    def __init__(self, size: int, token_dim: int, scale: MeanStd | None = None) -> None:
        """`scale` comes from the manifest, which is why it is not among the weights; None leaves vectors as they are."""
        super().__init__()
        scale = scale or MeanStd((0.0,) * size, (1.0,) * size)
        if not len(scale.mean) == len(scale.std) == size:
            raise MismatchError(f"the normalisation has {len(scale.mean)} numbers, the vector has {size}")
        std = torch.tensor(scale.std)
        self.register_buffer("mean", torch.tensor(scale.mean), persistent=False)
        # what never changed in the recording says nothing: it is not blown up
        self.register_buffer("std", torch.where(std > 1e-6, std, 1.0), persistent=False)
        self.layers = nn.Sequential(nn.Linear(size, 64), nn.SiLU(), nn.Linear(64, token_dim))

    def forward(self, vector: Tensor) -> Tensor:
        """(..., P) -> (..., 1, D)."""
        return self.layers((vector.float() - self.mean) / self.std).unsqueeze(-2)


class TouchTokenizer(VectorTokenizer):
    """Forces and touch (B, T, ...) -> one token (B, T, 1, D).

    Nothing touches for most of the time, and an impact is a hundred times a grip: what is beyond a few standard deviations
    is told by its logarithm, sign(x) log(1 + |x|).
    """

    def forward(self, force: Tensor) -> Tensor:
        """(B, T, ...) -> (B, T, 1, D)."""
        x = (force.flatten(2).float() - self.mean) / self.std
        return self.layers(x.sign() * x.abs().log1p()).unsqueeze(-2)
