"""docs/model.md says what is true: its settings and files are there, and its commands are understood."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from agents import parsing, strict
from agents.experiment import ExperimentConfig

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs/model.md").read_text(encoding="utf-8")
SECTION = "model", "objective", "train"


def test_every_setting_that_it_names_is_one() -> None:
    known = set(strict.dotted_keys(ExperimentConfig))
    named = set()
    for line in TEXT.splitlines():
        section = ""
        for word in re.findall(r"`([a-z_.]+)(?:=[^`]*)?`", line):
            if word.split(".")[0] in SECTION and "." in word:
                section = word.rpartition(".")[0]
                named.add(word)
            elif word.startswith(".") and section:
                named.add(section + word)
    assert len(named) >= 15 and not named - known


def test_every_file_that_it_names_is_there() -> None:
    for folder in ("presets", "sweeps"):
        files = {path.stem for path in (ROOT / "configs" / folder).glob("*.yaml")}
        assert files <= set(re.findall(r"^\| `(\w+)`", TEXT, re.MULTILINE))
    for path in re.findall(r"`?((?:configs|benchmarks)/[\w/]+\.(?:yaml|py))", TEXT):
        assert (ROOT / path).exists(), path


def test_its_commands_are_understood() -> None:
    lines = [line.strip() for line in TEXT.splitlines() if re.match(r" +worldmodel ", line)]
    assert len(lines) >= 3
    for line in lines:
        words = shlex.split(line.replace("$name", "presets"), comments=True)
        parsing.parse(words[1:])
