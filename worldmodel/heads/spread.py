"""Latents without places, spread over a grid, so that one kind of head reads every latent.

K tokens a frame   D latent width   G grid side
"""

from __future__ import annotations

from torch import Tensor, nn

SPREAD_DIM = 16
"""Channels at each place."""


class Spread(nn.Module):
    """A vector, or a few pooled tokens (..., K, D) -> (..., G * G, SPREAD_DIM) by one linear map."""

    def __init__(self, num_tokens: int, token_dim: int, grid: int) -> None:
        super().__init__()
        self.places = grid**2
        self.linear = nn.Linear(num_tokens * token_dim, self.places * SPREAD_DIM)

    def forward(self, z: Tensor) -> Tensor:
        """Each place gets numbers of its own."""
        return self.linear(z.flatten(-2)).unflatten(-1, (self.places, SPREAD_DIM))
