"""What docs/python.md says is so: its examples run, one after the other, and leave what they say they leave."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from agents import cli

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "configs").mkdir()
    shutil.copy(ROOT / "configs" / "tiny.yaml", tmp_path / "configs")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["record", "--config", "configs/tiny.yaml", "--out", "data/tiny"]) == 0
    values: dict = {"__name__": "docs"}
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert len(blocks) == 6
    for number, block in enumerate(blocks):
        exec(compile(block, f"docs/python.md, block {number}", "exec"), values)

    window = values["recordings"].batches(3, 8, seed=0).next()
    assert window.observations["pixels"].dtype == torch.uint8 and window.actions.shape == (8, 2, 4)
    assert values["found"].scores.keys() == {"mine", "random", "expert"}
    assert len(values["latents"]) == len(values["position"]) > 50 and np.isfinite(values["weights"]).all()
    others = values["episode"][~values["held_out"]][values["nearest"]]
    assert not set(others) & set(values["episode"][values["held_out"]])
    assert len(values["report"].predicted) == 3


def test_a_run_that_a_loop_of_ones_own_left_is_one_to_every_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "configs").mkdir()
    shutil.copy(ROOT / "configs" / "tiny.yaml", tmp_path / "configs")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["record", "--config", "configs/tiny.yaml", "--out", "data/tiny"]) == 0
    values: dict = {}
    for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)[:2]:
        exec(block, values)
    assert cli.main(["evaluate", "--run", "runs/mine", "--episodes", "1", "cost.name=goal"]) == 0
    assert cli.main(["inspect", "runs/mine"]) == 0


def test_every_link_leads_somewhere() -> None:
    links = [link for link in re.findall(r"\]\((.*?)\)", TEXT) if "://" not in link]
    assert links and all((ROOT / "docs" / link).exists() for link in links)
