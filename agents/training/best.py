"""The best model of a training for W&B: kept at each validation with the lowest loss so far, sent every few minutes at most.

It lies in RUN/training/best, without heads: one to begin from (train.init_from). The last model is the run's own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from worldmodel.train.checkpoint import MANIFEST, read_manifest
from worldmodel.train.logging import Logger, best_so_far
from worldmodel.train.manifest import Manifest

BEST = Path("training") / "best"
"""Folder of it, in that of the run."""
SEND_EVERY = 300.0
"""Least time between two that are sent [s]; what is the best at the end is sent then."""


class Best:
    """Told after each validation, whose row is in the log."""

    def __init__(
        self,
        run_dir: Path,
        save: Callable[[Path, int], Manifest],
        logger: Logger,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`save` writes the model as it is after so many updates into a folder."""
        self._run_dir, self._save, self._logger, self._clock = run_dir, save, logger, clock
        # what an earlier call of the program has kept may not be sent; twice the same is no new version to W&B
        self._sent, self._waiting = clock(), (run_dir / BEST / MANIFEST).exists()

    def __call__(self, step: int) -> None:
        """Keep the model when it is the best so far, and send the best when it is time."""
        if best_so_far(self._run_dir):
            self._save(self._run_dir / BEST, step)
            self._waiting = True
        if self._waiting and self._clock() - self._sent >= SEND_EVERY:
            self._send()

    def finish(self) -> None:
        """Send the best, unless it is the last one, which is published as both."""
        if self._waiting and not best_so_far(self._run_dir):
            self._send()

    def _send(self) -> None:
        folder = self._run_dir / BEST
        self._logger.publish_model(folder, [MANIFEST, *read_manifest(folder).checksums], ("best",))
        self._sent, self._waiting = self._clock(), False
