"""Where a planner's first candidates come from, when not from thin air: actions that were recorded.

A blind draw rarely touches an object; a recorded action often does, so that few candidates are enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from worldmodel.errors import ConfigError
from worldmodel.types import Latent


class Proposals(Protocol):
    """Gives candidates for what is seen now."""

    def __call__(self, context: Latent, num: int, horizon: int, generators: Sequence[torch.Generator]) -> Tensor:
        """At most `num` action sequences, (B, <= num, horizon, A), from context (B, T, K, D)."""
        ...


class RecordedActions:
    """Draws from a bank (M, A) of recorded actions, without replacement within a step of the horizon.

    A bank smaller than what is asked gives all that it has, and the planner samples the rest.
    """

    def __init__(self, bank: Tensor) -> None:
        if bank.ndim != 2 or len(bank) == 0:
            raise ConfigError(f"a bank of recorded actions has shape {tuple(bank.shape)}; expected (M, A) with M > 0")
        self.bank = bank.to(torch.float32)

    def __call__(self, context: Latent, num: int, horizon: int, generators: Sequence[torch.Generator]) -> Tensor:
        """(B, min(num, M), horizon, A)."""
        size, num = len(self.bank), min(num, len(self.bank))
        index = torch.stack(
            [torch.stack([torch.randperm(size, generator=g)[:num] for _ in range(horizon)], dim=1) for g in generators]
        )  # (B, num, horizon)
        return self.bank.to(context.device)[index.to(context.device)]
