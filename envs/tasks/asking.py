"""What an episode asks for: everything, in the task's own words, or what a drawn or given sentence denotes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast, get_args

import numpy as np

from envs.instructions.denotation import denoted
from envs.instructions.grammar import Instruction, Named, draw_instruction
from envs.instructions.wordings import Goal, Split
from envs.names import require_known
from envs.table.scene import MAX_OBJECTS

INSTRUCTIONS = ("all", "any")
"""The task's own sentence, which asks for everything, or one drawn for each episode."""


class Asking:
    """Where a task's instructions come from, and what the present episode's denotes."""

    def __init__(self, goal: Goal, sentence: str) -> None:
        self.goal: Goal = goal
        self.sentence = sentence
        self.instructions = "all"
        """One of `INSTRUCTIONS`."""
        self.paraphrases: Split = "train"
        """Which wordings are drawn."""
        self.words: str | None = None
        """What the next episode asks for instead."""
        self.target = np.zeros(MAX_OBJECTS, np.bool_)
        """(slots,) what this episode asks for."""
        self.other = np.zeros(MAX_OBJECTS, np.bool_)
        """(slots,) what shall stay on the table."""

    def configure(self, instruction: str, paraphrases: str) -> None:
        """Choose where sentences come from. ValueError names a wrong choice."""
        require_known("instruction", instruction, INSTRUCTIONS)
        require_known("paraphrases", paraphrases, get_args(Split))
        self.instructions, self.paraphrases = instruction, cast(Split, paraphrases)

    def ask(self, objects: Sequence[Named], stream: np.random.Generator) -> Instruction:
        """What an episode with these objects asks for; it is remembered.

        `stream` is the instructions' own (`envs.instructions.grammar.own_stream`), so that the objects are drawn as if nothing
        were asked. ValueError when given words denote nothing plain.
        """
        every = frozenset(thing.slot for thing in objects)
        if self.words is not None:
            said = Instruction(self.words, denoted(self.words, objects), self.goal)
        elif self.instructions == "any":
            said = draw_instruction(objects, stream, paraphrase_split=self.paraphrases, goal=self.goal)
        else:
            said = Instruction(self.sentence, every, self.goal)
        self.target[:], self.other[:] = False, False
        self.target[list(said.slots)], self.other[list(every - said.slots)] = True, True
        return said

    def judge(self, before: np.ndarray, after: np.ndarray, table: int, there: int, lost: int) -> tuple[float, bool, bool]:
        """Reward, success, and whether no target is left, from the statuses (slots,) before and after an action.

        The reward is the share of the targets that went `there`, less that of those which were `lost` and of the others which
        left the `table`, and back again. A success has every target there and every other object on the table.
        """
        changes = list(zip(before.tolist(), after.tolist(), self.target.tolist(), self.other.tolist(), strict=True))
        asked = [(was, now) for was, now, target, _ in changes if target]
        others = [(was != table, now != table) for was, now, _, other in changes if other]
        gained = sum((now == there) - (was == there) for was, now in asked)
        gone = sum((now == lost) - (was == lost) for was, now in asked)
        strayed = sum(now - was for was, now in others)
        success = all(now == there for _, now in asked) and not any(now for _, now in others)
        return (gained - gone - strayed) / len(asked), success, all(now != table for _, now in asked)

    def describe(self) -> dict[str, Any]:
        """The environment's keyword arguments, as far as they are not the default."""
        drawn = {"instruction": self.instructions, "paraphrases": self.paraphrases}
        return drawn if self.instructions != "all" else {}

    def info(self) -> dict[str, Any]:
        """What `info` says of it."""
        return {"target": self.target.copy()}
