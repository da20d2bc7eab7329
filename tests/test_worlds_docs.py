"""What docs/worlds.md says is so: its commands parse, its configuration loads, and the files that it links are there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import yaml

from agents import parsing, strict
from agents.experiment import ExperimentConfig

ROOT = Path(__file__).parents[1]
DOCS = (ROOT / "docs" / "worlds.md").read_text(encoding="utf-8")


def test_every_command_parses() -> None:
    lines = re.findall(r"^worldmodel (.*)$", DOCS, re.MULTILINE)
    assert [type(parsing.parse(shlex.split(line))).__name__ for line in lines] == ["Record", "Train", "Evaluate", "Inspect"]


def test_the_configuration_is_one_and_the_file_of_its_world() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", DOCS, re.DOTALL)
    config = strict.build(ExperimentConfig, yaml.safe_load(block), source="docs/worlds.md")
    assert config.env == strict.load(ExperimentConfig, ROOT / "configs" / "worlds" / "pendulum.yaml").env


def test_every_link_leads_somewhere() -> None:
    links = [link for link in re.findall(r"\]\((.*?)\)", DOCS) if "://" not in link]
    assert len(links) == 4 and all((ROOT / "docs" / link).exists() for link in links)
