"""What a sentence about the objects on the table denotes: read word by word, without the grammar that wrote it.

Colours wait for the noun behind them; a noun closes a mention, and mentions add up. What stands behind but, except, apart
from, other than, keep or leave is taken off what else is mentioned. A word that is not known is refused: it may turn the
sense round.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from envs.instructions.grammar import Named, split_name

COLOURS = {
    "red", "blue", "green", "yellow", "violet", "orange", "purple", "pink", "brown", "black", "white", "grey", "gray", "cyan",
    "turquoise", "teal", "magenta", "lime", "olive", "navy",
}  # fmt: skip
"""Colour words; those of the objects are known as well."""
KINDS = {"cup", "can", "bowl", "box", "plate", "bottle", "ball", "cube", "mug", "jar"}
"""Words for kinds of objects; those of the objects are known as well."""
NOUNS = {"thing", "object", "item", "piece"}
COUNTS = {"one": 1, "two": 2, "both": 2, "three": 3, "four": 4, "five": 5}
UNIVERSAL = {"everything", "lot", "rest"}
EXCEPTIONS = {"but", "except", "apart", "other", "leave", "keep"}
FILLERS = {
    "the", "all", "every", "each", "single", "of", "only", "just", "put", "clear", "sweep", "please", "go", "goes", "and", "or",
    "off", "on", "from", "get", "i", "want", "belong", "belongs", "should", "be", "is", "are", "throw", "away", "take", "fill",
    "empty", "load", "stack", "place", "drop", "move", "than", "else", "a",
}  # fmt: skip
PLACE = r"(?:the )?(?:dish )?(?:table|bin|rack)\b"


def denoted(text: str, objects: Sequence[Named]) -> frozenset[int]:
    """Slots of the objects that the sentence asks for, never none.

    ValueError, in one line, for a word that is not known, a mention that fits no object or not as many as it says, and a
    sentence that asks for nothing.
    """
    plain = re.sub(rf"\b(?:on|off|from|into|in|to) {PLACE}", " ", text.lower())
    plain = re.sub(rf"\b{PLACE}", "everything", plain)  # clear the table, load the rack
    words = _words(plain.replace("nothing but", "only"), objects)
    marker = next((i for i, word in enumerate(words) if word in EXCEPTIONS), len(words))
    asked, behind = words[:marker], words[marker + 1 :]
    end = next((i for i, word in enumerate(behind) if word in UNIVERSAL), len(behind))  # leave x and clear everything else
    slots = _mentioned(asked + behind[end:], objects) - _mentioned(behind[:end], objects)
    if not slots:
        raise ValueError(f"{text!r} asks for no object; there are {_names(objects)}")
    return slots


def _words(plain: str, objects: Sequence[Named]) -> list[str]:
    """The words; a noun in the plural as its singular with a star. ValueError for one that is not known."""
    nouns = _kinds(objects) | NOUNS
    known = nouns | _colours(objects) | set(COUNTS) | UNIVERSAL | EXCEPTIONS | FILLERS
    words = []
    for word in re.findall(r"[^\s,.;:!?]+", plain):
        stems = [word.removesuffix(ending) for ending in ("es", "s") if word.endswith(ending)]
        stem = next((stem for stem in stems if stem in nouns), None)
        if stem is None and word not in known:
            near = difflib.get_close_matches(word, sorted(known), 1)
            raise ValueError(f"unknown word {word!r} in an instruction" + (f"; did you mean {near[0]!r}?" if near else ""))
        words.append(word if stem is None else stem + "*")
    return words


def _mentioned(words: list[str], objects: Sequence[Named]) -> frozenset[int]:
    """Slots of what these words name together."""
    slots: frozenset[int] = frozenset()
    colours: list[str] = []
    count, each = None, False
    for word in words:
        noun = word.rstrip("*")
        if word in COUNTS:
            count = COUNTS[word]
        elif word in ("all", "every", "each"):
            each = True
        elif noun in NOUNS or noun in _kinds(objects):
            slots |= _fitting(noun, colours, count, each or word.endswith("*"), objects)
            colours, count, each = [], None, False
        elif word in UNIVERSAL:
            slots = frozenset(thing.slot for thing in objects)
        elif word in _colours(objects):
            colours.append(word)
    if colours or count:
        what = " ".join(colours) or next(name for name, number in COUNTS.items() if number == count)
        raise ValueError(f"{what!r} needs a noun behind it, such as: the {what} {'thing' if colours else 'things'}")
    return slots


def _fitting(noun: str, colours: list[str], count: int | None, many: bool, objects: Sequence[Named]) -> frozenset[int]:
    """Slots of the objects of a kind, or of any for a noun such as thing, in one of the colours, or in any."""
    found = [
        thing
        for thing in objects
        if noun in (*NOUNS, split_name(thing.name)[1]) and (not colours or split_name(thing.name)[0] in colours)
    ]
    said = " and ".join(colours) + f"{' ' if colours else ''}{noun}"
    if not found or any(all(split_name(thing.name)[0] != colour for thing in found) for colour in colours):
        raise ValueError(f"there is no {said}; there are {_names(objects)}")
    wanted = count if count is not None else None if many else max(len(colours), 1)
    if wanted is not None and len(found) != wanted:
        raise ValueError(f"{said!r} asks for {wanted}, and {len(found)} fit: {_names(found)}")
    return frozenset(thing.slot for thing in found)


def _colours(objects: Sequence[Named]) -> set[str]:
    return {*COLOURS, *(split_name(thing.name)[0] for thing in objects)}


def _kinds(objects: Sequence[Named]) -> set[str]:
    return {*KINDS, *(split_name(thing.name)[1] for thing in objects)}


def _names(objects: Sequence[Named]) -> str:
    return ", ".join(f"the {thing.name}" for thing in objects)
