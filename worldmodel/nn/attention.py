"""Multi-head attention with rotary positions, block-causal over frames.

One interface, two engines: scaled_dot_product_attention (any device), and FlexAttention compiled with a BlockMask where
CUDA is present and frames are masked. FlexAttention has no backward pass on a CPU (torch 2.13); there it runs uncompiled,
for tests.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worldmodel.nn.rotary import Rotation, rotate


@dataclass(frozen=True)
class FrameMask:
    """Tokens of a frame see their own frame and all earlier ones."""

    num_frames: int
    """T."""
    tokens_per_frame: int
    """K."""

    def dense(self, device: torch.device) -> Tensor:
        """True where the query (row) may look at the key (column), (T*K, T*K)."""
        frame = torch.arange(self.num_frames, device=device).repeat_interleave(self.tokens_per_frame)
        return frame[:, None] >= frame[None, :]


@cache
def _block_mask(mask: FrameMask, device: str) -> Any:
    from torch.nn.attention.flex_attention import create_block_mask

    def sees(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return query // mask.tokens_per_frame >= key // mask.tokens_per_frame

    length = mask.num_frames * mask.tokens_per_frame
    return create_block_mask(sees, None, None, length, length, device=device)


@cache
def _flex(compiled: bool) -> Callable[..., Tensor]:
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention, dynamic=False) if compiled else flex_attention


@cache
def _dense_mask(mask: FrameMask, device: str) -> Tensor:
    return mask.dense(torch.device(device))


def attend(q: Tensor, k: Tensor, v: Tensor, mask: FrameMask | None, engine: str = "auto") -> Tensor:
    """Attention of q to k and v, all (B, heads, L, head_dim); engine auto, sdpa or flex."""
    if mask is not None and mask.num_frames == 1:
        mask = None
    if engine == "flex" or (engine == "auto" and mask is not None and q.is_cuda):
        block_mask = _block_mask(mask, str(q.device)) if mask is not None else None
        return _flex(q.is_cuda)(q, k, v, block_mask=block_mask)
    dense = _dense_mask(mask, str(q.device)) if mask is not None else None
    return F.scaled_dot_product_attention(q, k, v, attn_mask=dense)


class Attention(nn.Module):
    """Self-attention over L tokens, (B, L, C) -> (B, L, C)."""

    def __init__(self, width: int, num_heads: int, engine: str = "auto") -> None:
        super().__init__()
        if width % num_heads or (width // num_heads) % 2:
            raise ValueError(f"width {width} does not split into {num_heads} heads of even width")
        self.num_heads, self.engine = num_heads, engine
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, turn: Rotation, mask: FrameMask | None = None) -> Tensor:
        """x (B, L, C) with the positions' rotation of L tokens; mask None means that all tokens see each other."""
        batch, length, width = x.shape
        qkv = self.qkv(x).view(batch, length, 3, self.num_heads, width // self.num_heads)
        qkv = qkv.permute(2, 0, 3, 1, 4)  # (3, B, heads, L, head_dim)
        q, k = rotate(qkv[:2], turn).unbind(0)
        out = attend(q, k, qkv[2], mask, self.engine)
        return self.out(out.transpose(1, 2).reshape(batch, length, width))
