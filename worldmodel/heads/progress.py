"""Progress: where each object is, and whether it is still on the table.

The head attends, for each object slot, to the places of the latent; the position is where it looks.

    B batch   K tokens a frame   D latent width   O object slots   W head width   G grid side
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worldmodel.heads.spread import SPREAD_DIM, Spread
from worldmodel.nn.actions import token_centres

STATUS_NAMES = ("absent", "on_table", "in_bin", "on_floor")
"""Meaning of the status labels 0 to 3."""
ABSENT, ON_TABLE, IN_BIN, ON_FLOOR = range(4)


@dataclass(frozen=True)
class ProgressHeadConfig:
    """What the progress head looks like."""

    grid: int = 8
    """Side of the latent's grid; tokens beyond grid * grid are not read."""
    token_dim: int = 16
    """Width of a token."""
    num_slots: int = 5
    """Object slots, O."""
    width: int = 64
    """Channels of the head."""
    image_from_action: tuple[tuple[float, float, float], tuple[float, float, float]] | None = None
    """The world's camera calibration: the first guess of how the image lies on the table."""
    num_tokens: int = 0
    """Tokens of a latent without places, spread over the grid by a linear map; 0 where the first tokens are a grid."""


class ProgressHead(nn.Module):
    """Latents -> status logits (..., O, 4) and positions (..., O, 2) [m]."""

    centres: Tensor
    position_mean: Tensor
    position_scale: Tensor

    def __init__(self, config: ProgressHeadConfig) -> None:
        super().__init__()
        self.config = config
        width, slots = config.width, config.num_slots
        self.spread = Spread(config.num_tokens, config.token_dim, config.grid) if config.num_tokens else None
        self.near = nn.Conv2d(SPREAD_DIM if config.num_tokens else config.token_dim, width, 3, padding=1)
        self.place = nn.Parameter(torch.zeros(width, config.grid, config.grid))
        self.mix = nn.Conv2d(width, width, 1)
        self.read = nn.Conv2d(width, 3 * slots, 1)  # a logit and an offset for each slot
        self.slot = nn.Parameter(0.1 * torch.randn(slots, width))
        self.status = nn.Sequential(nn.Linear(2 * width + 1, width), nn.SiLU(), nn.Linear(width, len(STATUS_NAMES)))
        self.register_buffer("centres", token_centres(config.grid), persistent=False)
        # The map from image to table, in normalised metres: starts from the calibration and is learned with the rest.
        self.table_from_image = nn.Parameter(_first_guess(config.image_from_action))
        self.register_buffer("position_mean", torch.zeros(2))
        self.register_buffer("position_scale", torch.ones(2))

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """z (..., K, D) -> status logits (..., O, 4), positions (..., O, 2) [m]."""
        lead, grid, slots = z.shape[:-2], self.config.grid, self.config.num_slots
        z = z if self.spread is None else self.spread(z)
        tokens = z[..., : grid**2, :].reshape(-1, grid, grid, z.shape[-1])
        x = F.silu(self.near(tokens.permute(0, 3, 1, 2)) + self.place)
        x = F.silu(self.mix(x))  # (R, W, G, G)
        logit, right, down = self.read(x).flatten(2).view(-1, 3, slots, grid**2).unbind(1)  # each (R, O, K)
        attention = logit.softmax(-1)
        # Where it looks: the place's centre, and up to a token's width beside it.
        offset = torch.stack([(attention * right.tanh()).sum(-1), (attention * down.tanh()).sum(-1)], dim=-1) * (2 / grid)
        seen = attention @ self.centres + offset  # (R, O, 2) image coordinates
        normalised = seen @ self.table_from_image[:, :2].T + self.table_from_image[:, 2]
        position = normalised * self.position_scale + self.position_mean
        # What it sees there, how strongly, and the picture as a whole.
        features = x.flatten(2).transpose(1, 2)  # (R, K, W)
        seen_features = attention @ features + self.slot
        whole = features.mean(1, keepdim=True).expand(-1, slots, -1)
        evidence = logit.logsumexp(-1, keepdim=True) / 4
        status = self.status(torch.cat([seen_features, whole, evidence], dim=-1))
        return status.view(*lead, slots, -1), position.view(*lead, slots, 2)

    @torch.no_grad()
    def set_position_scale(self, positions: Tensor) -> None:
        """Fit the unit of positions to labelled ones (rows, 2) [m]: the middle and half the extent on each axis."""
        low, high = positions.quantile(0.01, dim=0), positions.quantile(0.99, dim=0)
        self.position_mean.copy_((low + high) / 2)
        self.position_scale.copy_(((high - low) / 2).clamp_min(1e-3))


def _first_guess(image_from_action: tuple[tuple[float, ...], ...] | None) -> Tensor:
    """2 x 3 map from image to table coordinates, both about [-1, 1]: the inverse of the calibration, or the identity."""
    if image_from_action is None:
        return torch.eye(2, 3)
    matrix = torch.eye(3, dtype=torch.float64)
    matrix[:2] = torch.tensor(image_from_action, dtype=torch.float64)
    return torch.linalg.inv(matrix)[:2].float()
