"""The folder of a run: nobody uses it for something else, and one training at a time writes there.

require_free(run_dir)
with held(run_dir):
    ...
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from worldmodel.data.format.features import INFO
from worldmodel.data.format.locks import lock
from worldmodel.errors import ConfigError
from worldmodel.train.checkpoint import MANIFEST
from worldmodel.train.logging import METRICS
from worldmodel.train.sharded_state import has_state

LOCK = Path("training") / ".lock"
"""Held by the training that writes into the folder."""
SIGNS = (MANIFEST, METRICS, "config.yaml", str(LOCK))
"""Files by which the folder of an earlier run is known, besides a training state."""


def require_free(run_dir: Path, besides: Collection[str] = ()) -> None:
    """Raise ConfigError unless a run can be in this folder: there is none yet, it is empty, or an earlier run is in it.

    What has a name of `besides` may be in it too.
    """
    if run_dir.exists() and not run_dir.is_dir():
        raise ConfigError(f"{run_dir} is a file; expected a folder for the run")
    if (run_dir / INFO).exists():
        raise ConfigError(f"{run_dir} holds a dataset; choose another folder for the run")
    if run_dir.is_dir() and not has_state(run_dir) and not any((run_dir / name).exists() for name in SIGNS):
        others = sorted(path.name for path in run_dir.iterdir() if path.name not in besides)
        if others:
            named = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
            raise ConfigError(f"{run_dir} holds other files ({named}); choose an empty folder for the run")


@contextmanager
def held(run_dir: Path) -> Iterator[None]:
    """Within the `with`, no other training writes into the folder. DataError at once when another one does.

    A folder that was made for this, and in which nothing was left, is gone afterwards.
    """
    busy = f"{run_dir} is in use: another process trains there; wait until it has finished, or choose another folder"
    made = not run_dir.exists()
    with lock(run_dir / LOCK, exclusive=True, wait=0.0, busy=busy):
        try:
            yield
        finally:
            if made and [path.relative_to(run_dir) for path in run_dir.rglob("*")] == [LOCK.parent, LOCK]:
                (run_dir / LOCK).unlink()
                (run_dir / LOCK.parent).rmdir()
                run_dir.rmdir()
