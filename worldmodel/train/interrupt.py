"""Ctrl-C, SIGTERM and a closed terminal as a flag, so that a loop can put its things away before it leaves."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

HANGUP: int | None = getattr(signal, "SIGHUP", None)
"""What a process hears when its terminal closes; Windows has none."""


class Interrupts:
    """Notes the first of SIGNALS instead of dying of it; a second one has its usual effect.

    Signals only reach the main thread: anywhere else this does nothing. A hang-up that is ignored (nohup) stays so.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM, *((HANGUP,) if HANGUP is not None else ()))

    def __init__(self) -> None:
        self.signal: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            noted = [n for n in self.SIGNALS if n != HANGUP or signal.getsignal(n) != signal.SIG_IGN]
            self._previous = {number: signal.signal(number, self._note) for number in noted}
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def leave(self, message: str) -> None:
        """Go the way the signal asked for: KeyboardInterrupt, or SystemExit with the shell's 128 + number."""
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt(message)
        if self.signal is not None:
            raise SystemExit(128 + self.signal)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}
