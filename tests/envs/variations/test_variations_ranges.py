"""Ranges and choices: what each split draws, and that nothing held out is ever seen in training."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from envs.names import require_known
from envs.table.scene import HUES
from envs.variations import FACTORS
from envs.variations.looks import PATTERNS
from envs.variations.ranges import SPLITS, Choice, Range
from envs.variations.things import DISTRACTORS, HELD_OUT_SHAPES, SHAPE_OF

QUANTITIES = [(f"{factor}.{name}", quantity) for factor, quantities in FACTORS.items() for name, quantity in quantities.items()]


@pytest.mark.parametrize(("name", "quantity"), QUANTITIES, ids=[name for name, _ in QUANTITIES])
def test_what_is_held_out_is_never_drawn_in_training(name: str, quantity: Range | Choice) -> None:
    if isinstance(quantity, Choice):
        assert not set(quantity.train) & set(quantity.held_out)
    else:
        for a, b in itertools.product(quantity.train, quantity.held_out):
            assert a[1] < b[0] or b[1] < a[0]
    rng = np.random.default_rng(0)
    for split, other in (SPLITS, SPLITS[::-1]):
        drawn = quantity.draw(rng, split, 100)
        assert isinstance(drawn, list) and len(drawn) == 100
        assert all(quantity.contains(value, split) and not quantity.contains(value, other) for value in drawn)  # type: ignore[arg-type]


def test_no_slot_has_in_training_the_hue_of_another_held_out() -> None:
    shifts = FACTORS["object_colours"]["hue_shift"]
    assert isinstance(shifts, Range)

    def arcs(intervals: tuple[tuple[float, float], ...]) -> list[tuple[float, float]]:
        return [(hue + low, hue + high) for hue in HUES for low, high in intervals]

    for (low, high), (other_low, other_high) in itertools.product(arcs(shifts.train), arcs(shifts.held_out)):
        gap = (other_low - high) % 1
        assert gap > 0 and gap + (other_high - other_low) + (high - low) < 1, (low, high, other_low, other_high)


def test_a_range_draws_each_of_its_intervals_as_often_as_it_is_long() -> None:
    rng = np.random.default_rng(0)
    drawn = np.array(Range("m", ((0, 1),), ((2, 3), (4, 7))).draw(rng, "held_out", 4000))
    assert np.mean(drawn < 3) == pytest.approx(0.25, abs=0.03)
    assert drawn[drawn < 3].mean() == pytest.approx(2.5, abs=0.03) and drawn[drawn > 4].mean() == pytest.approx(5.5, abs=0.06)


def test_whole_numbers_reach_both_ends() -> None:
    steps = Range("steps", ((0, 1),), ((2, 4),), whole=True)
    drawn = steps.draw(np.random.default_rng(0), "held_out", 100)
    assert set(drawn) == {2, 3, 4} and all(type(value) is int for value in drawn)  # type: ignore[arg-type]
    assert type(steps.draw(np.random.default_rng(0), "train", None)) is int


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Range("m", ((0, 1),), ((1, 2),)), r"\(1, 2\) meets \(0, 1\)"),
        (lambda: Range("m", ((0, 1),), ((-1, 3),)), "meets"),
        (lambda: Range("m", ((2, 1),), ((3, 4),)), "low, high"),
        (lambda: Range("m", (), ((3, 4),)), "both splits"),
        (lambda: Choice(("a", "b"), ("b",)), r"\['b'\] would be held out"),
        (lambda: Choice((), ("b",)), "both splits"),
    ],
)
def test_supports_that_meet_are_refused(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_every_name_that_can_be_drawn_is_known_to_whoever_draws_it() -> None:
    def names(factor: str, quantity: str) -> set[str]:
        choice = FACTORS[factor][quantity]
        assert isinstance(choice, Choice)
        return {*choice.train, *choice.held_out}

    assert names("object_shapes", "kind") == set(SHAPE_OF)
    assert {shape.name for shape in HELD_OUT_SHAPES} == set(FACTORS["object_shapes"]["kind"].held_out)
    assert names("surfaces", "table_pattern") == names("surfaces", "floor_pattern") == {"plain", *PATTERNS}
    assert names("distractors", "kind") == set(DISTRACTORS)


def test_a_wrong_name_is_answered_with_the_nearest() -> None:
    require_known("robot", "arm", ("arm", "gantry"))
    with pytest.raises(ValueError, match=r"^unknown robot 'amr'; available: arm, gantry\. Did you mean 'arm'\?$"):
        require_known("robot", "amr", ("arm", "gantry"))
    with pytest.raises(ValueError, match=r"available: arm, gantry\.$"):
        require_known("robot", 7, ("arm", "gantry"))
