"""Depth pictures as a grid of tokens.

B batch   T time   H height   W width   G grid side   C width of a token
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

MILLIMETRE = 1e-3
"""Whole numbers are millimetres, as depth cameras write them; floats are metres."""


def nearness(depth: Tensor) -> Tensor:
    """Depth (..., H, W) uint16 [mm] or float [m] -> (..., 2, H, W): 1 / (1 + metres), and whether it is known.

    Nearness is in (0, 1] with the resolution where a robot's hands are, and infinity is no special case. Zero and what is
    not finite mean that nothing was measured: both channels are 0.
    """
    metres = depth.float() * MILLIMETRE if not depth.is_floating_point() else depth.float()
    known = torch.isfinite(metres) & (metres > 0)
    near = torch.where(known, 1 / (1 + metres.clamp_min(0)), 0.0)
    return torch.stack([near, known.float()], dim=-3)


class DepthTokenizer(nn.Module):
    """Depth (B, T, H, W) or (B, T, H, W, 1) -> (B, T, G * G, C); `layers` take (R, 2, H, W) to (R, C, G, G)."""

    def __init__(self, layers: nn.Module, grid: int) -> None:
        super().__init__()
        self.grid, self.num_tokens, self.layers = grid, grid**2, layers

    def forward(self, depth: Tensor) -> Tensor:
        """Each frame on its own."""
        if depth.ndim == 5:
            depth = depth.squeeze(-1)
        return self.layers(nearness(depth.flatten(0, 1))).flatten(2).transpose(1, 2).unflatten(0, depth.shape[:2])
