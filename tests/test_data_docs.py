"""docs/data.md says what is true: its commands are understood, its map is read, its Python runs."""

from __future__ import annotations

import importlib
import re
import shlex
import sys
from pathlib import Path

import pytest

from agents import parsing
from agents.strict import load
from worldmodel.data import finalize
from worldmodel.data.importers import ImportMap

TEXT = (Path(__file__).parents[1] / "docs/data.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("line", block("bash").splitlines())
def test_commands_are_understood(line: str) -> None:
    words = shlex.split(line, comments=True)
    assert words[0] == "worldmodel"
    parsing.parse(words[1:])


def test_the_map_is_read(tmp_path: Path) -> None:
    (tmp_path / "map.yaml").write_text(block("yaml"), encoding="utf-8")
    mapping = load(ImportMap, tmp_path / "map.yaml")
    assert mapping.image_size == (64, 64) and mapping.rates.actions == "sum"


def test_the_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "path", [str(Path(__file__).parent / "worldmodel/data"), *sys.path])
    record_into = importlib.import_module("tiny_world").record_into

    finalize(record_into(tmp_path / "data/demo", range(30)))
    monkeypatch.chdir(tmp_path)
    values: dict = {}
    exec(block("python"), values)
    assert capsys.readouterr().out.startswith("30 ")
    assert values["batch"].observations["pixels"].shape == (128, 4, 8, 6, 3) and values["batch"].actions.shape == (128, 3, 2)
