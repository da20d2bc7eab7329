"""Instructions: what is said is what is denoted, in both splits, read back by a parser that knows no grammar."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from envs.instructions.denotation import denoted
from envs.instructions.grammar import TEXT_BYTES, draw_instruction, own_stream, text_bytes
from envs.instructions.wordings import GOALS, WORDINGS, Goal, Split
from envs.table.scene import HUE_NAMES, SHAPES

SPLITS: tuple[Split, ...] = ("train", "held_out")


@dataclass(frozen=True)
class Thing:
    slot: int
    name: str


def table(*names: str) -> list[Thing]:
    return [Thing(HUE_NAMES.index(name.split()[0]), name) for name in names]


def random_table(rng: np.random.Generator) -> list[Thing]:
    slots = np.sort(rng.permutation(5)[: rng.integers(1, 6)])
    kinds = [shape.name for shape in SHAPES] + ["plate"]
    return [Thing(int(slot), f"{HUE_NAMES[slot]} {kinds[rng.integers(len(kinds))]}") for slot in slots]


MIXED = table("red cup", "blue box", "green bowl", "yellow box", "violet can")


@pytest.mark.parametrize("goal", list(GOALS))
@pytest.mark.parametrize("split", SPLITS)
def test_the_parser_reads_what_the_grammar_meant(split: Split, goal: Goal) -> None:
    rng = np.random.default_rng(0)
    whole = some = 0
    for _ in range(3000):
        objects = random_table(rng)
        said = draw_instruction(objects, rng, paraphrase_split=split, goal=goal)
        every = {thing.slot for thing in objects}
        assert said.slots and said.slots <= every and said.goal == goal
        assert denoted(said.text, objects) == said.slots, (said.text, [thing.name for thing in objects])
        assert len(text_bytes(said.text)) == TEXT_BYTES
        if len(objects) > 1:
            whole, some = whole + (said.slots == every), some + (said.slots < every)
    assert whole > 500 and some > 1000


def test_held_out_sentences_are_never_said_in_training() -> None:
    rng = np.random.default_rng(1)
    said: dict[Split, set[str]] = {
        split: {
            draw_instruction(random_table(rng), rng, paraphrase_split=split, goal=goal).text
            for goal in GOALS
            for _ in range(4000)
        }
        for split in SPLITS
    }
    assert not said["train"] & said["held_out"]
    assert min(map(len, said.values())) > 1000
    patterns = [{*w.sentences, *w.of_some, *w.of_all, *w.of_rest} for w in WORDINGS.values()]
    assert not patterns[0] & patterns[1]


def test_every_form_is_said() -> None:
    rng = np.random.default_rng(2)
    said = {draw_instruction(MIXED, rng).text for _ in range(20_000)}
    for text in (
        "clear the table",
        "clear everything",
        "put the red cup into the bin",
        "only the two boxes",
        "clear everything but the bowl",
        "the green and the blue things go into the bin",
        "everything except the can goes into the bin",
        "leave the boxes on the table and clear everything else",
    ):
        assert text in said, text


@pytest.mark.parametrize(
    ("text", "slots"),
    [
        ("Clear the table.", {0, 1, 2, 3, 4}),
        ("put the red cup into the bin", {0}),
        ("only the two boxes", {1, 3}),
        ("everything but the bowl", {0, 1, 3, 4}),
        ("the green and the blue things go into the bin", {1, 2}),
        ("the red cup, the bowl and the blue box go into the bin", {0, 1, 2}),
        ("nothing but the can should be in the bin", {4}),
        ("leave the yellow box on the table and clear everything else", {0, 1, 2, 4}),
        ("all boxes", {1, 3}),
        ("everything apart from the boxes and the can", {0, 2}),
    ],
)
def test_what_a_sentence_denotes(text: str, slots: set[int]) -> None:
    assert denoted(text, MIXED) == slots


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("put the box into the bin", "asks for 1, and 2 fit: the blue box, the yellow box"),
        ("only the three boxes", "asks for 3, and 2 fit"),
        ("put the orange cup into the bin", "there is no orange cup"),
        ("put the plate into the bin", "there is no plate"),
        ("do not clear the table", "unknown word 'do'"),
        ("put the red cupp into the bin", "did you mean 'cup'"),
        ("put the red into the bin", "'red' needs a noun"),
        ("please", "asks for no object"),
        ("everything but the red, the blue, the green, the yellow and the violet things", "asks for no object"),
    ],
)
def test_a_sentence_that_denotes_nothing_plain_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        denoted(text, MIXED)
    assert "\n" not in str(error.value)


def test_things_of_the_same_name_are_only_asked_for_together() -> None:
    twins = [Thing(0, "red cup"), Thing(1, "red cup"), Thing(2, "red cup")]
    rng = np.random.default_rng(0)
    for split in SPLITS:
        for _ in range(200):
            said = draw_instruction(twins, rng, paraphrase_split=split)
            assert denoted(said.text, twins) == said.slots == {0, 1, 2}


def test_the_stream_of_instructions_takes_nothing_from_the_environments_own() -> None:
    rng, untouched = np.random.default_rng(3), np.random.default_rng(3)
    first = own_stream(rng).uniform(size=4)
    np.testing.assert_array_equal(first, own_stream(rng).uniform(size=4))
    assert not np.allclose(first, own_stream(rng, "other").uniform(size=4))
    assert rng.uniform() == untouched.uniform()
    assert not np.allclose(first, own_stream(rng).uniform(size=4))


def test_wrong_arguments_are_named() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="at least one object"):
        draw_instruction([], rng)
    with pytest.raises(ValueError, match="unknown paraphrase_split 'test'; available: train, held_out"):
        draw_instruction(MIXED, rng, paraphrase_split="test")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at most 128 bytes"):
        text_bytes("x" * 129)
