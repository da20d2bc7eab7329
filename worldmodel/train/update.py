"""One update: learn from one batch, or leave everything as it was when a number in it is none."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from worldmodel.train.checkpoint import cpu_copy
from worldmodel.train.config import TrainConfig
from worldmodel.train.keeper import Keeper
from worldmodel.train.nonfinite import stop_on
from worldmodel.train.optimizer import set_learning_rate
from worldmodel.train.parallel import Replica, whole
from worldmodel.train.prefetch import move
from worldmodel.train.ranks import Ranks
from worldmodel.train.schedule import SCHEDULES
from worldmodel.types import Window


class Objective(Protocol):
    """What is made small. When it is a module, its own parameters are trained with the model's."""

    def __call__(self, model: Any, window: Window, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Scalar loss, and its terms for the log."""
        ...


class Update:
    """Learns from batches, one at a time."""

    def __init__(
        self, replica: Replica, optimizer: torch.optim.Optimizer, keeper: Keeper, config: TrainConfig, device: torch.device
    ) -> None:
        """`keeper`: of the generators that it draws from, and of the folder that a batch is left in when it stops on it."""
        self.replica, self.optimizer, self.keeper, self.config, self.device = replica, optimizer, keeper, config, device
        self.learner, self.ranks = replica.learner, Ranks()
        # what follows the weights, such as an EMA target: after_update(model, position, num_steps)
        self.after_update: Callable[[nn.Module, float, int], None] | None
        self.after_update = getattr(self.learner.objective, "after_update", None)

    def learning_rate(self, position: float) -> float:
        """Of the update at a position, of num_steps."""
        config = self.config
        return SCHEDULES[config.schedule](position, config.num_steps, config.learning_rate, config.warmup_fraction)

    def __call__(self, window: Window, number: int, position: float) -> dict[str, float]:
        """Loss, its terms and the gradient's norm, or {"skipped": 1} when one is no number.

        It is update `number`, which leads from `position` to the next, of num_steps: the learning rate goes by the one, what
        follows the weights by the other. Raises WorldModelError for what is no number, unless it is to be skipped.
        """
        config = self.config
        set_learning_rate(self.optimizer, self.learning_rate(position))
        buffers = [b.clone() for b in self.learner.buffers()] if config.on_nonfinite == "skip" else []
        began = self.keeper.generators()
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=config.bf16):
            loss, terms = self.replica.learn(_loss, move(window, self.device), self.keeper.generator)
        self.optimizer.zero_grad()
        loss.backward()
        most = math.inf if config.clip_norm is None else config.clip_norm
        norm = whole(nn.utils.clip_grad_norm_(self.learner.parameters(), most))
        tensors = {"loss": loss, **terms, "grad_norm": norm}
        # One transfer for all of them: each one waits for the device. Over several processes, all see the same numbers.
        values = self.ranks.mean(torch.stack([value.detach().float() for value in tensors.values()])).tolist()
        measured = dict(zip(tensors, values, strict=True))
        if math.isfinite(measured["loss"]) and math.isfinite(measured["grad_norm"]):
            self.optimizer.step()
            if self.after_update is not None:
                self.after_update(self.learner.model, position + 1, config.num_steps)
            return measured | {"count": 1.0}
        if config.on_nonfinite == "stop":
            state = {name: cpu_copy(whole(value)) for name, value in self.learner.state_dict().items()}
            state |= {f"generator.{name}": value for name, value in began.items()}
            raise stop_on(self.ranks.gather(window), number, measured, self.keeper.run_dir, self.ranks.first, state)
        # The forward pass has already put the batch into running statistics.
        for buffer, before in zip(self.learner.buffers(), buffers, strict=True):
            buffer.copy_(before)
        return {"skipped": 1.0}


def _loss(
    model: nn.Module, objective: Objective, window: Window, generator: torch.Generator
) -> tuple[Tensor, dict[str, Tensor]]:
    """What a learner is asked for."""
    return objective(model, window, generator)
