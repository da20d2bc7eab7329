"""Pictures of latents, to look at what the model imagines. They never shape the latent.

R rows   K tokens a frame   D latent width
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from worldmodel.errors import ConfigError
from worldmodel.heads.spread import SPREAD_DIM, Spread


@dataclass(frozen=True)
class PictureHeadConfig:
    """What the picture head looks like."""

    grid: int = 8
    """Side of the latent's grid; tokens beyond grid * grid are not read."""
    token_dim: int = 16
    """Width of a token."""
    size: int = 64
    """Side of the picture [pixels]: the grid times a power of two."""
    width: int = 64
    """Channels at the grid's resolution; halved at each doubling."""
    num_tokens: int = 0
    """Tokens of a latent without places, spread over the grid by a linear map; 0 where the first tokens are a grid."""


class PictureHead(nn.Module):
    """Latents -> pictures, as differences from the mean picture. Never shapes the latent."""

    background: Tensor

    def __init__(self, config: PictureHeadConfig) -> None:
        super().__init__()
        self.config = config
        doublings = math.log2(config.size / config.grid)
        if doublings != int(doublings) or doublings < 1:
            raise ConfigError(f"a picture of {config.size} is not the grid of {config.grid} times a power of two")
        self.spread = Spread(config.num_tokens, config.token_dim, config.grid) if config.num_tokens else None
        channels = SPREAD_DIM if config.num_tokens else config.token_dim
        layers: list[nn.Module] = [nn.Conv2d(channels, config.width, 3, padding=1), nn.SiLU()]
        width = config.width
        for i in range(int(doublings)):
            last = i == int(doublings) - 1
            out = 3 if last else max(width // 2, 16)
            layers += [nn.Conv2d(width, 4 * out, 3, padding=1), nn.PixelShuffle(2)]
            if not last:
                layers.append(nn.SiLU())
            width = out
        self.layers = nn.Sequential(*layers)
        self.register_buffer("background", torch.full((3, config.size, config.size), 0.5))

    def forward(self, z: Tensor) -> Tensor:
        """z (R, K, D) -> pictures (R, 3, size, size), about [0, 1]."""
        grid = self.config.grid
        z = z if self.spread is None else self.spread(z)
        tokens = z[:, : grid**2].reshape(-1, grid, grid, z.shape[-1])
        return self.layers(tokens.permute(0, 3, 1, 2)) + self.background

    @torch.no_grad()
    def draw(self, z: Tensor) -> Tensor:
        """z (..., K, D) -> pictures uint8 (..., size, size, 3)."""
        pictures = self(z.reshape(-1, *z.shape[-2:])).clamp(0, 1).mul(255).round().to(torch.uint8)
        return pictures.permute(0, 2, 3, 1).reshape(*z.shape[:-2], self.config.size, self.config.size, 3)
