"""The page about environments says what the code does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from envs.tables import TABLES, fill, measured

PAGE = Path(__file__).parents[2] / "docs" / "envs.md"


def test_the_tables_of_the_page_are_those_of_the_code() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert fill(text, ("modes", "sensors", "factors")) == text, "run python -m envs.tables docs/envs.md"


def test_the_pictures_of_the_page_are_there() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in ("tasks", "cameras", "variations"):
        assert f"({name}.png)" in text and (PAGE.parent / f"{name}.png").stat().st_size > 10_000


def test_what_was_measured_is_told_with_n_and_an_interval_and_nothing_else(tmp_path: Path) -> None:
    assert measured(tmp_path / "none.json").startswith("Not measured")
    played = {"success": 0.985, "episodes": 200, "wilson95": [0.957, 0.995]}
    row = {"task": "pick", "control": "pick_place", "robot": "arm", "expert": played}
    timed = row | {"task": "push", "random": played | {"success": 0.0}, "rate": {"actions_per_s": 21.5}}
    (tmp_path / "some.json").write_text(json.dumps([row, timed]))
    lines = measured(tmp_path / "some.json").splitlines()
    assert lines[2] == "| `pick` | `pick_place` | arm | 98.5: 200, 95.7 to 99.5 |  |  |"
    assert lines[3] == "| `push` | `pick_place` | arm | 98.5: 200, 95.7 to 99.5 | 0.0: 200, 95.7 to 99.5 | 21.5 |"


def test_a_page_without_a_table_is_refused() -> None:
    with pytest.raises(ValueError, match="no table modes"):
        fill("# Nothing", ("modes",))
    assert set(TABLES) == {"modes", "sensors", "factors", "measured"}
