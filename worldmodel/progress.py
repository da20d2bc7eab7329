"""How a long loop tells somebody how far it is, without knowing who listens."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Told after each piece of work; the command line shows a bar with the time left."""

    def update(self, done: int, total: int, **fields: str | float) -> None:
        """`done` of `total` pieces are finished; `fields` are shown beside the bar."""
        ...


class NoProgress:
    """Nobody listens."""

    def update(self, done: int, total: int, **fields: str | float) -> None:
        """Do nothing."""
