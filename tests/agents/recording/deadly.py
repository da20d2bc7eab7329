"""A world that kills whoever records it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np

from tests.fakes import LineWorld


class Deadly(LineWorld):
    """Takes its process with it at this step, and so many processes in all; each death leaves a file in the folder."""

    def __init__(self, deaths: int, at: int, folder: Path) -> None:
        super().__init__()
        self.deaths, self.at, self.folder, self.steps = deaths, at, folder, 0

    def step(self, action: np.ndarray):
        self.steps += 1
        if self.steps == self.at and any(self._takes(death) for death in range(self.deaths)):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().step(action)

    def _takes(self, death: int) -> bool:
        """Whether this process dies that death: two that come to it at the same moment must not both."""
        try:
            (self.folder / f"death-{death}").touch(exist_ok=False)
        except FileExistsError:
            return False
        return True
