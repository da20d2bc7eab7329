"""Inverse dynamics: which actions led from one latent to a later one. Keeps what the robot can change in the latent.

Pathak et al., ICML 2017; as a term beside latent prediction: PLDM (Sobal et al., arXiv:2502.14819). Over several steps, the
first and the last latent have to tell all the actions between (multi-step inverse models: Lamb et al., arXiv:2207.08229).

B batch   T time   K tokens a frame   D latent width   S steps between the two latents   A action dim
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worldmodel.errors import ConfigError
from worldmodel.nn.actions import scaled
from worldmodel.types import ActionSpec


class InverseDynamics(nn.Module):
    """Reads the actions, scaled to [-1, 1], off two latents that are `steps` actions apart."""

    low: Tensor
    high: Tensor

    def __init__(self, num_tokens: int, token_dim: int, action: ActionSpec, width: int = 128, steps: int = 1) -> None:
        super().__init__()
        self.steps = steps
        self.register_buffer("low", torch.tensor(action.low, dtype=torch.float32), persistent=False)
        self.register_buffer("high", torch.tensor(action.high, dtype=torch.float32), persistent=False)
        self.place = nn.Linear(2 * token_dim, 8)
        self.layers = nn.Sequential(
            nn.SiLU(), nn.Linear(8 * num_tokens, width), nn.SiLU(), nn.Linear(width, steps * action.dim)
        )

    def guess(self, z: Tensor) -> Tensor:
        """z (B, T, K, D) -> the scaled actions between every pair of frames `steps` apart, (B, T - S, S * A).

        Raises ConfigError where no two frames are that far apart.
        """
        if z.shape[1] <= self.steps:
            raise ConfigError(
                f"inverse dynamics over {self.steps} actions needs windows of {self.steps + 1} frames, got {z.shape[1]}; "
                "raise train.num_frames, or lower objective.inverse_dynamics_steps"
            )
        pairs = torch.cat([z[:, : -self.steps], z[:, self.steps :]], dim=-1)
        return self.layers(self.place(pairs).flatten(-2))

    def forward(self, z: Tensor, actions: Tensor) -> Tensor:
        """Mean squared error over z (B, T, K, D) and the actions (B, T - 1, A) between them.

        Every pair of frames `steps` apart counts: T - steps of them, of which there is one, first and last, when S = T - 1.
        """
        guess, wanted = self.guess(z), scaled(actions, self.low, self.high)
        between = torch.cat([wanted[:, step : step + guess.shape[1]] for step in range(self.steps)], dim=-1)
        return F.mse_loss(guess, between)
