"""The doctor finds what is there, and says what to do about what is not."""

from __future__ import annotations

import io
import sys

import pytest

from agents import doctor
from agents.console import Screen
from worldmodel.errors import WorldModelError


def test_this_machine_is_ready() -> None:
    checks = {check.name: check for check in doctor.examine()}
    assert set(checks) == {"python", "torch", "gl", "video", "wandb", "disk"}
    unwell = [check for check in checks.values() if not check.ok and check.name != "disk"]
    assert not unwell
    assert "64 px frame" in checks["gl"].detail
    assert "three frames" in checks["video"].detail


def test_one_illness_does_not_hide_the_others() -> None:
    def broken() -> str:
        raise WorldModelError("no OpenGL; install it")

    def surprising() -> str:
        raise RuntimeError("driver\nfell over")

    found = doctor.examine({"a": broken, "b": surprising, "c": lambda: "fine"})
    assert found == [
        doctor.Check("a", False, "no OpenGL; install it"),
        doctor.Check("b", False, "RuntimeError: driver fell over"),
        doctor.Check("c", True, "fine"),
    ]
    file = io.StringIO()
    assert doctor.show(found, Screen(file)) == 2
    assert [line.split()[:2] for line in file.getvalue().splitlines()] == [["a", "NOT"], ["b", "NOT"], ["c", "ok"]]
    assert doctor.show(found[2:], Screen(file)) == 0


def test_a_missing_package_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(WorldModelError, match="pip install wandb"):
        doctor.check_wandb()


def test_a_full_disk_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "MIN_FREE_GB", 1e9)
    with pytest.raises(WorldModelError, match="make room"):
        doctor.check_disk()
