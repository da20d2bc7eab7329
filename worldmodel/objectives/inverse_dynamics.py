"""Inverse dynamics: which action led from one latent to the next. Keeps what the robot can change in the latent."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worldmodel.types import ActionSpec


class InverseDynamics(nn.Module):
    """Reads the action, scaled to [-1, 1], off two consecutive latents."""

    low: Tensor
    high: Tensor

    def __init__(self, num_tokens: int, token_dim: int, action: ActionSpec, width: int = 128) -> None:
        super().__init__()
        self.register_buffer("low", torch.tensor(action.low, dtype=torch.float32), persistent=False)
        self.register_buffer("high", torch.tensor(action.high, dtype=torch.float32), persistent=False)
        self.place = nn.Linear(2 * token_dim, 8)
        self.layers = nn.Sequential(nn.SiLU(), nn.Linear(8 * num_tokens, width), nn.SiLU(), nn.Linear(width, action.dim))

    def forward(self, z: Tensor, actions: Tensor) -> Tensor:
        """Mean squared error over z (B, T, K, D) and the actions (B, T - 1, A) between them."""
        pairs = torch.cat([z[:, :-1], z[:, 1:]], dim=-1)
        guess = self.layers(self.place(pairs).flatten(-2))
        return F.mse_loss(guess, 2 * (actions - self.low) / (self.high - self.low) - 1)
