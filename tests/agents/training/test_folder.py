"""A run's folder is nobody else's, and one training at a time writes there."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agents.training.folder import LOCK, held, require_free
from worldmodel.errors import ConfigError, DataError

HOLDER = """
import sys, time
from pathlib import Path
from agents.training.folder import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def with_files(folder: Path, *names: str) -> Path:
    """The folder, with these files in it."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    return folder


@pytest.mark.parametrize("name", ["manifest.json", "metrics.jsonl", "config.yaml", "training/state.safetensors", str(LOCK)])
def test_a_new_folder_an_empty_one_and_that_of_an_earlier_run_are_free(tmp_path: Path, name: str) -> None:
    require_free(tmp_path / "new")
    require_free(tmp_path)
    require_free(with_files(tmp_path, name, "thesis.txt"))


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["meta/info.json"], "holds a dataset; choose another folder"),
        (["meta/info.json", "config.yaml"], "holds a dataset; choose another folder"),
        (["thesis.txt"], "holds other files (thesis.txt); choose an empty folder"),
        (["d", "c", "b", "a"], "holds other files (a, b, c, ...)"),
        (["training/notes.txt"], "holds other files (training)"),
    ],
)
def test_what_is_used_for_something_else_is_refused(tmp_path: Path, names: list[str], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        require_free(with_files(tmp_path, *names))
    assert str(caught.value).startswith(f"{tmp_path} {told}") and "\n" not in str(caught.value)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tiny\.yaml is a file; expected a folder"):
        require_free(with_files(tmp_path, "tiny.yaml") / "tiny.yaml")


def test_a_second_training_is_refused_at_once_and_welcome_afterwards(tmp_path: Path) -> None:
    told = f"{tmp_path} is in use: another process trains there"
    with held(tmp_path), pytest.raises(DataError, match=told), held(tmp_path):
        pass
    with held(tmp_path):
        pass


def test_whoever_was_killed_holds_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None and child.stdout.readline() == "held\n"
        with pytest.raises(DataError, match="in use"), held(tmp_path):
            pass
        child.send_signal(signal.SIGKILL)
    assert (tmp_path / LOCK).exists()
    with held(tmp_path):
        pass


def test_a_folder_in_which_nothing_was_left_is_gone(tmp_path: Path) -> None:
    with held(tmp_path / "run"):
        assert (tmp_path / "run" / LOCK).exists()
    assert list(tmp_path.iterdir()) == []
    with held(tmp_path / "run"):
        with_files(tmp_path / "run", "metrics.jsonl")
    assert (tmp_path / "run" / "metrics.jsonl").exists()
    (tmp_path / "empty").mkdir()
    with held(tmp_path / "empty"):
        pass
    assert (tmp_path / "empty").is_dir()
