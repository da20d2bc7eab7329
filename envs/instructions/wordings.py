"""How instructions are worded, in two splits that share no sentence: one for training, one held out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Split = Literal["train", "held_out"]
Goal = Literal["bin", "rack"]


@dataclass(frozen=True)
class Wordings:
    """How one split speaks. {x} is a phrase, {s} and {es} the verb's ending; {do}, {take}, {place} and {whole} the goal's."""

    sentences: tuple[str, ...]
    """For whatever is denoted."""
    of_some: tuple[str, ...]
    """That also say that the others stay."""
    of_all: tuple[str, ...]
    """That denote everything without a phrase."""
    of_rest: tuple[str, ...]
    """Whose phrase is what stays."""
    everything: tuple[tuple[str, bool], ...]
    """Phrases for all objects, and whether they are plurals."""
    but: tuple[str, ...]
    """Between everything and its exceptions."""
    nouns: tuple[str, ...]
    """For an object of any kind; the plural adds an s."""


WORDINGS: dict[Split, Wordings] = {
    "train": Wordings(
        sentences=("put {x} into the {place}", "{do} {x}", "please {do} {x}", "{x} go{es} into the {place}"),
        of_some=("only {x}", "{do} only {x}", "only {x} go{es} into the {place}"),
        of_all=("{do} the {whole}",),
        of_rest=("leave {x} on the table and {do} everything else",),
        everything=(("everything", False), ("all objects", True), ("all the things", True)),
        but=("but", "except"),
        nouns=("thing", "object"),
    ),
    "held_out": Wordings(
        sentences=("{take} {x}", "get {x} off the table", "I want {x} in the {place}", "{x} belong{s} in the {place}"),
        of_some=("just {x}", "{take} just {x}", "nothing but {x} should be in the {place}"),
        of_all=("fill the {place}", "the table should be empty"),
        of_rest=("{take} the rest and keep {x}",),
        everything=(("the lot", False), ("every single item", False), ("all the pieces", True)),
        but=("apart from", "other than"),
        nouns=("item", "piece"),
    ),
}
GOALS: dict[Goal, dict[str, str]] = {
    "bin": {"place": "bin", "do": "clear", "take": "throw away", "whole": "table"},
    "rack": {"place": "rack", "do": "load", "take": "stack", "whole": "rack"},
}
