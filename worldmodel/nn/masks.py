"""Which token may look at which: by frame, or by any boolean mask.

B batch   T frames   K tokens a frame   L = T * K tokens

A mask can say itself in two ways: `dense`, for scaled_dot_product_attention and for tests, and `block`, for FlexAttention.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class FrameMask:
    """Tokens of a frame see their own frame and earlier ones: all of them, or the last `reach` (block-causal, banded)."""

    num_frames: int
    """T."""
    tokens_per_frame: int
    """K."""
    reach: int | None = None
    """Earlier frames that a frame sees; None for all."""

    def first(self, frame: int) -> int:
        """The earliest frame that `frame` sees."""
        return 0 if self.reach is None else max(0, frame - self.reach)

    def dense(self, device: torch.device) -> Tensor:
        """True where the query (row) may look at the key (column), (L, L)."""
        frame = torch.arange(self.num_frames, device=device).repeat_interleave(self.tokens_per_frame)
        back = frame[:, None] - frame[None, :]
        return back >= 0 if self.reach is None else (back >= 0) & (back <= self.reach)

    def block(self, device: torch.device) -> Any:
        """The same as FlexAttention's BlockMask."""
        from torch.nn.attention.flex_attention import create_block_mask

        reach = self.num_frames if self.reach is None else self.reach

        def sees(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
            back = query // self.tokens_per_frame - key // self.tokens_per_frame
            return (back >= 0) & (back <= reach)

        length = self.num_frames * self.tokens_per_frame
        return create_block_mask(sees, None, None, length, length, device=str(device))


@dataclass(frozen=True, eq=False)
class TokenMask:
    """Any boolean mask, one a row of the batch: what masked prediction needs.

    A token that may look at nothing gets zeros.
    """

    allowed: Tensor
    """True where keys may be looked at: by all queries (B, L), or by each (B, queries, L). B may be 1."""

    def dense(self, device: torch.device) -> Tensor:
        """True where the query may look at the key, (B, 1, queries or 1, L): the same for all heads."""
        allowed = self.allowed.to(device)
        return allowed[:, None, None] if allowed.ndim == 2 else allowed[:, None]

    def block(self, device: torch.device, num_queries: int) -> Any:
        """The same as FlexAttention's BlockMask. Made anew for each mask, which costs more than small attention itself."""
        from torch.nn.attention.flex_attention import create_block_mask

        allowed = self.dense(device)[:, 0]  # (B, queries or 1, L)
        batch, rows, length = allowed.shape

        def sees(row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
            return allowed[row if batch > 1 else 0, query if rows > 1 else 0, key]

        return create_block_mask(sees, batch if batch > 1 else None, None, num_queries, length, device=str(device))


Mask = FrameMask | TokenMask
