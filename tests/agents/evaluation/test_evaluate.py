"""Evaluation in a world whose starts and scores are known."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from agents.baselines import ExpertAgent, RandomAgent
from agents.evaluation.evaluate import EvalConfig, draw_starts, evaluate, play_episode, protocol_of
from agents.evaluation.journal import source_hash
from agents.evaluation.protocol import evaluation_seeds
from agents.evaluation.scores import AgentScore, EpisodeResult
from agents.worldspec import spec_of
from tests.agents.test_mpc import clearing
from tests.fakes import LineWorld
from worldmodel.errors import ConfigError, DataError, MismatchError

CONFIG = EvalConfig(num_episodes=6)


def agents() -> dict:
    return {"random": RandomAgent(spec_of(LineWorld()).action), "worldmodel": clearing(), "expert": ExpertAgent()}


class Counting(LineWorld):
    """Counts the episodes that were really played."""

    played = 0

    def step(self, action: np.ndarray):
        self.played += self.count == 0
        return super().step(action)


class Dropping(ExpertAgent):
    """Hits every object to the wrong side."""

    identity = "dropping"

    def act(self, observations, envs=()):
        return super().act(observations, envs) * np.array([1, -1], np.float32)


def test_the_table_has_floor_and_ceiling_from_the_same_starts() -> None:
    found = evaluate(LineWorld(max_sweeps=3), agents(), CONFIG)
    assert found.scores["expert"].success.rate == found.scores["worldmodel"].success.rate == 1
    assert found.scores["random"].success.rate < 1
    starts = {name: [e.seed for e in found.episodes if e.agent == name] for name in found.scores}
    assert starts["random"] == starts["worldmodel"] == starts["expert"] == list(found.protocol.starts)
    assert len(set(found.protocol.starts)) == 6 and max(found.protocol.starts) < 1_000_000


def test_the_json_is_what_was_promised(tmp_path: Path) -> None:
    found = evaluate(LineWorld(), agents(), CONFIG)
    found.save(tmp_path / "evaluation.json")
    read = json.loads((tmp_path / "evaluation.json").read_text())
    assert read["protocol"]["hash"] == found.protocol.hash and read["protocol"]["env_id"] == "LineWorld"
    assert set(read["agents"]) == {"random", "worldmodel", "expert"}
    expert = read["agents"]["expert"]
    assert set(expert) == {"n", "success", "objects_cleared", "dropped", "plan_ms", "returns"}
    assert expert["returns"] == {"mean": 2.0, "low": 2.0, "high": 2.0}  # each of two objects pays 1
    assert expert["n"] == 6 and expert["objects_cleared"] == 1 and expert["dropped"] == 0
    assert expert["success"] == {"rate": 1.0, "low": pytest.approx(0.6096657), "high": 1.0}
    assert set(expert["plan_ms"]) == {"p50", "p95"} and 0 < expert["plan_ms"]["p50"] <= expert["plan_ms"]["p95"]
    assert len(read["episodes"]) == 18 and read["machine"]["cores"] >= 1


def test_solved_starts_are_redrawn() -> None:
    world = LineWorld()
    starts = draw_starts(world, 20, seed=0)
    tried = []
    for seed in evaluation_seeds(0):
        _, info = world.reset(seed=seed)
        tried.append(info["success"])
        if not info["success"]:
            assert seed in starts
        else:
            assert seed not in starts
        if len(tried) - sum(tried) == 20:
            break
    assert sum(tried) > 0  # there were some to be redrawn
    assert draw_starts(world, 5, seed=0) == starts[:5]


def test_a_task_that_is_always_solved_is_named() -> None:
    class Solved(LineWorld):
        def reset(self, **kwargs):
            observation, info = super().reset(**kwargs)
            return observation, {**info, "success": True}

    with pytest.raises(MismatchError, match="asks for nothing"):
        draw_starts(Solved(), 2, seed=0)


def test_dropped_objects_count_against() -> None:
    found = evaluate(LineWorld(), {"dropping": Dropping()}, CONFIG)
    score = found.scores["dropping"]
    assert (score.success.rate, score.objects_cleared, score.dropped) == (0, 0, 1)


def test_scores_by_hand() -> None:
    def episode(success: bool, cleared: int, dropped: int, plan_ms: tuple[float, ...]) -> EpisodeResult:
        return EpisodeResult("a", 0, 0, success, 3, cleared, dropped, len(plan_ms), plan_ms, float(cleared))

    score = AgentScore.of([episode(True, 3, 0, (10.0, 20.0)), episode(False, 1, 1, (30.0,))])
    assert score.n == 2 and score.success.rate == 0.5
    assert score.objects_cleared == pytest.approx(4 / 6) and score.dropped == pytest.approx(1 / 6)
    assert (score.plan_ms.p50, score.plan_ms.p95) == pytest.approx((20.0, 29.0))
    assert score.returns is not None
    mean, low, high = score.returns.mean, score.returns.low, score.returns.high
    assert (mean, low, high) == pytest.approx((2, 2 - 1.96, 2 + 1.96))  # std sqrt(2) of two
    old = EpisodeResult("a", 0, 0, True, 3, 3, 0, 1, (1.0,))  # kept before returns were
    assert AgentScore.of([old, episode(True, 3, 0, (1.0,))]).returns is None


def test_the_budget_ends_an_episode() -> None:
    class Idle(RandomAgent):
        def act(self, observations, envs=()):
            return np.full((1, 2), 1.0, np.float32)  # nothing is that far out

    idle = Idle(spec_of(LineWorld()).action)
    assert play_episode(LineWorld(max_sweeps=4), idle, 3).num_actions == 4
    assert play_episode(LineWorld(max_sweeps=4), idle, 3, budget=2).num_actions == 2


def test_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    journal = tmp_path / "episodes.jsonl"
    whole = evaluate(LineWorld(), agents(), CONFIG)

    class Interrupting:
        def update(self, done: int, total: int, **fields: str | float) -> None:
            assert total == 18
            if done == 8:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(Counting(), agents(), CONFIG, journal=journal, progress=Interrupting())
    with journal.open("a") as file:
        file.write('{"protocol": "torn')  # a crash while writing
    world = Counting()
    resumed = evaluate(world, agents(), CONFIG, journal=journal)
    assert world.played == 10
    assert without_times(resumed.episodes) == without_times(whole.episodes)
    again = Counting()
    assert evaluate(again, agents(), CONFIG, journal=journal).to_json()["agents"] == resumed.to_json()["agents"]
    assert again.played == 0


def without_times(episodes) -> list[dict]:
    return [{**e.to_json(), "plan_ms": None} for e in episodes]


def test_more_episodes_extend_and_another_agent_starts_anew(tmp_path: Path) -> None:
    def played(num_episodes: int = 6, bank: int = 0) -> int:
        world = Counting()
        found = evaluate(world, {"worldmodel": clearing(bank)}, EvalConfig(num_episodes), journal=tmp_path / "episodes.jsonl")
        assert found.scores["worldmodel"].n == num_episodes
        return world.played

    assert played() == 6
    assert played() == 0
    assert played(num_episodes=8) == 2
    assert played(bank=1) == 6  # the same name and other proposals
    assert played() == 0


def test_a_changed_program_starts_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, world = tmp_path / "episodes.jsonl", Counting()
    for source, played in (("old", 6), ("old", 6), ("new", 12)):
        monkeypatch.setattr("agents.evaluation.journal.source_hash", lambda env, source=source: source)
        evaluate(world, {"expert": ExpertAgent()}, CONFIG, journal=journal)
        assert world.played == played


def test_the_source_hash_covers_the_environments_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "somewhere"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "world.py").write_text("from tests.fakes import LineWorld\nclass World(LineWorld): pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    world = importlib.import_module("somewhere.world").World()
    before = source_hash(world)
    assert before == source_hash(world) != source_hash(LineWorld())
    (package / "world.py").write_text("from tests.fakes import LineWorld\nclass World(LineWorld): reach = 0.2\n")
    assert source_hash(world) != before


def test_the_source_hash_covers_a_world_that_is_adapted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere.py").write_text("from tests.fakes import LineWorld\nclass World(LineWorld): pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    world, adapted = importlib.import_module("elsewhere").World(), LineWorld()
    adapted.inner = gymnasium.wrappers.TimeLimit(world, 9)  # type: ignore[attr-defined]
    before = source_hash(adapted)
    assert before != source_hash(LineWorld())
    (tmp_path / "elsewhere.py").write_text("from tests.fakes import LineWorld\nclass World(LineWorld): reach = 0.2\n")
    assert source_hash(adapted) != before


def test_starts_that_were_trained_on_are_refused() -> None:
    start = protocol_of(LineWorld(), CONFIG).starts[0]
    with pytest.raises(MismatchError, match="were trained on"):
        evaluate(LineWorld(), agents(), CONFIG, trained_on=[(start, start)])


def test_drawing_the_starts_is_shown_before_the_first_episode() -> None:
    told: list[tuple[int, int, dict]] = []

    class Noting:
        def update(self, done: int, total: int, **fields: str | float) -> None:
            told.append((done, total, fields))

    evaluate(LineWorld(), {"expert": ExpertAgent()}, EvalConfig(num_episodes=3), progress=Noting())
    assert told[:3] == [(0, 3, {"drawing": f"start {k} of 3"}) for k in (1, 2, 3)]
    assert [done for done, _, _ in told[3:]] == [1, 2, 3]


def test_the_environment_must_be_the_one_that_was_asked_for() -> None:
    gymnasium.register("LineWorld-v0", entry_point="tests.fakes:LineWorld")
    try:
        world = gymnasium.make("LineWorld-v0", num_objects=2)
        config = EvalConfig(num_episodes=2, num_objects=3)
        assert config.env_overrides() == {"num_objects": 3}
        with pytest.raises(MismatchError, match="num_objects is 2 in the environment and 3 in the evaluation"):
            protocol_of(world, config)
        assert protocol_of(gymnasium.make("LineWorld-v0", num_objects=3), config).env_kwargs == {"num_objects": 3}
    finally:
        del gymnasium.registry["LineWorld-v0"]


def test_floor_and_ceiling_always_play() -> None:
    assert EvalConfig(agents=("worldmodel:goal", "expert", "worldmodel")).players == (
        "random", "worldmodel:goal", "worldmodel", "expert",
    )  # fmt: skip
    assert EvalConfig(agents=("expert", "random")).players == ("random", "expert")


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        EvalConfig(num_episodes=0)
    with pytest.raises(ConfigError, match="no agents"):
        evaluate(LineWorld(), {}, CONFIG)
    (tmp_path / "other.jsonl").write_text('{"step": 1}\n')
    with pytest.raises(DataError, match="no journal"):
        evaluate(LineWorld(), agents(), CONFIG, journal=tmp_path / "other.jsonl")

    class Silent(LineWorld):
        def _info(self):
            return {"success": False}

    with pytest.raises(MismatchError, match="has no 'num_objects'"):
        evaluate(Silent(), agents(), CONFIG)
