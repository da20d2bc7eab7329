"""What the type of a configuration's field says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest

from agents.field_types import dataclasses_in, field_types, listed_dataclass, named_dataclass, type_name


@dataclass
class Part:
    size: int = 1
    area: int = field(init=False, default=1)


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (tuple[int, ...], "list of integer"),
        (tuple[float, bool], "list [number, true or false]"),
        (Literal["offline", "online"], "'offline' or 'online'"),
        (float | None, "number or null"),
        (Annotated[str, "a bound"], "text"),
        (dict[str, Any], "keys with values"),
        (Part, "Part"),
    ],
)
def test_a_type_has_a_name_in_words(hint: Any, words: str) -> None:
    assert type_name(hint) == words


def test_the_fields_are_those_that_the_constructor_takes() -> None:
    assert field_types(Part) == {"size": int}


@pytest.mark.parametrize(
    ("hint", "inside", "listed", "named"),
    [
        (Part | None, [Part], None, None),
        (tuple[Part, ...], [], Part, None),
        (dict[str, Part], [], None, Part),
        (tuple[int, ...], [], None, None),
        (dict[str, int], [], None, None),
    ],
)
def test_dataclasses_are_found_where_they_may_stand(hint: Any, inside: list[type], listed: Any, named: Any) -> None:
    assert dataclasses_in(hint) == inside
    assert (listed_dataclass(hint), named_dataclass(hint)) == (listed, named)
