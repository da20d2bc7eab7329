"""A lock is held by one, also when its file is deleted by whoever held it before."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from worldmodel.data.format.locks import lock
from worldmodel.errors import DataError


def test_alone_or_together(tmp_path: Path):
    path = tmp_path / "new/.lock"
    shared = {"exclusive": False, "wait": 0.0, "busy": "busy"}
    with lock(path, **shared), lock(path, **shared), pytest.raises(DataError, match="busy"):
        lock(path, exclusive=True, wait=0.05, busy="busy").__enter__()
    with lock(path, exclusive=True, wait=0.0, busy="busy"):
        pass


def test_a_lock_whose_file_was_deleted_protects_nothing_and_is_not_taken(tmp_path: Path):
    path, waited = tmp_path / ".lock", threading.Event()
    taken = []

    def wait() -> None:
        with lock(path, exclusive=True, wait=10.0, busy="busy", waiting=waited.set):
            taken.append(path.stat().st_ino)
            with pytest.raises(DataError, match="busy"), lock(path, exclusive=True, wait=0.0, busy="busy"):
                pass

    thread = threading.Thread(target=wait)
    with lock(path, exclusive=True, wait=0.0, busy="busy"):
        thread.start()
        assert waited.wait(10)
        path.unlink()
    thread.join()
    assert len(taken) == 1


def test_no_folder_can_be_made_there(tmp_path: Path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match=r"cannot write .*choose a folder that can be written"):
        lock(tmp_path / "file/.lock", exclusive=True, wait=0.0, busy="busy").__enter__()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="no folder that takes no folders")
def test_a_folder_that_cannot_be_made_is_not_waited_for():
    path = Path("/proc/nowhere/.lock")
    with pytest.raises(DataError, match=f"cannot write {path}; choose a folder"):
        lock(path, exclusive=True, wait=3600.0, busy="busy").__enter__()
