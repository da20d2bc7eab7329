"""Ctrl-C reaches every process of a terminal; those that work for another one leave it to that one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

STARTED = """
import multiprocessing, signal, sys
from {module} import _sigint_held

def child():
    sys.exit(0 if signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []) else 1)

if __name__ == "__main__":
    process = multiprocessing.get_context("spawn").Process(target=child)
    with _sigint_held():
        process.start()
    process.join()
    sys.exit(process.exitcode)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals cannot be held back there")
@pytest.mark.parametrize("module", ["agents.recording.processes", "envs.vector.pool"])
def test_the_first_process_that_is_started_begins_without_it(module: str, tmp_path: Path) -> None:
    """The first one also starts multiprocessing's resource tracker, which unblocks the signal."""
    script = tmp_path / "started.py"
    script.write_text(STARTED.format(module=module))
    done = subprocess.run([sys.executable, str(script)], cwd=Path(__file__).parents[1], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
