"""AdamW that decays matrices and leaves gains, biases and other vectors alone."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn


def build_adamw(
    parameters: Iterable[nn.Parameter],
    learning_rate: float,
    weight_decay: float,
    betas: tuple[float, float],
) -> torch.optim.AdamW:
    """AdamW over every parameter that wants a gradient, in two groups: two or more axes (decayed), fewer (not decayed).

    Decoupled weight decay: Loshchilov and Hutter, 2019. Decaying a gain or a bias only pulls a normalisation off its place.
    """
    trained = [p for p in parameters if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=learning_rate, betas=betas)


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Give every group the same learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
