"""Instructions in TableClear: what is asked, when it is done, what it is worth, and that the table stays the same."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import gymnasium as gym
import mujoco
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import envs
from envs.experts.sweep_some import sweep_some
from envs.instructions.denotation import denoted
from envs.table.scene import BIN_DEPTH, BIN_FLOOR_Z, TABLE_HALF
from envs.tabletop import TabletopEnv
from envs.tasks.base import Status


@pytest.fixture(scope="module")
def env() -> Iterator[TabletopEnv]:
    world = TabletopEnv(robot="gantry", num_objects=(1, 5), instruction="any", image_size=8)
    yield world
    world.close()


def put(env: TabletopEnv, slot: int, place: str) -> None:
    """Put an object into the bin, or on the floor."""
    y, z = (TABLE_HALF + BIN_DEPTH / 2, BIN_FLOOR_Z + 0.05) if place == "bin" else (-0.8, -0.40)
    env.world.poses[slot, :3] = 0.1 * slot - 0.2, y, z
    mujoco.mj_forward(env.model, env.data)


def test_the_table_is_the_same_whatever_is_asked_of_it(env: TabletopEnv) -> None:
    plain = TabletopEnv(robot="gantry", num_objects=(1, 5), image_size=8)
    texts = set()
    for seed in range(12):
        asked, info = env.reset(seed=seed)
        same, everything = plain.reset(seed=seed)
        for key in asked:
            np.testing.assert_array_equal(asked[key], same[key])
        texts.add(info["instruction"])
        assert denoted(info["instruction"], env.objects) == set(np.flatnonzero(info["target"])) == set(_slots(env))
        assert everything["instruction"] == "clear the table"
        np.testing.assert_array_equal(everything["target"], everything["status"] == Status.TABLE)
    assert len(texts) > 8
    plain.close()


def _slots(env: TabletopEnv) -> list[int]:
    assert env.task.asking is not None
    return np.flatnonzero(env.task.asking.target).tolist()


def test_the_same_seed_asks_the_same_and_the_next_episode_something_else(env: TabletopEnv) -> None:
    first = [env.reset(seed=5)[1]["instruction"], *(env.reset()[1]["instruction"] for _ in range(5))]
    again = [env.reset(seed=5)[1]["instruction"], *(env.reset()[1]["instruction"] for _ in range(5))]
    assert first == again and len(set(first)) > 2
    assert env.instruction == first[-1]


def test_success_is_exactly_what_was_asked(env: TabletopEnv) -> None:
    env.reset(seed=26, options={"instruction": "everything"})
    thing = env.objects[0]
    _, info = env.reset(seed=26, options={"instruction": f"only the {thing.name}"})
    assert len(env.objects) > 2 and np.flatnonzero(info["target"]).tolist() == [thing.slot] and not info["success"]
    before = env.statuses()
    put(env, thing.slot, "bin")
    verdict = env.task.judge(env.world, before)
    assert (verdict.reward, verdict.success, verdict.over) == (1.0, True, True)
    other = env.objects[1].slot
    between = env.statuses()
    put(env, other, "bin")
    verdict = env.task.judge(env.world, between)
    assert (verdict.reward, verdict.success, verdict.over) == (-1.0, False, True)  # one too many


def test_what_shall_stay_costs_when_it_goes_and_a_lost_target_cannot_be_a_success(env: TabletopEnv) -> None:
    env.reset(seed=26)
    names = [thing.name for thing in env.objects[:2]]
    env.reset(seed=26, options={"instruction": f"put the {names[0]} and the {names[1]} into the bin"})
    first, second, other = (thing.slot for thing in env.objects[:3])
    before = env.statuses()
    put(env, first, "bin")
    put(env, other, "floor")
    verdict = env.task.judge(env.world, before)
    assert (verdict.reward, verdict.success, verdict.over) == (0.0, False, False)  # half won, half lost
    before = env.statuses()
    put(env, second, "floor")
    verdict = env.task.judge(env.world, before)
    assert (verdict.reward, verdict.success, verdict.over) == (-0.5, False, True)


def test_the_goal_shows_the_denoted_in_the_bin_and_the_others_where_they_start(env: TabletopEnv) -> None:
    some = 0
    for seed in range(12):
        _, start = env.reset(seed=seed)
        positions = env.positions()
        _, goal = env.reset(seed=seed, options={"goal": True})
        assert goal["success"] and goal["instruction"] == start["instruction"]
        np.testing.assert_array_equal(goal["target"], start["target"])
        stays = (start["status"] == Status.TABLE) & ~start["target"]
        some += bool(stays.any())
        assert np.all(goal["status"][stays] == Status.TABLE) and np.all(goal["status"][start["target"]] == Status.BIN)
        np.testing.assert_allclose(env.positions()[stays], positions[stays], atol=1e-3)
    assert some > 4


def test_the_expert_does_what_is_asked(env: TabletopEnv) -> None:
    rng = np.random.default_rng(0)
    wins = 0
    for seed in range(100, 110):
        _, info = env.reset(seed=seed)
        terminated = truncated = False
        while not (terminated or truncated):
            _, _, terminated, truncated, info = env.step(env.expert_action(rng))
        wins += info["success"]
    assert wins >= 9


def test_a_sweep_leaves_alone_what_shall_stay() -> None:
    rng = np.random.default_rng(0)
    touched, room_made = 0, 0
    for _ in range(60):
        places = [np.array([x, y]) for x in (-0.12, 0.0, 0.12) for y in (-0.12, 0.0, 0.12)]
        chosen = [places[i] + rng.uniform(-0.015, 0.015, 2) for i in rng.permutation(9)[:4]]
        target, others = (chosen[0], 0.03), [(place, 0.03) for place in chosen[1:]]
        start, end = sweep_some([target], others, rng)
        room_made += end[1] < 0.3
        along = (end - start) / np.hypot(*(end - start))
        edge = np.linspace(-0.065, 0.065, 27)[:, None] * np.array([-along[1], along[0]])  # the paddle's lower edge
        swept = (np.linspace(0, 1, 60)[:, None, None] * (end - start) + start + edge).reshape(-1, 2)
        pushed = others if end[1] > 0.3 else [other for other in others if np.hypot(*(other[0] - start)) > 0.07]
        touched += any(np.hypot(*(swept - place).T).min() < radius for place, radius in pushed)
    assert touched <= 6 and 3 <= room_made <= 40


def test_the_words_can_be_observed_and_the_environment_is_checked_with_them() -> None:
    kwargs = {"robot": "gantry", "max_sweeps": 2, "instruction": "any", "paraphrases": "held_out"}
    env = gym.make(envs.TABLE_CLEAR, observations=["pixels", "instruction"], **kwargs)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped, skip_render_check=True)
    seen, info = env.reset(seed=0)
    assert bytes(seen["instruction"]).rstrip(b"\0").decode() == info["instruction"]
    about = env.unwrapped.describe()  # pyright: ignore[reportAttributeAccessIssue]
    assert {"instruction": "any", "paraphrases": "held_out"}.items() <= about["env_kwargs"].items()
    assert about["sensors"]["instruction"] == {"shape": [128], "dtype": "uint8", "kind": "vector"}
    env.close()


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [({"instruction": "some"}, "unknown instruction 'some'"), ({"paraphrases": "test"}, "unknown paraphrases 'test'")],
)
def test_a_wrong_argument_is_named(kwargs: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TabletopEnv(robot="gantry", **kwargs)  # pyright: ignore[reportArgumentType]


def test_words_that_fit_nothing_are_refused(env: TabletopEnv) -> None:
    with pytest.raises(ValueError, match="there is no orange plate"):
        env.reset(seed=0, options={"instruction": "only the orange plate"})
