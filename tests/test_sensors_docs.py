"""docs/sensors.md says what is true: its settings, agents and numbers are there, and its commands are understood."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import get_args, get_type_hints

from agents import parsing, strict
from agents.experiment import ExperimentConfig, load_experiment
from worldmodel.diagnostics import ALARMS
from worldmodel.encoders.config import SIZES, EncoderConfig, Modality, TokensConfig

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs/sensors.md").read_text(encoding="utf-8")


def rows(heading: str) -> dict[str, list[str]]:
    """The table behind a heading: what stands in the first column -> the row's cells."""
    table = TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    cells = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| `")]
    return {re.findall(r"`(\w+)`", row[0])[0]: row for row in cells}


def test_every_setting_that_it_names_is_one() -> None:
    known = set(strict.dotted_keys(ExperimentConfig))
    named, section = set(), ""
    for word in re.findall(r"`([a-z_.]+)(?:=[^`]*)?`", TEXT):
        if word.startswith(("model.encoder.", "model.sensors", "train.", "data.")):
            section = word.rpartition(".")[0]
            named.add(word)
        elif word.startswith("."):
            named.add(section + word)
    assert len(named) >= 20 and not named - known


def test_its_lists_are_whole() -> None:
    assert set(rows("From a sensor to tokens")) == set(get_args(Modality))
    told, encoder, tokens = set(re.findall(r"`(\w+)`", TEXT)), get_type_hints(EncoderConfig), get_type_hints(TokensConfig)
    for choice in (encoder["kind"], encoder["output"], tokens["instruction"]):
        assert set(get_args(choice)) <= told
    assert set(SIZES) <= told and ", ".join(str(width) for width, _, _ in SIZES.values()) in TEXT


def test_its_alarms_are_those_that_are_raised() -> None:
    told = {name: row[-1] for name, row in rows("Whether it has learned anything").items()}
    assert told == {alarm.name: f"{'>' if alarm.too_high else '<'} {alarm.threshold:g}" for alarm in ALARMS}


def test_the_shipped_models_numbers_are_those_that_were_measured() -> None:
    measured = json.loads((ROOT / "checkpoints/table-clear/diagnostics.json").read_text(encoding="utf-8"))["measures"]
    told = re.findall(r"`(\w+)` (\d\.\d\d)", TEXT.split("The shipped model")[1])
    assert len(told) == 7 and dict(told) == {name: f"{measured[name]:.2f}" for name, _ in told}


def test_its_commands_are_understood() -> None:
    lines = re.findall(r"^    (worldmodel .*)$", TEXT.replace("\\\n", ""), re.MULTILINE)
    assert len(lines) == 3
    for line in lines:
        words = shlex.split(line)
        parsing.parse(words[1:])
        settings = [word for word in words if re.match(r"[a-z_.]+=", word)]
        load_experiment(ROOT / "configs" / "tiny.yaml", settings)
