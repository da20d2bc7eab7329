"""How an action is told to the tokens.

`RelativeAction` gives each token the action as seen from its own place: how far it is from the stroke's start and end, where
it lies along and across it, and how deep in the swept strip. `VectorAction` gives every token the same numbers.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from worldmodel.errors import ConfigError
from worldmodel.types import ActionSpec

WIDTHS = (0.12, 0.25, 0.5)
"""Widths of the soft indicators [image half-widths]: about half a token, one and two on an 8 x 8 grid."""


def token_centres(grid: int) -> Tensor:
    """Image coordinates (right, down) in [-1, 1] of the centres of grid x grid places in row order, (K, 2)."""
    centre = (2 * torch.arange(grid) + 1) / grid - 1
    down, right = torch.meshgrid(centre, centre, indexing="ij")
    return torch.stack([right, down], dim=-1).reshape(-1, 2)


def stroke_features(start: Tensor, end: Tensor, centres: Tensor) -> Tensor:
    """The stroke from start to end (..., 2) as seen from each centre (K, 2), all in image coordinates: (..., K, F)."""
    start, end = start[..., None, :], end[..., None, :]  # (..., 1, 2)
    stroke = end - start
    # A stroke of no length has no direction: it reads as zero, and eps keeps the gradient finite.
    length = (stroke.square().sum(-1, keepdim=True) + 1e-8).sqrt()
    direction = stroke / length
    from_start, from_end = centres - start, centres - end  # (..., K, 2)
    along = (from_start * direction).sum(-1, keepdim=True)
    across = from_start[..., :1] * direction[..., 1:] - from_start[..., 1:] * direction[..., :1]
    features = [from_start, from_end, along, across, along - length]
    for width in WIDTHS:
        beside = torch.exp(-0.5 * (across / width).square())
        between = torch.sigmoid(4 * along / width) * torch.sigmoid(4 * (length - along) / width)
        features += [
            beside * between,
            across / width * beside * between,
            torch.exp(-0.5 * from_start.square().sum(-1, keepdim=True) / width**2),
            torch.exp(-0.5 * from_end.square().sum(-1, keepdim=True) / width**2),
        ]
    same = torch.cat([direction, length], dim=-1)  # (..., 1, 3)
    features.append(same.expand(*along.shape[:-1], 3))
    return torch.cat(features, dim=-1)


NUM_STROKE_FEATURES = 7 + 4 * len(WIDTHS) + 3


class RelativeAction(nn.Module):
    """Embedding of an action for each place, (..., A) -> (..., K, width)."""

    centres: Tensor
    affine: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, spec: ActionSpec, grid: int, width: int) -> None:
        super().__init__()
        if len(spec.points) < 2 or spec.image_from_action is None:
            raise ConfigError(
                "a relative action needs an action specification with two points and image_from_action; "
                f"got points {spec.points} and {spec.image_from_action}. Use action: vector."
            )
        self.points = spec.points
        self.register_buffer("centres", token_centres(grid), persistent=False)
        self.register_buffer("affine", torch.tensor(spec.image_from_action, dtype=torch.float32), persistent=False)
        self.register_buffer("low", torch.tensor(spec.low, dtype=torch.float32), persistent=False)
        self.register_buffer("high", torch.tensor(spec.high, dtype=torch.float32), persistent=False)
        num_features = NUM_STROKE_FEATURES * (len(spec.points) - 1) + spec.dim
        self.mlp = nn.Sequential(nn.Linear(num_features, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))

    def features(self, actions: Tensor) -> Tensor:
        """Stroke features of each leg between consecutive points, then the normalised action itself, (..., K, F)."""
        visited = []
        for i, j in self.points:
            point = torch.stack([actions[..., i], actions[..., j], torch.ones_like(actions[..., i])], dim=-1)
            visited.append((point.unsqueeze(-2) * self.affine).sum(-1))  # (..., 2) right, down
        legs = [stroke_features(a, b, self.centres) for a, b in pairwise(visited)]
        plain = scaled(actions, self.low, self.high).unsqueeze(-2)
        return torch.cat([*legs, plain.expand(*legs[0].shape[:-1], plain.shape[-1])], dim=-1)

    def forward(self, actions: Tensor) -> Tensor:
        """(..., A) -> (..., K, width)."""
        return self.mlp(self.features(_exact(actions)))


class VectorAction(nn.Module):
    """Embedding of an action, the same for all places, (..., A) -> (..., 1, width)."""

    low: Tensor
    high: Tensor

    def __init__(self, spec: ActionSpec, width: int) -> None:
        super().__init__()
        self.register_buffer("low", torch.tensor(spec.low, dtype=torch.float32), persistent=False)
        self.register_buffer("high", torch.tensor(spec.high, dtype=torch.float32), persistent=False)
        self.mlp = nn.Sequential(nn.Linear(spec.dim, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))

    def forward(self, actions: Tensor) -> Tensor:
        """(..., A) -> (..., 1, width)."""
        return self.mlp(scaled(_exact(actions), self.low, self.high)).unsqueeze(-2)


def scaled(actions: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Actions (..., A) scaled to [-1, 1] by their bounds (A,); an element that has no room between them is -1."""
    return 2 * (actions - low) / torch.where(high > low, high - low, 1.0) - 1


def _exact(actions: Tensor) -> Tensor:
    """In float32 at least, whatever the autocast: a place is a small difference of large numbers."""
    return actions.to(torch.promote_types(actions.dtype, torch.float32))
