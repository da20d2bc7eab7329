"""An instruction an episode: a sentence from a small grammar, and the objects that it denotes.

    sentence     put {phrase} into the bin | only {phrase} | leave {phrase} on the table and clear everything else | ...
    phrase       everything | the red cup | the cup | the red thing | the two boxes | the green and the blue things
                 | {phrase} and {phrase} | everything but {phrase}

Every wording belongs to one of two splits, `train` and `held_out`: no sentence of one can be said in the other. What is denoted
is never ambiguous ("the cup" is said only where there is one) and never nothing. `envs.instructions.denotation` reads sentences
back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, get_args

import numpy as np

from envs.instructions.wordings import GOALS, WORDINGS, Goal, Split, Wordings

SHARE_OF_ALL = 0.25
"""Share of the instructions that ask for everything, where there is more than one object."""
TEXT_BYTES = 128
"""Length of the sensor that holds an instruction, as bytes; none is longer."""


class Named(Protocol):
    """What the grammar needs to know of an object."""

    @property
    def slot(self) -> int:
        """Its slot."""
        ...

    @property
    def name(self) -> str:
        """Its colour and its kind, such as "red cup"."""
        ...


@dataclass(frozen=True)
class Instruction:
    """What an episode asks for."""

    text: str
    """The sentence."""
    slots: frozenset[int]
    """Slots of the objects that it denotes; the others are to stay where they are."""
    goal: Goal = "bin"
    """Where they are to go."""


@dataclass(frozen=True)
class Phrase:
    """Words for some objects, their slots, and whether the verb is in the plural."""

    text: str
    slots: frozenset[int]
    plural: bool


NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five"}


def draw_instruction(
    objects: Sequence[Named], rng: np.random.Generator, *, paraphrase_split: Split = "train", goal: Goal = "bin"
) -> Instruction:
    """An instruction for these objects: a quarter of them ask for everything, the others for some, if there are several.

    ValueError for no objects, or an unknown split or goal.
    """
    if not objects:
        raise ValueError("an instruction needs at least one object, got none")
    if paraphrase_split not in get_args(Split):
        raise ValueError(f"unknown paraphrase_split {paraphrase_split!r}; available: {', '.join(get_args(Split))}")
    if goal not in GOALS:
        raise ValueError(f"unknown goal {goal!r}; available: {', '.join(GOALS)}")
    say = WORDINGS[paraphrase_split]
    every = frozenset(thing.slot for thing in objects)
    part = None if len(objects) == 1 or rng.uniform() < SHARE_OF_ALL else _part(objects, say, rng)
    if part is None:
        text, plural = _pick(say.everything, rng)
        return Instruction(_sentence((*say.sentences, *say.of_all), Phrase(text, every, plural), goal, rng), every, goal)
    use = _pick(("these", "these", "but", "rest"), rng)
    rest = every - part.slots
    if use == "rest" and rest:
        return Instruction(_sentence(say.of_rest, part, goal, rng), rest, goal)
    if use == "but" and rest:
        text, plural = _pick(say.everything, rng)
        part = Phrase(f"{text} {_pick(say.but, rng)} {part.text}", rest, plural)
        return Instruction(_sentence(say.sentences, part, goal, rng), rest, goal)
    return Instruction(_sentence((*say.sentences, *say.of_some), part, goal, rng), part.slots, goal)


def own_stream(rng: np.random.Generator, name: str = "instruction") -> np.random.Generator:
    """A generator that follows from the state of `rng` and from `name`; nothing is drawn from `rng`."""
    state = repr(rng.bit_generator.state).encode()
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode() + state).digest()[:16], "little"))


def text_bytes(text: str) -> np.ndarray:
    """A text as a sensor, (128,) uint8: its UTF-8 bytes, zeros behind them. ValueError when it is longer."""
    raw = text.encode()
    if len(raw) > TEXT_BYTES:
        raise ValueError(f"an instruction has at most {TEXT_BYTES} bytes, got {len(raw)}: {text[:40]!r}...")
    return np.frombuffer(raw.ljust(TEXT_BYTES, b"\0"), np.uint8).copy()


def _sentence(patterns: Sequence[str], phrase: Phrase, goal: Goal, rng: np.random.Generator) -> str:
    endings = {"s": "", "es": ""} if phrase.plural else {"s": "s", "es": "es"}
    return _pick(patterns, rng).format(x=phrase.text, **endings, **GOALS[goal])


def _part(objects: Sequence[Named], say: Wordings, rng: np.random.Generator) -> Phrase | None:
    """Words for some of the objects; None where all have the same name."""
    forms = [_one, _of_a_kind, _of_colours, _several]
    for i in rng.permutation(len(forms)):
        phrase = forms[i](objects, say, rng)
        if phrase is not None:
            return phrase
    return None


def _one(objects: Sequence[Named], say: Wordings, rng: np.random.Generator) -> Phrase | None:
    """The red cup; the cup or the red thing, where there is one."""
    names = [thing.name for thing in objects]
    single = [thing for thing in objects if names.count(thing.name) == 1]
    if not single:
        return None
    thing = _pick(single, rng)
    colour, kind = split_name(thing.name)
    ways = [f"the {colour} {kind}"]
    if len([o for o in objects if split_name(o.name)[1] == kind]) == 1:
        ways.append(f"the {kind}")
    if len([o for o in objects if split_name(o.name)[0] == colour]) == 1:
        ways.append(f"the {colour} {_pick(say.nouns, rng)}")
    return Phrase(_pick(ways, rng), frozenset([thing.slot]), plural=False)


def _of_a_kind(objects: Sequence[Named], say: Wordings, rng: np.random.Generator) -> Phrase | None:
    """The two boxes."""
    kinds = [split_name(thing.name)[1] for thing in objects]
    many = sorted({kind for kind in kinds if kinds.count(kind) > 1})
    if not many:
        return None
    kind = _pick(many, rng)
    slots = frozenset(thing.slot for thing in objects if split_name(thing.name)[1] == kind)
    count = _pick(("", f"{NUMBERS[len(slots)]} "), rng)
    return Phrase(f"the {count}{_plural(kind)}", slots, plural=True)


def _of_colours(objects: Sequence[Named], say: Wordings, rng: np.random.Generator) -> Phrase | None:
    """The green and the blue things."""
    colours = sorted({split_name(thing.name)[0] for thing in objects})
    if len(colours) < 3:
        return None
    chosen = [colours[i] for i in rng.permutation(len(colours))[: int(rng.integers(2, min(len(colours), 4)))]]
    slots = frozenset(thing.slot for thing in objects if split_name(thing.name)[0] in chosen)
    return Phrase(f"{_list([f'the {colour}' for colour in chosen])} {_plural(_pick(say.nouns, rng))}", slots, plural=True)


def _several(objects: Sequence[Named], say: Wordings, rng: np.random.Generator) -> Phrase | None:
    """The red cup and the box."""
    if len(objects) < 3:
        return None
    parts: list[Phrase] = []
    for _ in range(int(rng.integers(2, min(len(objects), 4)))):
        part = _one(objects, say, rng)
        if part is not None and not any(part.slots & other.slots for other in parts):
            parts.append(part)
    if len(parts) < 2:
        return None
    return Phrase(_list([part.text for part in parts]), frozenset().union(*(part.slots for part in parts)), plural=True)


def split_name(name: str) -> tuple[str, str]:
    """The colour and the kind in a name such as "red cup"."""
    colour, _, kind = name.rpartition(" ")
    return colour, kind


def _plural(noun: str) -> str:
    return noun + ("es" if noun.endswith(("x", "s", "sh", "ch")) else "s")


def _list(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]])


def _pick(choices: Sequence, rng: np.random.Generator):
    return choices[int(rng.integers(len(choices)))]
