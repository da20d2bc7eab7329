"""The weights of another run that a run began with, which stay the same when it goes on.

A run is named by its folder, in which it may have been trained again since: its weights are told apart by their digest.
"""

from __future__ import annotations

from pathlib import Path

from agents.experiment import ExperimentConfig
from worldmodel.errors import CheckpointError, MismatchError
from worldmodel.train.checkpoint import MODEL, read_manifest
from worldmodel.train.sharded_state import identity_of


def weights_now(config: ExperimentConfig) -> str | None:
    """Digest of the weights that training would begin with; None where it begins anew, or their run is no longer there."""
    if config.train.init_from is None:
        return None
    try:
        return read_manifest(Path(config.train.init_from)).checksums.get(MODEL)
    except CheckpointError:
        return None


def weights_then(run_dir: Path) -> str | None:
    """Digest of the weights that the training in a run folder began with; None where it began anew, or nothing tells."""
    return (identity_of(run_dir) or {}).get("init_from")


def require_same_beginning(config: ExperimentConfig, run_dir: Path, then: str | None = None) -> None:
    """Raise MismatchError where the run of train.init_from was trained again after the one in `run_dir` began with it.

    `then`: the digest of what that began with, where it is known from elsewhere.
    """
    now = weights_now(config)
    if now is not None and (then or weights_then(run_dir) or now) != now:
        raise MismatchError(
            f"{run_dir} began with {config.train.init_from}, which was trained again since: other weights; choose another "
            "folder, or delete it to begin anew"
        )
