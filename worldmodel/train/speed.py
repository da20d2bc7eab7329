"""How fast training goes: windows a second, the share of time that it waits for data, and of the device's rate that it uses.

Utilisation is the model's floating-point operations a second over the rate at which the same device multiplies large matrices
in the same precision, measured when training begins (PaLM, arXiv:2204.02311, appendix B, has the vendor's peak in its place).
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor, nn

from worldmodel.nn.across import alone
from worldmodel.types import Window

NUM_COUNTED = 2
"""Windows whose operations are counted: as few as statistics over a batch allow."""


class Speed:
    """A stopwatch for updates between two rows of the log.

    Attributes:
        flops_per_window: of an update; None where they are not known.
        peak: operations a second that the device is able to.
    """

    def __init__(self, batch_size: int, num_ranks: int = 1, clock: Callable[[], float] = time.monotonic) -> None:
        """`batch_size`: windows an update, of all ranks together."""
        self._batch_size, self._num_ranks, self._clock = batch_size, num_ranks, clock
        self.flops_per_window: float | None = None
        self.peak = 0.0
        self._forget()

    def start(self) -> None:
        """An update begins by waiting for its batch."""
        self._began = self._clock()

    def got(self) -> None:
        """The batch is there."""
        self._waited += self._clock() - self._began

    def stop(self) -> None:
        """The update is over."""
        self._busy += self._clock() - self._began
        self._num += 1

    def row(self) -> dict[str, float]:
        """What is told of the updates since the last row; counting begins anew."""
        rate = self._num * self._batch_size / self._busy
        found = {"train/samples_per_s": rate, "train/data_wait_share": self._waited / self._busy}
        if self.flops_per_window is not None:
            found["train/flops_utilisation"] = rate / self._num_ranks * self.flops_per_window / self.peak
        self._forget()
        return found

    def _forget(self) -> None:
        self._busy, self._waited, self._num = 0.0, 0.0, 0


def flops_of(model: nn.Module, objective: nn.Module, window: Window) -> float | None:
    """Floating-point operations an update spends on each window: matrix products, convolutions, attention; both ways.
    None for a batch of one window.

    Counted on a copy, on the CPU, with random draws that nobody misses: training goes on as if nothing had been.
    """
    from torch.utils.flop_counter import FlopCounterMode  # a second that only training has

    few = first_rows(window, NUM_COUNTED)
    if len(few.actions) < NUM_COUNTED:
        return None
    model, objective = copy.deepcopy((model, objective))
    with alone(), torch.random.fork_rng(devices=[]), FlopCounterMode(display=False) as counter:
        loss, _ = objective.cpu()(model.cpu(), few, torch.Generator().manual_seed(0))
        loss.backward()
    return counter.get_total_flops() / NUM_COUNTED


def peak_flops(device: torch.device, dtype: torch.dtype, seconds: float = 0.1) -> float:
    """Operations a second in products of large square matrices: the best of those that fit into so much time."""
    size = 4096 if device.type == "cuda" else 512
    a = torch.randn(size, size, device=device, dtype=dtype, generator=torch.Generator(device).manual_seed(0))
    best, until = 0.0, time.perf_counter() + seconds
    while best == 0.0 or time.perf_counter() < until:
        began = time.perf_counter()
        (a @ a)[0, 0].item()  # which waits for the device
        best = max(best, 2 * size**3 / (time.perf_counter() - began))
    return best


def first_rows(window: Window, num: int) -> Window:
    """The first windows of a batch."""
    values: dict[str, Any] = {}
    for name in (field.name for field in fields(window)):
        found = getattr(window, name)
        if isinstance(found, Tensor):
            values[name] = found[:num]
        elif isinstance(found, dict):
            values[name] = {key: value[:num] for key, value in found.items()}
    return replace(window, **values)
