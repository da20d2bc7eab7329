"""What a stack of blocks keeps of the frames that it has seen, and how far back each block looks.

A prediction must depend on the same frames in training and in planning. If every block saw the last c frames, a stack of
them would see further: what a kept frame says was computed when it saw frames that have left since. To drop those, each
move of the window would have to compute all of its frames anew. So the c - 1 frames of reach are dealt out to the blocks:
together they see exactly the last c frames, like a stack of causal convolutions. Then a long training window is one banded
pass, keys and values can be kept for as long as a block looks back, and both say the same as the c frames on their own.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from torch import Tensor

from worldmodel.nn.attention import Past

Memory = tuple[Past | None, ...]
"""For each block, the keys and values of the last frames in its reach; None where it looks at nothing but its own frame."""

ContextOf = Literal["model", "block"]


def reaches(depth: int, context_length: int, context_of: ContextOf = "model") -> tuple[int, ...]:
    """Earlier frames that each block sees, (depth,).

    "model": all blocks together see context_length frames, itself one of them; the reach is spread evenly over the stack.
    "block": each block does, as in the published block-causal predictors; together they see further.
    """
    if context_of == "block":
        return (context_length - 1,) * depth
    total = context_length - 1
    upto = [(2 * i * total + depth) // (2 * depth) for i in range(depth + 1)]  # i / depth of the total, rounded
    return tuple(after - before for before, after in pairwise(upto))


def keep(past: Past, num_tokens: int) -> Past | None:
    """The last `num_tokens` of them; None for none."""
    return (past[0][:, :, -num_tokens:], past[1][:, :, -num_tokens:]) if num_tokens else None


def take_rows(memory: Memory, rows: Tensor) -> Memory:
    """The memory of these rows (R,) of the batch; a row may be taken many times, once for each of its candidates."""
    return tuple(None if past is None else (past[0][rows], past[1][rows]) for past in memory)
