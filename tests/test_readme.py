"""What the README says is so: its Python runs, its commands parse, and the files of its tree are there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from agents import cli, parsing

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_block_runs_on_a_tiny_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny = str(ROOT / "configs" / "tiny.yaml")
    assert cli.main(["record", "--config", tiny, "--out", str(tmp_path / "data"), "--episodes", "20"]) == 0
    assert cli.main(["train", "--config", tiny, "--data", str(tmp_path / "data"), "--out", str(tmp_path / "run")]) == 0
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    program = block.replace("checkpoints/table-clear", str(tmp_path / "run"))
    assert program != block
    exec(compile(program, "README.md", "exec"), {})
    assert re.search(r"\d of 2 objects in the bin", capsys.readouterr().out)


def test_every_file_of_the_tree_is_there() -> None:
    tree = next(block for block in re.findall(r"```\n(.*?)```", README, re.DOTALL) if "envs/" in block)
    room, missing = "", []
    for line in tree.splitlines():
        names = re.split(r"  +", line.strip())[0].split()
        for name in names:
            if not line.startswith(" "):
                room = name
            elif not (ROOT / room / name).exists():
                missing.append(f"{room}{name}")
    assert room and not missing


def test_every_command_of_the_manual_parses() -> None:
    lines = re.findall(r"^ +worldmodel (\w+ .*?|doctor)(?: *#.*)?$", README, re.MULTILINE)
    assert len(lines) == 14
    for line in lines:
        plain = re.sub(r"[][]", "", line.replace("[key=value ...]", "a.b=1"))
        words = ["1" if word in ("N", "S", "W") else word.partition("|")[0] for word in shlex.split(plain)]
        assert type(parsing.parse(words)).__name__.lower() == words[0]
