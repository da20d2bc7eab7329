"""torch.compile around what an objective calls of a model, for as long as it trains."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import nn

CompileMode = Literal["off", "inductor", "aot_eager"]

COMPILED_METHODS = ("encode", "predict", "step")
"""Each is compiled on its own; what lies between them is an objective's business."""


@contextmanager
def compiled(model: nn.Module, mode: CompileMode, fullgraph: bool = False) -> Iterator[None]:
    """Within the `with`, the model's encode, predict and step are compiled; afterwards it is what it was, weights and all.

    "inductor" repays its half minute only on long runs; "aot_eager" generates no code and only checks that compiling works.
    A graph break costs speed, no more; with `fullgraph` it is an error.
    """
    if mode == "off":
        yield
        return
    # DDP would cut the graphs between its buckets, which FlexAttention's do not survive; whole ones are reduced as well.
    before, torch._dynamo.config.optimize_ddp = torch._dynamo.config.optimize_ddp, False
    for name in COMPILED_METHODS:
        # On the instance, in front of the class's method: parameters keep their names and modules their types.
        setattr(model, name, torch.compile(getattr(model, name), backend=mode, fullgraph=fullgraph))
    try:
        yield
    finally:
        torch._dynamo.config.optimize_ddp = before
        for name in COMPILED_METHODS:
            delattr(model, name)
