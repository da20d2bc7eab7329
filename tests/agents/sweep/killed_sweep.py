"""A sweep that kills itself, as nothing else can, in one update of its second trial: python killed_sweep.py FILE DATA OUT."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from agents.console import Screen
from agents.sweep import command
from tests.fakes import LineWorld
from worldmodel.train.update import Update

UPDATE = 4
"""In which it dies."""
WORDS = ("train.seed=0",)
"""Which trials there are: two."""


def main(file: Path, data: Path, out: Path) -> None:
    """Never returns."""
    update, folders = Update.__call__, set()

    def dying(self: Update, window: Any, number: int, *given: Any) -> dict[str, float]:
        folders.add(self.keeper.run_dir)
        if len(folders) == 2 and number == UPDATE:
            os.kill(os.getpid(), signal.SIGKILL)
        return update(self, window, number, *given)

    Update.__call__ = dying  # type: ignore[method-assign]
    command.run(file, data, out, WORDS, lambda config, **overrides: LineWorld(**{**config.kwargs, **overrides}), Screen())


if __name__ == "__main__":
    main(*(Path(word) for word in sys.argv[1:]))
