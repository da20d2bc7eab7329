"""Signals as a flag: what is noted, how it is left, and what is put back."""

from __future__ import annotations

import signal
import threading

import pytest

from worldmodel.train.interrupt import HANGUP, Interrupts

SIGNALS = [number for number in (signal.SIGTERM, HANGUP) if number is not None]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_noted_and_left_by_the_code_that_the_shell_knows(number: int) -> None:
    before = signal.getsignal(number)
    with Interrupts() as interrupts:
        assert interrupts.signal is None
        interrupts.leave("nothing has happened")
        signal.raise_signal(number)
        assert interrupts.signal == number
        assert signal.getsignal(number) == before  # a second one has its usual effect
        with pytest.raises(SystemExit) as left:
            interrupts.leave("it was told to")
        assert left.value.code == 128 + number
    assert signal.getsignal(number) == before


def test_ctrl_c_is_left_as_one() -> None:
    with Interrupts() as interrupts:
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt, match="run it again"):
            interrupts.leave("run it again")


@pytest.mark.skipif(HANGUP is None, reason="this system closes no terminals")
def test_a_hang_up_that_is_ignored_stays_so() -> None:
    """As under nohup."""
    assert HANGUP is not None
    before = signal.signal(HANGUP, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts:
            signal.raise_signal(HANGUP)
            assert interrupts.signal is None
            assert signal.getsignal(HANGUP) == signal.SIG_IGN
    finally:
        signal.signal(HANGUP, before)


def test_elsewhere_than_on_the_main_thread_nothing_is_touched() -> None:
    before, seen = signal.getsignal(signal.SIGTERM), []

    def look() -> None:
        with Interrupts():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [before]
