"""EMA target: predictions aim at what a slowly following copy of the encoder says, which no gradient reaches.

    target <- m * target + (1 - m) * encoder        after each update

BYOL (Grill et al., NeurIPS 2020, section 3.1); the decay m rises towards 1 as in I-JEPA and V-JEPA. The copy is a module
among the objective's: it is saved and resumed with it, and the optimiser leaves it alone, since it wants no gradient.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from worldmodel.checks import require_share
from worldmodel.encoders.sensors import SensorTokens
from worldmodel.types import Observation


@dataclass(frozen=True)
class EMAConfig:
    """How slowly the target follows."""

    decay: float = 0.996
    """m at the first update."""
    final_decay: float = 1.0
    """m at the last one."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How m gets from the first to the last; constant stays at `decay`."""

    def __post_init__(self) -> None:
        """Raise ConfigError for a decay that is no share."""
        require_share(self, "decay", "final_decay")

    def at(self, step: float, num_steps: int) -> float:
        """m after update `step` (1 ... num_steps)."""
        if self.schedule == "constant":
            return self.decay
        done = min((step - 1) / max(num_steps - 1, 1), 1.0)
        if self.schedule == "cosine":
            done = (1 - math.cos(math.pi * done)) / 2
        return self.decay + (self.final_decay - self.decay) * done


class EMATarget(nn.Module):
    """The copy. It normalises by its own batch, or its own running statistics, as the encoder does.

    It sees every sensor, also those that sensor_dropout hides from the encoder: what is aimed at holds no chance.
    """

    def __init__(self, config: EMAConfig, encoder: nn.Module) -> None:
        super().__init__()
        self.config = config
        self.encoder = copy.deepcopy(encoder).requires_grad_(False)
        for module in self.encoder.modules():
            if isinstance(module, SensorTokens):
                module.hides = False

    @torch.no_grad()
    def forward(self, obs: Observation) -> Tensor:
        """Target latents (B, T, K, D)."""
        return self.encoder(obs)

    @torch.no_grad()
    def follow(self, encoder: nn.Module, step: float, num_steps: int) -> None:
        """Take one step towards `encoder` after update `step` of `num_steps`. Buffers are left to the copy itself."""
        decay = self.config.at(step, num_steps)
        theirs = dict(encoder.named_parameters())
        for name, own in self.encoder.named_parameters():
            own.lerp_(theirs[name], 1 - decay)
