"""Latent actions: what happened between two frames, inferred from both, in place of actions that nobody has recorded.

    a_t = low + (high - low) * (1 + tanh(I(z_t, z_{t+1}))) / 2

Without actions the next frame cannot be known, and latents that have to be predictable would forget whatever moves. A few
numbers that are read off both frames cannot carry a frame, but they can say what was done (LAPA, Ye et al.,
arXiv:2410.11758; Genie, Bruce et al., arXiv:2402.15391). They are continuous, and in the box of the robot's own actions, not
entries of a code book: the predictor learns where in the picture such an action works, and goes on with recorded ones.

B batch   T time   K tokens a frame   D latent width   A action dim
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from worldmodel.nn.precision import at_least_float32
from worldmodel.objectives.inverse_dynamics import InverseDynamics
from worldmodel.types import ActionSpec


class LatentActions(nn.Module):
    """The inverse model I: two neighbouring latents -> an action in the box."""

    def __init__(self, num_tokens: int, token_dim: int, action: ActionSpec) -> None:
        super().__init__()
        self.inverse = InverseDynamics(num_tokens, token_dim, action)

    def forward(self, z: Tensor) -> Tensor:
        """z (B, T, K, D) -> the actions (B, T - 1, A) between its frames, with gradient into both."""
        share = 0.5 + 0.5 * torch.tanh(at_least_float32(self.inverse.guess(z)))  # how far from low to high
        return self.inverse.low + (self.inverse.high - self.inverse.low) * share
