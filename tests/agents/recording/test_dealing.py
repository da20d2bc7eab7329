"""Dealing episodes to workers that fail, die and are stopped, with workers that only exist here."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from agents.recording.dealing import Failed, Finished, Lost, News, Played, Tally, cut, deal
from worldmodel.errors import MismatchError, WorldModelError


class FakeCrew:
    """Workers that play an episode a call of `news`, publish at the end of a hand, and do what `fate` says before each."""

    def __init__(self, fate: Callable[[int, int], str] = lambda worker, number: "") -> None:
        self.fate = fate
        self.hands: dict[int, list[int]] = {}
        self.unpublished: dict[int, list[int]] = {}
        self.disk: list[int] = []
        self.started: list[int] = []
        self.most_at_once = 0
        self.stopped = False

    def start(self, worker: int) -> None:
        assert worker not in self.started
        self.started.append(worker)
        self.unpublished[worker] = []

    def give(self, worker: int, hand: Sequence[int]) -> None:
        assert worker in self.started and worker not in self.hands and not self.stopped
        self.hands[worker] = list(hand)
        self.most_at_once = max(self.most_at_once, len(self.hands))

    def news(self, seconds: float) -> list[News]:
        told: list[News] = []
        for worker in list(self.hands):
            told += self._go_on(worker)
        return told

    def stop(self) -> None:
        self.stopped = True

    def _go_on(self, worker: int) -> list[News]:
        hand = self.hands[worker]
        if not hand or self.stopped:
            return self._end(worker, Finished(worker), publish=True)
        match self.fate(worker, hand[0]):
            case "dies":
                return self._end(worker, Lost(worker, "was killed by signal 9"), publish=False)
            case "dies after publishing":
                self.disk += [*self.unpublished[worker], hand[0]]
                return self._end(worker, Lost(worker, "was killed by signal 9"), publish=False)
            case "raises":
                return self._end(worker, Failed(worker, MismatchError("no such world")), publish=True)
        number = hand.pop(0)
        self.unpublished[worker].append(number)
        return [Played(worker, number, 2)]

    def _end(self, worker: int, news: News, publish: bool) -> list[News]:
        del self.hands[worker]
        if publish:
            self.disk += self.unpublished[worker]
        self.unpublished[worker] = []
        return [news]


def run(crew: FakeCrew, episodes: Sequence[int] = range(40), stopped: Callable[[], bool] = lambda: False) -> tuple[int, int]:
    """The last count that was told; every episode is on the disk at most once."""
    told = [(0, 0)]
    tally = Tally(lambda *counts: told.append(counts))
    try:
        deal(crew, cut(episodes, 3, 8), 3, lambda: set(crew.disk), tally, stopped)
    finally:
        assert len(set(crew.disk)) == len(crew.disk)
    return tally.num_episodes, tally.num_actions


def test_hands_are_neighbours_and_small_enough_for_everybody() -> None:
    assert cut(range(3, 1000), 2, 64)[0] == tuple(range(3, 67))
    hands = cut(range(17), 2, 64)
    assert [number for hand in hands for number in hand] == list(range(17)) and len(hands) >= 8
    assert cut([5], 8, 64) == [(5,)]


def test_every_episode_is_recorded_once() -> None:
    crew = FakeCrew()
    assert run(crew) == (40, 80)
    assert sorted(crew.disk) == list(range(40)) and crew.most_at_once == 3 and len(crew.started) == 3


def test_no_more_workers_than_hands() -> None:
    crew = FakeCrew()
    assert run(crew, [7]) == (1, 2)
    assert crew.started == [0]


@pytest.mark.parametrize("death", ["dies", "dies after publishing"])
def test_what_a_dead_worker_has_not_published_is_dealt_again(death: str) -> None:
    rng = np.random.default_rng(0)
    crew = FakeCrew(lambda worker, number: death if worker < 12 and rng.uniform() < 0.2 else "")
    num_episodes, num_actions = run(crew)
    assert num_episodes == 40
    assert num_actions == 80 if death == "dies" else num_actions < 80  # it had no time to tell how long the last one was
    assert sorted(crew.disk) == list(range(40)) and len(crew.started) > 6


def test_deadly_episodes_end_the_job_and_the_rest_is_kept() -> None:
    crew = FakeCrew(lambda worker, number: "dies" if number == 20 else "")
    with pytest.raises(WorldModelError, match="3 recording workers died of episodes 18 to 20, the last one was killed"):
        run(crew)
    assert crew.stopped and not crew.hands


def test_a_mistake_ends_the_job_at_once_and_the_rest_is_kept() -> None:
    crew = FakeCrew(lambda worker, number: "raises" if number == 2 else "")
    with pytest.raises(MismatchError, match="no such world"):
        run(crew)
    assert crew.stopped and not crew.hands and 0 < len(crew.disk) < 20


def test_a_stopped_job_publishes_what_was_played() -> None:
    crew = FakeCrew()
    counts = run(crew, stopped=lambda: len(crew.disk) >= 10)
    assert crew.stopped and not crew.hands and counts == (len(crew.disk), 2 * len(crew.disk)) and 10 <= len(crew.disk) < 40
