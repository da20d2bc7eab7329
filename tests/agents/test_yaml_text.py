"""Plain values from YAML text."""

from __future__ import annotations

import math

import pytest

from agents.yaml_text import parse_yaml, to_yaml
from worldmodel.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("-.inf", -math.inf),
        ("010", 10),  # YAML 1.1 reads octal
        ("-08", -8),
        ("off", "off"),
        ("2026-01-01", "2026-01-01"),
        ("~", None),
        ("", None),
        ("[true, False, yes]", [True, False, "yes"]),
        ("a: {b: '1'}", {"a": {"b": "1"}}),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    assert repr(parse_yaml(text, "here")) == repr(value)  # as 1 == 1.0 == True


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\na: 2", "here: line 2, column 1 key 'a' is given twice"),
        ("1: a", "here: line 1, column 1 key 1 is not a string"),
        ("!!int abc", "here: no YAML (invalid literal for int()"),
        ("!!python/name:os.system", "here: line 1, column 1 could not determine a constructor"),
    ],
)
def test_what_is_no_plain_value_is_one_line(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_yaml(text, "here")
    assert str(error.value).startswith(told)
    assert "\n" not in str(error.value)


def test_what_is_written_is_read_back() -> None:
    texts = [
        "08",
        "1e3",
        "1E5",
        "1e-3",
        "off",
        "010",
        "",
        "~",
        "null",
        "true",
        ".5",
        "0x1F",
        "1_000",
        "2026-01-01",
        "a: b",
        "- c",
    ]
    values = {"texts": texts, "numbers": [8, -3, 1e-5, 1e300, 0.1, float("inf")], "others": [True, None, {}, []]}
    assert repr(parse_yaml(to_yaml(values), "here")) == repr(values)
