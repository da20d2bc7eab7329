"""Full precision within autocast: for statistics over a batch, whose differences are smaller than bfloat16's last place."""

from __future__ import annotations

import torch
from torch import Tensor


def whole_precision(x: Tensor) -> torch.autocast:
    """Within the `with`, products on the device of `x` are as precise as their factors, whatever the autocast around."""
    return torch.autocast(x.device.type, enabled=False)


def at_least_float32(x: Tensor) -> Tensor:
    """float32 of anything shorter."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
