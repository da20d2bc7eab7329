"""What a state says of itself without its tensors, whoever wrote it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from worldmodel.errors import CheckpointError
from worldmodel.train.sharded_state import SHARDED, identity_of
from worldmodel.train.state import STATE, TrainingState, save_state


def saved(run_dir: Path, step: int, **identity: object) -> None:
    save_state(run_dir, TrainingState(step, "{}", {}, identity, {"model.weight": torch.ones(3)}))


def sharded(run_dir: Path, step: int, **identity: object) -> None:
    (run_dir / SHARDED).parent.mkdir(exist_ok=True)
    (run_dir / SHARDED).write_text(json.dumps({"step": step, "identity": identity, "folder": "none", "checksums": {}}))


def test_the_identity_is_that_of_the_newest_state(tmp_path: Path) -> None:
    assert identity_of(tmp_path) is None
    saved(tmp_path, 3, by="one")
    assert identity_of(tmp_path) == {"by": "one"}
    sharded(tmp_path, 2, by="several")
    assert identity_of(tmp_path) == {"by": "one"}
    sharded(tmp_path, 4, by="several")
    assert identity_of(tmp_path) == {"by": "several"}
    (tmp_path / STATE).unlink()
    assert identity_of(tmp_path) == {"by": "several"}


@pytest.mark.parametrize("content", [b"", b"\xff" * 40, (2).to_bytes(8, "little") + b"{}", b"\x05\0\0\0\0\0\0\0[1,2]"])
def test_a_damaged_state_is_one_line(tmp_path: Path, content: bytes) -> None:
    saved(tmp_path, 3)
    (tmp_path / STATE).write_bytes(content)
    with pytest.raises(CheckpointError, match=r"state\.safetensors is damaged .*; delete it to train anew$"):
        identity_of(tmp_path)


def test_a_damaged_list_of_shards_is_one_line(tmp_path: Path) -> None:
    for content in ("", "[]", '{"step": 3}'):
        (tmp_path / SHARDED).parent.mkdir(exist_ok=True)
        (tmp_path / SHARDED).write_text(content)
        with pytest.raises(CheckpointError, match="damaged"):
            identity_of(tmp_path)
