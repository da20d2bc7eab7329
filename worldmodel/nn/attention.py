"""Multi-head attention with rotary positions: one interface, and the engine that suits device, mask and sizes.

    sdpa    scaled_dot_product_attention with the mask as booleans: any device, with gradients
    frames  the same a frame at a time, with only the keys that the frame sees: no work on what a FrameMask hides
    flex    FlexAttention with a BlockMask, compiled by torch.compile on CUDA (Dong et al. 2024, arXiv:2412.05496)

`auto` takes flex on CUDA wherever frames are masked and heads are wide enough. On a CPU, FlexAttention (torch 2.13) has no
backward pass, and its compiled forward pass lost to `frames` at every size measured (benchmarks/attention.py): there `auto`
is `frames` for long windows and `sdpa` for short ones, in training and outside. Uncompiled, flex runs on a CPU for tests only.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worldmodel.nn.masks import FrameMask, Mask
from worldmodel.nn.rotary import Rotation, rotate

Engine = Literal["auto", "sdpa", "frames", "flex"]

Past = tuple[Tensor, Tensor]
"""Keys and values of tokens seen before, each (B, heads, L, head_dim); the keys are turned to their positions already."""

FRAMES_FROM = 128
"""Tokens in a window from which a CPU goes frame by frame; below, the calls cost as much as the hidden work (measured)."""
FLEX_FROM = 16
"""Width of a head from which FlexAttention has kernels; it refuses narrower ones (torch 2.13)."""


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Mask | None = None, engine: Engine = "auto") -> Tensor:
    """Attention of q to k and v, (B, heads, L, head_dim); without a mask every query sees every key.

    q may be shorter than k and v unless a FrameMask is given.
    """
    if isinstance(mask, FrameMask):
        if mask.num_frames == 1:
            mask = None
        elif mask.reach == 0 and engine != "flex":
            # frames that see only themselves are rows of a larger batch
            q, k, v = (_fold(x, mask.num_frames) for x in (q, k, v))
            return _unfold(F.scaled_dot_product_attention(q, k, v), mask.num_frames)
    if engine == "auto":
        engine = _choose(q, mask)
    if mask is None:
        return F.scaled_dot_product_attention(q, k, v)
    if engine == "flex":
        return _flex(q, k, v, mask)
    if engine == "frames":
        if not isinstance(mask, FrameMask):
            raise ValueError("the engine 'frames' needs a FrameMask; use 'sdpa' for other masks")
        return _by_frame(q, k, v, mask)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask.dense(q.device))


def _choose(q: Tensor, mask: Mask | None) -> Engine:
    if not isinstance(mask, FrameMask):  # a new BlockMask for each batch would cost more than it saves
        return "sdpa"
    if q.is_cuda:
        return "flex" if q.shape[-1] >= FLEX_FROM else "sdpa"
    return "frames" if q.device.type == "cpu" and q.shape[2] >= FRAMES_FROM else "sdpa"


def _by_frame(q: Tensor, k: Tensor, v: Tensor, mask: FrameMask) -> Tensor:
    size, out = mask.tokens_per_frame, []
    for frame in range(mask.num_frames):
        queries, keys = slice(frame * size, (frame + 1) * size), slice(mask.first(frame) * size, (frame + 1) * size)
        out.append(F.scaled_dot_product_attention(q[:, :, queries], k[:, :, keys], v[:, :, keys]))
    return torch.cat(out, dim=2)


def _flex(q: Tensor, k: Tensor, v: Tensor, mask: Mask) -> Tensor:
    from torch.nn.attention.flex_attention import flex_attention

    if torch.compiler.is_compiling():  # part of a larger graph: it is compiled there, and so is the making of the mask
        block = mask.block(q.device) if isinstance(mask, FrameMask) else mask.block(q.device, q.shape[2])
        return flex_attention(q, k, v, block_mask=block)  # type: ignore[return-value]
    block = _frame_block(mask, q.device) if isinstance(mask, FrameMask) else mask.block(q.device, q.shape[2])
    return (_compiled_flex() if q.is_cuda else flex_attention)(q, k, v, block_mask=block)


@cache
def _frame_block(mask: FrameMask, device: torch.device) -> Any:
    return mask.block(device)


@cache
def _compiled_flex() -> Any:
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention, dynamic=False)


def _fold(x: Tensor, num_frames: int) -> Tensor:
    return x.unflatten(2, (num_frames, -1)).transpose(1, 2).flatten(0, 1)  # (B*T, heads, K, head_dim)


def _unfold(x: Tensor, num_frames: int) -> Tensor:
    return x.unflatten(0, (-1, num_frames)).transpose(1, 2).flatten(2, 3)


class Attention(nn.Module):
    """Self-attention over L tokens, (B, L, C) -> (B, L, C); the tokens may lie along several axes, (B, ..., C)."""

    def __init__(self, width: int, num_heads: int, engine: Engine = "auto") -> None:
        super().__init__()
        if width % num_heads or (width // num_heads) % 2:
            raise ValueError(f"width {width} does not split into {num_heads} heads of even width")
        self.num_heads = num_heads
        self.engine: Engine = engine
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, turn: Rotation, mask: Mask | None = None) -> Tensor:
        """x (B, ..., C) with the positions' rotation of its L tokens; mask None means that all tokens see each other."""
        return self.extend(x, turn, mask)[0]

    def extend(self, x: Tensor, turn: Rotation, mask: Mask | None = None, past: Past | None = None) -> tuple[Tensor, Past]:
        """As forward, and the keys and values of `past` and x; every token of x sees all of `past`, which takes no mask."""
        if past is not None and mask is not None:
            raise ValueError("tokens that see all of their past need no mask; got both")
        qkv = self.qkv(x.flatten(1, -2)).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        q, k = rotate(qkv[:2], turn).unbind(0)  # (B, heads, L, head_dim)
        v = qkv[2]
        if past is not None:
            k, v = torch.cat([past[0], k], dim=2), torch.cat([past[1], v], dim=2)
        out = attend(q, k, v, mask, self.engine)
        return self.out(out.transpose(1, 2).reshape(x.shape)), (k, v)
