"""Transformer block whose normalisation is steered by a condition (AdaLN-zero, DiT section 3.2)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worldmodel.nn.attention import Attention, Engine, Past
from worldmodel.nn.masks import Mask
from worldmodel.nn.rotary import Rotation


class Modulation(nn.Module):
    """Shift, scale and gate for the two halves of a block from a condition; starts as (0, 1, 0) everywhere."""

    def __init__(self, cond_dim: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(cond_dim, 6 * width)
        nn.init.zeros_(self.linear.weight)
        with torch.no_grad():
            # Order: shift, scale, gate of attention, then of the MLP. The scale starts at one, gates at zero.
            self.linear.bias.copy_(torch.tensor([0.0, 1.0, 0.0, 0.0, 1.0, 0.0]).repeat_interleave(width))

    def forward(self, cond: Tensor) -> tuple[Tensor, ...]:
        """Six tensors (..., C) for a condition (..., cond_dim)."""
        return self.linear(cond).chunk(6, dim=-1)


class AdaLNBlock(nn.Module):
    """Attention and MLP, each between a modulated LayerNorm and a gate; the identity when new."""

    def __init__(self, width: int, num_heads: int, mlp_ratio: float, cond_dim: int, engine: Engine = "auto") -> None:
        super().__init__()
        self.width = width
        self.modulation = Modulation(cond_dim, width)
        self.attention = Attention(width, num_heads, engine)
        hidden = int(width * mlp_ratio)
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor, cond: Tensor, turn: Rotation, mask: Mask | None = None) -> Tensor:
        """x (B, ..., L, C); cond (B, ..., L, cond_dim) a token, or (B, ..., 1, cond_dim) for all along that axis."""
        return self._extended(x, cond, turn, mask, None)[0]

    def extend(
        self, x: Tensor, cond: Tensor, turn: Rotation, mask: Mask | None = None, past: Past | None = None
    ) -> tuple[Tensor, Past]:
        """As forward, and the keys and values of `past` and x, for the tokens that come after."""
        return self._extended(x, cond, turn, mask, past)

    def _extended(self, x: Tensor, cond: Tensor, turn: Rotation, mask: Mask | None, past: Past | None) -> tuple[Tensor, Past]:
        # neither of the two calls the other: each of them gathers the block's weights where those are sharded
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = self.modulation(cond)
        h = torch.addcmul(shift_a, F.layer_norm(x, (self.width,)), scale_a)
        attended, past = self.attention.extend(h, turn, mask, past)
        x = torch.addcmul(x, gate_a, attended)
        h = torch.addcmul(shift_m, F.layer_norm(x, (self.width,)), scale_m)
        return torch.addcmul(x, gate_m, self.down(F.gelu(self.up(h), approximate="tanh"))), past
