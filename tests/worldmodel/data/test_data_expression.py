"""The language of curation: what it says yes to, and that it can do nothing but compare."""

from __future__ import annotations

import pytest

from worldmodel.data.curation.expression import Expression
from worldmodel.errors import ConfigError

EPISODE = {
    "success": True,
    "frozen": False,
    "length": 6,
    "seed": 1003,
    "instruction": "put the Cup away",
    "total_reward": -0.5,
    "robot": "arm",
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("success", True),
        ("not success", False),
        ("success and length >= 4 and task ~ 'cup' and seed % 2 == 1 and not frozen", True),
        ("success and length >= 4 and task ~ 'cup' and seed % 2 == 0 and not frozen", False),
        ("task ~ 'bowl' or task ~ 'AWAY'", True),
        ("not task ~ 'cup'", False),
        ("task ~'cup'and success", True),
        ("(task) ~ 'cup'", True),
        ("'Cup' in task and 'cup' not in task", True),
        ("return < 0", True),
        ("return==-0.5 and total_reward == -1 / 2", True),
        ("2 <= length < 6", False),
        ("2 <= length < 7", True),
        ("seed in (1, 1003)", True),
        ("robot in ['gantry', 'crane']", False),
        ("robot not in ('gantry',)", True),
        ("robot == 'arm' != success or robot != 'arm'", None),
        ("length // 4 + 1 == 2 and length * 2 - 2 == 10 and -length == -6", True),
        ("True", True),
        ("success == True", True),
        ("length >= 4\nand success", True),
    ],
)
def test_what_it_says(text: str, expected: bool | None):
    if expected is None:
        with pytest.raises(ConfigError, match="cannot be compared"):
            Expression(text).holds(EPISODE)
    else:
        assert Expression(text).holds(EPISODE) is expected


def test_and_and_or_look_no_further_than_they_must():
    assert Expression("success or 1 / 0 > 1").holds(EPISODE)
    assert not Expression("not success and 1 / 0 > 1").holds(EPISODE)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("success and", "cannot read"),
        ("success &", "cannot read"),
        ("length = 4", "cannot read"),
        ("'cup", "cannot read"),
        ("__import__('os').system('true')", "not part of the language"),
        ("().__class__", "an attribute is not"),
        ("task.upper() == 'X'", "not part of the language"),
        ("task[0] == 'p'", "an index is not"),
        ("(lambda: 1)()", "not part of the language"),
        ("[x for x in (1, 2)] == 1", "not part of the language"),
        ("9 ** 9 ** 9 > 1", "a power is not"),
        ("1 << 99 > 1", "LShift is not"),
        ("f'{success}' == 'x'", "not part of|cannot read"),
        ("(x := 1) > 0", "an assignment is not|cannot read"),
        ("~success", "~ before a value is not"),
        ("task @ 'cup'", "'@' means nothing here"),
        ("success; success", "';' means nothing here"),
        ("None == 1", "None is not part"),
        ("1j == 1", "1j is not part"),
        ("b'x' == 'x'", "is not part"),
        ("success is True", "'is' is not"),
        ("(" * 500 + "success" + ")" * 500, "cannot read"),
        ("not " * 600, "characters; expected 2000"),
    ],
)
def test_what_it_does_not_read(text: str, message: str):
    with pytest.raises(ConfigError, match=message) as caught:
        Expression(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("length", "neither true nor false"),
        ("length and success", "neither true nor false"),
        ("length ~ 'cup'", "6 is no text"),
        ("task > 3", "cannot be compared"),
        ("task == 3", "cannot be compared"),
        ("task + 'x' == 'y'", "is no number"),
        ("'x' * 1000000000 == task", "is no number"),
        ("length % 0 == 1", "modulo"),
        ("3 in task", "3 is no text"),
    ],
)
def test_what_makes_no_sense(text: str, message: str):
    with pytest.raises(ConfigError, match=message) as caught:
        Expression(text).holds(EPISODE)
    assert "\n" not in str(caught.value)


def test_an_unknown_name_is_told_with_the_nearest():
    with pytest.raises(ConfigError, match="asks for 'succes'; did you mean 'success'"):
        Expression("succes and length > 3").require_known(EPISODE)
    with pytest.raises(ConfigError, match=r"asks for 'xyz'; expected one of .*length.*return.*task"):
        Expression("xyz > 3").require_known(EPISODE)
    Expression("return > 3 and task ~ 'x'").require_known(EPISODE)


def test_long_sums_end():
    text = "length" + " * 99999999" * 150 + " > 0"
    assert Expression(text).holds(EPISODE)
    assert Expression(" or ".join(["length > 9"] * 100) + " or success").holds(EPISODE)
