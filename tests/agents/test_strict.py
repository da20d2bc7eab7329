"""Configurations are read strictly, and every complaint is one line that tells what to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from agents import strict
from worldmodel.errors import ConfigError


@dataclass(frozen=True)
class Inner:
    num_steps: int = 10
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.95)
    mode: Literal["disabled", "offline", "online"] = "disabled"
    folder: Path | None = None

    def __post_init__(self) -> None:
        if self.num_steps < 1:
            raise ValueError(f"num_steps must be positive, got {self.num_steps}")


@dataclass(frozen=True)
class Other:
    num_samples: int = 3


@dataclass(frozen=True)
class Part:
    path: str
    weight: float = 1.0
    inner: Inner = Inner()


@dataclass(frozen=True)
class Outer:
    name: str
    train: Inner = Inner()
    either: Inner | Other | None = None
    kwargs: dict[str, Any] = field(default_factory=dict)
    compiled: bool = False
    parts: tuple[Part, ...] = ()

    def __post_init__(self) -> None:
        if self.compiled and self.train.num_steps > 50:
            raise ValueError(f"train.num_steps is {self.train.num_steps}, and compiled is true")


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "experiment.yaml"
    path.write_text(text)
    return path


def complaint(tmp_path: Path, text: str, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        strict.load(Outer, write(tmp_path, text), overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_values_reach_their_fields(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "name: off\ntrain: {num_steps: 5, learning_rate: 3e-4, betas: [0.5, 1], mode: offline, folder: a/b}\n"
        "either: {num_samples: 7}\nkwargs: {robot: gantry, range: [1, 5]}\ncompiled: true\n",
    )
    assert strict.load(Outer, path) == Outer(
        name="off",
        train=Inner(5, 3e-4, (0.5, 1.0), "offline", Path("a/b")),
        either=Other(7),
        kwargs={"robot": "gantry", "range": [1, 5]},
        compiled=True,
    )


def test_overrides_win_over_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "name: x\ntrain: {num_steps: 5, learning_rate: 0.1}\n")
    config = strict.load(Outer, path, ("train.num_steps=6", "train.betas=[0, 1]", "kwargs.robot=arm", "name=a=b"))
    assert config == Outer("a=b", Inner(6, 0.1, (0.0, 1.0)), kwargs={"robot": "arm"})


def test_plain_values_come_back(tmp_path: Path) -> None:
    config = Outer("x", Inner(folder=Path("a")), either=Other(4), kwargs={"robot": "arm"})
    strict.dump(config, tmp_path / "deep" / "config.yaml")
    assert strict.load(Outer, tmp_path / "deep" / "config.yaml") == config


def test_an_unknown_key_names_file_key_and_nearest(tmp_path: Path) -> None:
    message = complaint(tmp_path, "name: x\ntrain: {num_step: 5}\n")
    assert str(tmp_path / "experiment.yaml") in message
    assert "unknown key 'train.num_step'; did you mean 'train.num_steps'?" in message


def test_an_unknown_override_names_the_command_line_and_the_full_key(tmp_path: Path) -> None:
    assert "command line: unknown key 'train.num_stesp'; did you mean 'train.num_steps'?" in complaint(
        tmp_path, "name: x", "train.num_stesp=5"
    )
    assert "did you mean 'train.learning_rate'?" in complaint(tmp_path, "name: x", "learning_rate=5")


def test_an_override_does_not_hide_a_slip_in_the_file(tmp_path: Path) -> None:
    assert "unknown key 'trian'" in complaint(tmp_path, "name: x\ntrian: {}\n", "train.num_steps=5")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("train.num_steps=many", "command line: train.num_steps: expected integer, got 'many' (str)"),
        ("train.num_steps=1.5", "train.num_steps: expected integer, got 1.5 (float)"),
        ("train.num_steps=true", "train.num_steps: expected integer, got True (bool)"),
        ("train.learning_rate='0.1'", "train.learning_rate: expected number, got '0.1' (str)"),
        ("train.betas=[1]", "train.betas: expected list [number, number], got [1] (list)"),
        ("train.mode=ofline", "train.mode: expected 'disabled' or 'offline' or 'online', got 'ofline' (str)"),
        ("compiled=yes", "compiled: expected true or false, got 'yes' (str)"),
        ("train=5", "train: expected keys with values, got 5"),
        ("train.num_steps=0", "command line: train: num_steps must be positive, got 0"),
        ("train.num_steps", "command line: expected key=value, such as train.num_steps=100, got 'train.num_steps'"),
        ("train.num_steps=[1", "command line: train.num_steps:"),
    ],
)
def test_a_wrong_value_is_one_line(tmp_path: Path, override: str, expected: str) -> None:
    assert expected in complaint(tmp_path, "name: x", override)


def test_a_wrong_value_in_the_file_names_the_file(tmp_path: Path) -> None:
    assert complaint(tmp_path, "name: x\ntrain: {num_steps: x}").startswith(str(tmp_path / "experiment.yaml"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("train: {}", "key 'name' is missing, expected text"),
        ("name: x\nname: y", "line 2, column 1 key 'name' is given twice"),
        ("name: [x", "line 1, column"),
        ("- x", "expected keys with values, got list"),
        ("1: x", "key 1 is not a string"),
    ],
)
def test_a_broken_file_is_one_line(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in complaint(tmp_path, text)


def test_a_missing_file_suggests_its_neighbour(tmp_path: Path) -> None:
    write(tmp_path, "name: x")
    with pytest.raises(ConfigError, match=r"experimnt.yaml: no such configuration file; did you mean .*experiment.yaml"):
        strict.load(Outer, tmp_path / "experimnt.yaml")


def test_dataclasses_in_a_list_reach_their_fields(tmp_path: Path) -> None:
    config = strict.load(Outer, write(tmp_path, "name: x\nparts: [{path: a}, {path: b, weight: 2, inner: {num_steps: 3}}]\n"))
    assert config.parts == (Part("a"), Part("b", 2.0, Inner(3)))
    strict.dump(config, tmp_path / "again.yaml")
    assert strict.load(Outer, tmp_path / "again.yaml") == config
    assert strict.load(Outer, tmp_path / "again.yaml", ("parts=[]",)).parts == ()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("[{path: a, wieght: 1}]", "unknown key 'parts[0].wieght'; did you mean 'parts[0].weight'?"),
        ("[{path: a}, {path: b, inner: {num_step: 1}}]", "unknown key 'parts[1].inner.num_step'; did you mean 'parts[1].inner"),
        ("[{weight: 1}]", "key 'parts[0].path' is missing, expected text"),
        ("[{path: a, weight: x}]", "parts[0].weight: expected number, got 'x' (str)"),
        ("[{path: a, inner: {num_steps: 0}}]", "parts[0].inner: num_steps must be positive, got 0"),
        ("[a]", "parts[0]: expected keys with values, got 'a'"),
        ("{path: a}", "parts: expected list of Part, got"),
    ],
)
def test_a_slip_inside_a_list_names_the_element(tmp_path: Path, given: str, expected: str) -> None:
    assert complaint(tmp_path, "name: x", f"parts={given}").startswith(f"command line: {expected}")
    assert complaint(tmp_path, f"name: x\nparts: {given}").startswith(f"{tmp_path / 'experiment.yaml'}: {expected}")


def test_what_two_sections_make_impossible_names_the_command_line_when_it_has_a_part_in_it(tmp_path: Path) -> None:
    path, expected = tmp_path / "experiment.yaml", "train.num_steps is 99, and compiled is true"
    assert complaint(tmp_path, "name: x\ntrain: {num_steps: 99}\ncompiled: true") == f"{path}: {expected}"
    for override in ("train.num_steps=99", "train={num_steps: 99}"):
        assert complaint(tmp_path, "name: x\ncompiled: true", override) == f"{path} and command line: {expected}"
    assert complaint(tmp_path, "name: x\ntrain: {num_steps: 99}\ncompiled: true", "name=y") == f"{path}: {expected}"
