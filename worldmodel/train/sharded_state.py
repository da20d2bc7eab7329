"""The state to resume from, written by several processes at once and read by any number of them.

torch.distributed.checkpoint, in safetensors files: every process writes the shards that it holds, and what all of them hold is
written once. training/sharded.json names the folder of the files, with a checksum of each, and is replaced when all of them are
on the disk: a kill at any moment leaves the previous state or the new one. Nothing is pickled.
"""

from __future__ import annotations

import json
import shutil
import uuid
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from worldmodel.atomic import sync
from worldmodel.errors import CheckpointError
from worldmodel.train.files import dump_json, sha256, write_atomic
from worldmodel.train.ranks import Ranks
from worldmodel.train.state import STATE, TrainingState, header, load_state, read_header, save_state

SHARDED = Path("training") / "sharded.json"
"""Names the folder beside it that holds the tensors."""


def keep_state(run_dir: Path, state: TrainingState, ranks: Ranks) -> None:
    """Replace the state of a run folder: one file of one process, or a folder that all of them write.

    Raises CheckpointError when the folder cannot be written or the disk is full.
    """
    if ranks.world_size == 1:
        save_state(run_dir, state)
        _forget(run_dir, None)
        return
    # imported here and below, since it takes a second that a run of one process does not need
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
    from torch.distributed.checkpoint.state_dict_saver import save

    name = ranks.same(f"step-{state.step}-{uuid.uuid4().hex[:8]}")  # never that of a folder which is in use
    folder = run_dir / SHARDED.parent / name
    try:
        save(state.tensors, storage_writer=HuggingFaceStorageWriter(str(folder), save_distributed=True))
        ranks.wait()
        if ranks.first:
            checksums = {}
            for file in sorted(folder.iterdir()):
                sync(file)
                checksums[file.name] = sha256(file.read_bytes())
            sync(folder)
            write_atomic(run_dir / SHARDED, dump_json(header(state) | {"folder": name, "checksums": checksums}).encode())
            (run_dir / STATE).unlink(missing_ok=True)
            _forget(run_dir, name)
    except (OSError, CheckpointException) as error:
        why = " ".join(str(error).split())
        raise CheckpointError(f"cannot write {folder}: {why}; free space or choose another folder") from error


def find_state(run_dir: Path) -> TrainingState | None:
    """The state of a run folder, whoever wrote it; None when there is none. CheckpointError when it is damaged."""
    whole, sharded = load_state(run_dir), _load_sharded(run_dir)
    if whole is None or sharded is None:
        return whole or sharded
    return whole if whole.step >= sharded.step else sharded  # a kill came before the older one was removed


def identity_of(run_dir: Path) -> dict[str, Any] | None:
    """The identity of the state that `find_state` would find, without its tensors; None when there is none.

    Raises CheckpointError when it is damaged.
    """
    found = [each for each in (read_header(run_dir), _read_facts(run_dir / SHARDED)) if each is not None]
    try:
        return max(found, key=lambda each: each["step"])["identity"] if found else None
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"the state in {run_dir} is damaged ({error}); delete it to train anew") from None


def has_state(run_dir: Path) -> bool:
    """Whether there is one."""
    return (run_dir / STATE).exists() or (run_dir / SHARDED).exists()


def _load_sharded(run_dir: Path) -> TrainingState | None:
    """The state that several processes wrote, its tensors whole."""
    path = run_dir / SHARDED
    anew = f"delete {path.parent} to train anew"
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        folder, checksums = path.parent / facts.pop("folder"), facts.pop("checksums")
        for name, checksum in checksums.items():
            if sha256((folder / name).read_bytes()) != checksum:
                raise CheckpointError(f"{folder / name} is damaged: its checksum is not the one in {path.name}; {anew}")
        return TrainingState(tensors=_read(folder), **facts)
    except FileNotFoundError as error:
        if error.filename == str(path):
            return None
        raise CheckpointError(f"{error.filename} is missing, though {path} names it; {anew}") from None
    except (KeyError, TypeError, SafetensorError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path} is damaged ({error}); {anew}") from None


def _read_facts(path: Path) -> dict[str, Any] | None:
    """What sharded.json says; None when there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged ({error}); delete {path.parent} to train anew") from None


def _read(folder: Path) -> dict[str, Tensor]:
    """Every tensor in a folder, put together from its shards, on the CPU."""
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    from torch.distributed.checkpoint.state_dict_loader import load

    reader = HuggingFaceStorageReader(str(folder))
    tensors: dict[str, Tensor] = {
        name: torch.empty(found.size, dtype=found.properties.dtype)  # type: ignore[union-attr]
        for name, found in reader.read_metadata().state_dict_metadata.items()
    }
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")  # as it is told
        load(tensors, storage_reader=reader, no_dist=True)
    return tensors


def _forget(run_dir: Path, but: str | None) -> None:
    """Remove the folders of states, all `but` one."""
    if but is None:
        (run_dir / SHARDED).unlink(missing_ok=True)
    for folder in (run_dir / SHARDED.parent).glob("step-*"):
        if folder.name != but:
            shutil.rmtree(folder, ignore_errors=True)
