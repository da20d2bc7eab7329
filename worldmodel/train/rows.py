"""What is told of updates: numbers for a row of the log, and a few words beside the bar."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping

NO_TERMS = ("loss", "grad_norm", "count", "skipped")
"""What is measured of an update besides the terms of its loss."""


def means(sums: Mapping[str, float]) -> dict[str, float]:
    """Running sums as a row: means over the updates that counted, and the number of those that did not."""
    count = sums.get("count", 0.0)
    names = [name for name in sums if name not in ("count", "skipped")]
    row = {f"train/{name}": sums[name] / count for name in names}
    if "skipped" in sums:
        row["train/skipped"] = sums["skipped"]
    return row


def words_of(measured: Mapping[str, float], weighted: Collection[str] | None, rates: Mapping[str, float]) -> dict[str, str]:
    """The loss of an update and its weighted terms (all where None), and the last row's rates, in some 80 characters."""
    terms = [name for name in measured if (name in weighted if weighted is not None else name not in NO_TERMS)]
    words = {"loss": f"{measured.get('loss', math.nan):.3g}"} | {name: f"{measured[name]:.2g}" for name in terms}
    if rates:
        rate = rates["train/samples_per_s"]
        words["samples/s"] = f"{rate:.0f}" if rate >= 10 else f"{rate:.2g}"
        words["waits"] = f"{100 * rates['train/data_wait_share']:.0f}%"
    return words


class Pace:
    """How fast this call of the program has come, on the wall: validations and whatever else happens count too."""

    def __init__(self, position: float, clock: Callable[[], float] = time.monotonic) -> None:
        """It begins at `position`, in updates."""
        self._first, self._clock, self._began = position, clock, clock()

    def seconds_left(self, position: float, end: float) -> float:
        """Time from a later position to the end, if it goes on like this [s]."""
        return (self._clock() - self._began) / (position - self._first) * (end - position)
