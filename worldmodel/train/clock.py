"""How much training there is: a number of updates, or the processor time that they may take.

Processor time, of all threads of this process, and not time on the wall: a machine that is busy with something else makes a
run later, but no shorter. So runs of different models can be compared at one price.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from worldmodel.errors import ConfigError
from worldmodel.nn.across import num_ranks


class Clock:
    """Counts what updates have cost, and tells how far a run is.

    Attributes:
        spent: processor time of all updates so far, those before a resumption included [s].
    """

    def __init__(
        self,
        num_steps: int,
        max_cpu_seconds: float | None,
        spent: float = 0.0,
        processor_time: Callable[[], float] = time.process_time,
    ) -> None:
        """ConfigError for a limit in time over several processes, each of which would stop at an update of its own."""
        if max_cpu_seconds is not None and num_ranks() > 1:
            raise ConfigError(
                f"train.max_cpu_seconds is {max_cpu_seconds:g} in a run of {num_ranks()} processes; leave it out, set num_steps"
            )
        self.num_steps, self.max_cpu_seconds, self.spent = num_steps, max_cpu_seconds, spent
        self._processor_time = processor_time
        self._began = 0.0

    def start(self) -> None:
        """An update begins."""
        self._began = self._processor_time()

    def stop(self) -> None:
        """It is over."""
        self.spent += self._processor_time() - self._began

    def over(self, step: int) -> bool:
        """Whether training ends after `step` updates."""
        return step >= self.num_steps or (self.max_cpu_seconds is not None and self.spent >= self.max_cpu_seconds)

    def position(self, step: int) -> float:
        """How far the run is, in updates of num_steps, after `step` of them: schedules go by it.

        It is `step` itself without a limit in time; with one, the larger of the shares of both limits counts.
        """
        if self.max_cpu_seconds is None:
            return step
        return max(step, self.num_steps * min(self.spent / self.max_cpu_seconds, 1.0))

    def progress(self, step: int) -> tuple[int, int]:
        """Done, and in all: updates, or seconds where those will be over first."""
        if self.max_cpu_seconds is None or self.position(step) == step:
            return step, self.num_steps
        return min(int(self.spent), int(self.max_cpu_seconds)), int(self.max_cpu_seconds)
