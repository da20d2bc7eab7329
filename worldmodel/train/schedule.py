"""Learning rate as a pure function of the step: nothing to save, nothing to restore."""

from __future__ import annotations

import math


def one_cycle(
    step: float,
    num_steps: int,
    peak: float,
    warmup_fraction: float,
    start_divisor: float = 25.0,
    end_divisor: float = 1e4,
) -> float:
    """Learning rate of update `step` (0-based): cosine up to `peak`, then cosine down to almost nothing.

    Starts at peak / start_divisor and ends at peak / start_divisor / end_divisor, as torch's OneCycleLR with
    anneal_strategy="cos" does (Smith and Topin, 2017, "Super-convergence"). A warm-up of one step or less starts at the peak.
    """
    start, end = peak / start_divisor, peak / start_divisor / end_divisor
    top = max(warmup_fraction * num_steps - 1, 0.0)
    if step < top:
        return _cosine(start, peak, step / top)
    return _cosine(peak, end, min((step - top) / max(num_steps - 1 - top, 1e-9), 1.0))


def constant(step: float, num_steps: int, peak: float, warmup_fraction: float) -> float:
    """Learning rate of update `step` (0-based): linear up over the warm-up, then `peak` for ever."""
    return peak * min((step + 1) / max(warmup_fraction * num_steps, 1.0), 1.0)


SCHEDULES = {"one_cycle": one_cycle, "constant": constant}
"""Name in a configuration -> learning rate of (step, num_steps, peak, warmup_fraction)."""


def _cosine(begin: float, end: float, share: float) -> float:
    """Half a cosine from `begin` to `end`."""
    return end + (begin - end) * (1 + math.cos(math.pi * share)) / 2
