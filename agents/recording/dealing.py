"""Dealing numbered episodes to workers that may die, so that each is recorded once, whatever happens to whom.

A hand of episodes goes to one worker, which publishes it as one shard. A worker that raises stops the job: the same mistake
would be made again. A worker that dies (out of memory, `kill -9`, a lost machine) costs nothing but time: those episodes of its
hand that are not on the disk are dealt again to a new worker. Only a hand that has cost MAX_DEATHS workers stops the job.

The workers themselves are a `Crew`: processes (record_processes.py) or Ray actors (record_ray.py).
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from worldmodel.errors import WorldModelError

logger = logging.getLogger(__name__)

MAX_DEATHS = 3
"""So many workers may die of one hand before it is believed to be deadly."""
HANDS_A_WORKER = 4
"""At least so many hands a worker, as far as there are episodes: the last ones end at about the same time."""


@dataclass(frozen=True)
class Played:
    """A worker has played an episode; it is on the disk when the hand is `Finished`."""

    worker: int
    number: int
    """The episode."""
    num_actions: int


@dataclass(frozen=True)
class Finished:
    """A worker has published its hand, or as much as it played of it before it was told to stop."""

    worker: int


@dataclass(frozen=True)
class Failed:
    """A worker raised; it is gone."""

    worker: int
    error: Exception


@dataclass(frozen=True)
class Lost:
    """A worker died without a word."""

    worker: int
    how: str
    """Such as `was killed by signal 9`."""


News = Played | Finished | Failed | Lost


class Crew(Protocol):
    """Workers that record hands of episodes, each with its own writer, named after its number."""

    def start(self, worker: int) -> None:
        """Begin a worker; numbers are never used again."""
        ...

    def give(self, worker: int, hand: Sequence[int]) -> None:
        """Let a worker that holds nothing record these episodes."""
        ...

    def news(self, seconds: float) -> list[News]:
        """What the workers told since the last call; waits so long for the first word."""
        ...

    def stop(self) -> None:
        """Ask every worker to end its episode, publish what it has and say `Finished`."""
        ...


class Tally:
    """The episodes that were played and not lost; `tell` is called with their number and that of their actions."""

    def __init__(self, tell: Callable[[int, int], None]):
        self.tell = tell
        self.num_actions = 0
        self._lengths: dict[int, int] = {}

    @property
    def num_episodes(self) -> int:
        """How many."""
        return len(self._lengths)

    def add(self, number: int, num_actions: int) -> None:
        """An episode was played."""
        self._lengths[number] = num_actions
        self.num_actions += num_actions
        self.tell(self.num_episodes, self.num_actions)

    def settle(self, kept: Iterable[int], lost: Iterable[int]) -> None:
        """A worker died: these are on the disk, also where it had no time to say so, and those are gone."""
        for number in kept:
            self._lengths.setdefault(number, 0)
        for number in lost:
            self.num_actions -= self._lengths.pop(number, 0)


@dataclass(frozen=True)
class _Hand:
    episodes: tuple[int, ...]
    deaths: int = 0


def cut(episodes: Sequence[int], workers: int, most: int) -> list[tuple[int, ...]]:
    """The episodes in hands of neighbours, at most `most` each."""
    size = max(1, min(most, len(episodes) // (workers * HANDS_A_WORKER)))
    return [tuple(episodes[i : i + size]) for i in range(0, len(episodes), size)]


def deal(
    crew: Crew,
    hands: Sequence[tuple[int, ...]],
    workers: int,
    on_disk: Callable[[], set[int]],
    tally: Tally,
    stopped: Callable[[], bool],
) -> None:
    """Have every hand recorded, or, once `stopped`, see to it that what was played is published.

    Args:
        crew: where the workers come from.
        hands: the episodes, as `cut` cuts them.
        workers: how many work at once.
        on_disk: the episodes that are published.
        tally: counts what was played.
        stopped: whether to leave off.

    Raises:
        WorldModelError: a hand has cost MAX_DEATHS workers.
        Exception: what the first worker that failed raised, after the others have published what they have.
    """
    waiting = deque(_Hand(hand) for hand in hands)
    held: dict[int, _Hand] = {}
    free: list[int] = []
    started, error, stopping = 0, None, False

    while held or (waiting and not stopping):
        # every worker holds a hand; those that died are replaced
        while waiting and not stopping and len(held) < workers:
            if not free:
                crew.start(started)
                free.append(started)
                started += 1
            worker = free.pop()
            held[worker] = waiting.popleft()
            crew.give(worker, held[worker].episodes)
        for news in crew.news(0.1):
            match news:
                case Played(_, number, num_actions):
                    tally.add(number, num_actions)
                case Finished(worker):
                    del held[worker]
                    free.append(worker)
                case Failed(worker, raised):
                    held.pop(worker, None)
                    error = error or raised
                case Lost(worker, how) if worker in held:
                    hand = held.pop(worker)
                    rest = _left_of(hand, on_disk())
                    tally.settle(set(hand.episodes) - set(rest.episodes), rest.episodes)
                    if rest.deaths >= MAX_DEATHS and rest.episodes:
                        error = error or WorldModelError(_deadly(rest, how))
                    elif rest.episodes:
                        waiting.appendleft(rest)  # a deadly one is found out soon
                        logger.warning("a recording worker %s; its %d open episodes are dealt again", how, len(rest.episodes))
                case Lost(worker):
                    free = [other for other in free if other != worker]
        if not stopping and (error is not None or stopped()):
            crew.stop()
            stopping = True
    if error is not None:
        raise error


def _left_of(hand: _Hand, on_disk: set[int]) -> _Hand:
    """What a dead worker has not published: what it only played is gone with it."""
    return _Hand(tuple(number for number in hand.episodes if number not in on_disk), hand.deaths + 1)


def _deadly(hand: _Hand, how: str) -> str:
    return (
        f"{MAX_DEATHS} recording workers died of episodes {hand.episodes[0]} to {hand.episodes[-1]}, "
        f"the last one {how} (too little memory?); run again to go on"
    )
