"""A plain vision transformer: pre-norm blocks, rotary positions, and a pooling that looks where it wants.

B batch   L tokens   C width   Q queries
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worldmodel.nn.attention import Attention, attend
from worldmodel.nn.masks import Mask
from worldmodel.nn.rotary import Rotation


class ViTBlock(nn.Module):
    """Attention and an MLP, each behind a LayerNorm (Dosovitskiy et al. 2021, eqs. 2 and 3)."""

    def __init__(self, width: int, num_heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.norm_attention, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, num_heads)
        hidden = int(width * mlp_ratio)
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor, turn: Rotation, mask: Mask | None = None) -> Tensor:
        """(B, ..., C) -> the same; all tokens of a row see each other unless a mask says otherwise."""
        x = x + self.attention(self.norm_attention(x), turn, mask)
        return x + self.down(F.gelu(self.up(self.norm_mlp(x))))


class ViT(nn.Module):
    """Blocks, and a LayerNorm behind them."""

    def __init__(self, width: int, depth: int, num_heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ViTBlock(width, num_heads, mlp_ratio) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, turn: Rotation, mask: Mask | None = None) -> Tensor:
        """(B, ..., C) -> the same."""
        for block in self.blocks:
            x = block(x, turn, mask)
        return self.norm(x)


class AttentivePool(nn.Module):
    """Tokens (B, L, C) -> a few (B, Q, C): learned queries, one cross-attention and an MLP, as V-JEPA's probes."""

    def __init__(self, width: int, num_queries: int, head_dim: int = 64) -> None:
        super().__init__()
        self.num_heads = max(1, width // head_dim) if width % max(1, width // head_dim) == 0 else 1
        self.queries = nn.Parameter(0.02 * torch.randn(num_queries, width))
        self.norm = nn.LayerNorm(width)
        self.keys, self.out = nn.Linear(width, 2 * width), nn.Linear(width, width)
        self.norm_mlp = nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Each query weighs all of the tokens."""
        k, v = self.keys(self.norm(x)).unflatten(-1, (2, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        q = self.queries.to(k.dtype).unflatten(-1, (self.num_heads, -1)).transpose(0, 1).expand(len(x), -1, -1, -1)
        pooled = self.out(attend(q, k, v).transpose(1, 2).flatten(2))
        return pooled + self.down(F.gelu(self.up(self.norm_mlp(pooled))))


class Row(nn.Module):
    """Tokens (B, L, C) -> all of them in a row, (B, 1, L * C)."""

    def forward(self, x: Tensor) -> Tensor:
        """Nothing is lost."""
        return x.flatten(1).unsqueeze(1)
