"""A file that is written is whole or as it was, whoever writes it, and the failure is worded by its package."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from worldmodel.atomic import replace_file
from worldmodel.data.format.files import publish
from worldmodel.errors import CheckpointError, DataError
from worldmodel.train.files import write_atomic

WRITERS = pytest.mark.parametrize(("write", "error"), [(publish, DataError), (write_atomic, CheckpointError)])


@WRITERS
def test_a_file_is_replaced_and_nothing_else_stays(write, error, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    for content in (b"old", b"new"):
        write(path, content)
        assert path.read_bytes() == content
    assert [p.name for p in path.parent.iterdir()] == ["file"]


@WRITERS
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file_alone(write, error, call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "file"
    write(path, b"old")
    monkeypatch.setattr(os, call, full)
    with pytest.raises(error, match=r"cannot write .*file: .*No space left.*; free space or choose another folder"):
        write(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_the_content_is_on_the_disk_before_the_name_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, name=name, real=real: (order.append(name), real(*a))[1])

    def fill(part: Path) -> None:
        part.write_text("x")

    replace_file(tmp_path / "file", tmp_path / "part", fill)
    assert order == ["fsync", "replace", "fsync"]
    assert (tmp_path / "file").read_text() == "x"
