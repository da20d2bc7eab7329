"""A place that cannot be written is told by its flag; one that can be is left as it was."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest

from agents.outputs import require_file, require_folder
from worldmodel.errors import ConfigError


def test_places_that_will_do_are_left_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.json").write_text("old")
    for path in (Path("old.json"), tmp_path / "Bücher" / "new" / "a b.json", Path("new/../scores.json"), Path("scores.json")):
        require_file("--json", path)
    for folder in (tmp_path, Path("a/b/c"), Path("..")):
        require_folder("--out", folder)
    assert [path.name for path in tmp_path.iterdir()] == ["old.json"] and (tmp_path / "old.json").read_text() == "old"


def test_places_that_will_not_do_are_told_by_their_flag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"^--json: .* is a folder; expected a file, such as .*/NAME$"):
        require_file("--json", tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match=r"^--json: .*/pipe is no file; expected one, which is replaced as a whole$"):
        require_file("--json", tmp_path / "pipe")
    with pytest.raises(ConfigError, match=r"^--video: .*/file is a file; expected a folder$"):
        require_file("--video", tmp_path / "file" / "x" / "a.mp4")
    with pytest.raises(ConfigError, match=r"^--out: .*/file is a file; expected a folder$"):
        require_folder("--out", tmp_path / "file")

    def read_only(dir: Path) -> None:
        assert dir == tmp_path  # the first folder that is there
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", read_only)
    with pytest.raises(ConfigError, match=r"^--out: cannot write .* \(Read-only file system\); choose another place$"):
        require_folder("--out", tmp_path / "a" / "b")
