"""What an episode asks for: everything, in the task's own words, or what a drawn or given sentence denotes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import numpy as np

from envs.denotation import denoted
from envs.instructions import Instruction, Named, draw_instruction, own_stream
from envs.wordings import Goal, Split

INSTRUCTIONS = ("all", "any")
"""One sentence that asks for everything, or one drawn for each episode."""


class Asking:
    """Where a task's instructions come from; it takes nothing from the stream of random numbers that objects are drawn from."""

    def __init__(self, goal: Goal, sentence: str) -> None:
        self.goal: Goal = goal
        self.sentence = sentence
        self.instructions = "all"
        """One of `INSTRUCTIONS`."""
        self.paraphrases: Split = "train"
        """Which wordings are drawn."""
        self.said: str | None = None
        """What the next episode asks for instead, in words."""

    def configure(self, instructions: str, paraphrases: str) -> None:
        """Choose where sentences come from. ValueError names a wrong choice."""
        if instructions not in INSTRUCTIONS:
            raise ValueError(f"unknown instruction {instructions!r}; available: {', '.join(INSTRUCTIONS)}")
        split = next((known for known in get_args(Split) if known == paraphrases), None)
        if split is None:
            raise ValueError(f"unknown paraphrases {paraphrases!r}; available: {', '.join(get_args(Split))}")
        self.instructions, self.paraphrases = instructions, split

    def ask(self, objects: Sequence[Named], stream: np.random.Generator) -> Instruction:
        """What an episode with these objects asks for; `stream` comes from `own_stream`, before the objects were drawn.

        ValueError when the words that were given denote nothing plain.
        """
        if self.said is not None:
            return Instruction(self.said, denoted(self.said, objects), self.goal)
        if self.instructions == "any":
            return draw_instruction(objects, stream, paraphrase_split=self.paraphrases, goal=self.goal)
        return Instruction(self.sentence, frozenset(thing.slot for thing in objects), self.goal)


__all__ = ["INSTRUCTIONS", "Asking", "own_stream"]
