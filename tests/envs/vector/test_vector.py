"""Many at once: to the bit what single environments do, in each autoreset mode, and one that fails stops no other."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ClosedEnvironmentError, InvalidAction, ResetNeeded
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import DictInfoToList, RecordEpisodeStatistics

import envs
from envs.tabletop import TabletopEnv
from envs.vector.env import PooledVectorEnv
from envs.vector.worker import Share, Simulations, array_over, shared_memory
from tests.envs.vector.troubled import Counter, TroubledTable

NUM = 4


def same(a: Any, b: Any) -> None:
    """Equal to the bit, types included."""
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert sorted(a) == sorted(b)
        for key in a:
            same(a[key], b[key])
    elif isinstance(a, tuple | list):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            same(x, y)
    elif isinstance(a, np.ndarray) and a.dtype == object:
        same(list(a), list(b))
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    else:
        assert a == b


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_everything_is_what_gymnasium_gives_for_single_environments(mode: AutoresetMode) -> None:
    kwargs: dict[str, Any] = {"robot": "gantry", "max_sweeps": 3, "num_objects": (1, 3)}
    many = gym.make_vec(envs.TABLE_CLEAR, num_envs=NUM, num_workers=2, autoreset_mode=mode, **kwargs)
    assert isinstance(many, PooledVectorEnv) and many.metadata["autoreset_mode"] is mode
    one: Any = SyncVectorEnv([lambda: TabletopEnv(**kwargs)] * NUM, autoreset_mode=mode)
    assert many.observation_space == one.observation_space and many.action_space == one.action_space
    assert many.single_observation_space == one.single_observation_space
    same(many.reset(seed=7), one.reset(seed=7))
    rng = np.random.default_rng(0)
    ended = 0
    for _ in range(8):
        actions = np.stack([env.unwrapped.aimed_action(rng) for env in one.envs])
        stepped = many.step(actions)
        same(stepped, one.step(actions))
        assert many.observation_space.contains(stepped[0])
        over = stepped[2] | stepped[3]
        ended += int(over.sum())
        if mode is AutoresetMode.DISABLED and over.any():
            with pytest.raises(ResetNeeded, match="are over"):
                many.step(actions)
            same(many.reset(options={"reset_mask": over}), one.reset(options={"reset_mask": over.copy()}))
    assert ended > NUM / 2
    some = np.arange(NUM) % 2 == 0  # in every mode, also those whose reset is due
    same(many.reset(seed=90, options={"reset_mask": some}), one.reset(seed=90, options={"reset_mask": some.copy()}))
    same(many.reset(seed=[3, None, 5, 3], options={"goal": True}), one.reset(seed=[3, None, 5, 3], options={"goal": True}))
    assert many.render() is None
    assert many.get_attr("np_random_seed")[::2] == (3, 5)
    many.close()
    many.close()
    one.close()
    assert not multiprocessing.active_children()  # none is left behind


def test_the_arm_sweeps_the_same_in_a_worker() -> None:
    many = gym.make_vec(envs.TABLE_CLEAR, num_envs=2, num_workers=1, render_mode="rgb_array")
    one = TabletopEnv(render_mode="rgb_array")
    same({key: value[1] for key, value in many.reset(seed=0)[0].items()}, one.reset(seed=1)[0])
    rng = np.random.default_rng(0)
    for _ in range(3):
        action = one.aimed_action(rng)
        seen, reward, *_ = one.step(action)
        stepped = many.step(np.stack([action, action]))
        same({key: value[1] for key, value in stepped[0].items()}, seen)
        assert stepped[1][1] == reward
    pictures = many.render()
    assert pictures is not None and len(pictures) == 2
    same(pictures[1], one.render())
    many.close()
    one.close()


@pytest.fixture(scope="module")
def pooled() -> Iterator[PooledVectorEnv]:
    world = PooledVectorEnv(TroubledTable, NUM, num_workers=2, patience=20.0, robot="gantry")
    yield world
    world.close()


@pytest.fixture(scope="module")
def singles() -> Iterator[list[TabletopEnv]]:
    worlds = [TabletopEnv(robot="gantry") for _ in range(NUM)]
    yield worlds
    for world in worlds:
        world.close()


ACTIONS = np.array([[-0.5, -0.6, 0.4, 0.9], [0.3, -0.9, 0.3, 1.0], [0.0, -0.9, -0.4, 0.8], [0.7, -0.5, 0.1, 0.5]], np.float32)


@pytest.mark.parametrize(
    ("trouble", "message"), [("explode", "Nan, Inf or huge value in QPOS"), ("raise", "RuntimeError: the cup broke")]
)
def test_one_that_fails_is_cut_short_reset_reported_and_counted(
    pooled: PooledVectorEnv, singles: list[TabletopEnv], trouble: str, message: str
) -> None:
    first, _ = pooled.reset(seed=20)
    for i, single in enumerate(singles):
        single.reset(seed=20 + i)
    before = pooled.num_failures.copy()
    pooled.call_each("expect", [(None,), (trouble,), (None,), (None,)])
    seen, rewards, terminated, truncated, infos = pooled.step(ACTIONS)
    assert infos["_failure"].tolist() == [False, True, False, False] and message in infos["failure"][1]
    assert rewards[1] == 0 and not terminated[1] and truncated.tolist() == [False, True, False, False]
    assert (pooled.num_failures - before).tolist() == [0, 1, 0, 0]
    for i in (0, 2, 3):
        expected, reward, *_ = singles[i].step(ACTIONS[i])
        same({key: value[i] for key, value in seen.items()}, expected)
        assert rewards[i] == reward
    same({key: value[1] for key, value in seen.items()}, {key: value[1] for key, value in first.items()})

    seen, *_, infos = pooled.step(ACTIONS)  # the next episode of its own random numbers; the others go on
    same({key: value[1] for key, value in seen.items()}, singles[1].reset()[0])
    same({key: value[3] for key, value in seen.items()}, singles[3].step(ACTIONS[3])[0])
    assert "failure" not in infos and (pooled.num_failures - before).sum() == 1


def test_a_worker_that_dies_is_replaced_and_the_others_go_on(pooled: PooledVectorEnv, singles: list[TabletopEnv]) -> None:
    first, _ = pooled.reset(seed=40)
    for i, single in enumerate(singles):
        single.reset(seed=40 + i)
    before = pooled.num_failures.copy()
    pooled.call_each("expect", [(None,), (None,), (None,), ("die",)])
    seen, _, _, truncated, infos = pooled.step(ACTIONS)
    assert truncated.tolist() == [False, False, True, True]
    assert infos["failure"][2] == infos["failure"][3] == "the worker of simulations 2 to 3 ended with exit code 3"
    assert (pooled.num_failures - before).tolist() == [0, 0, 1, 1]
    same({key: value[3] for key, value in seen.items()}, {key: value[3] for key, value in first.items()})
    fresh, *_ = pooled.step(ACTIONS)
    for i in (0, 1):
        same({key: value[i] for key, value in seen.items()}, singles[i].step(ACTIONS[i])[0])
        same({key: value[i] for key, value in fresh.items()}, singles[i].step(ACTIONS[i])[0])
    assert fresh["state"][3].any() and not np.array_equal(fresh["state"][3], seen["state"][3])
    same({key: value[2] for key, value in pooled.reset(seed=0)[0].items()}, singles[2].reset(seed=2)[0])


def test_a_worker_that_hangs_is_replaced_in_mode_same_step() -> None:
    others = multiprocessing.active_children()
    world = PooledVectorEnv(TroubledTable, 2, num_workers=2, patience=5.0, autoreset_mode="SameStep", robot="gantry")
    first, _ = world.reset(seed=0)
    world.call_each("expect", [(None,), ("hang",)])
    seen, _, _, truncated, infos = world.step(ACTIONS[:2])
    assert truncated.tolist() == [False, True] and "gave no answer in 5 s" in infos["failure"][1]
    same(infos["final_obs"][1], {key: value[1] for key, value in first.items()})
    assert infos["final_info"]["failure"][1] == infos["failure"][1]
    assert not np.array_equal(seen["state"][1], first["state"][1])
    world.close()
    assert set(multiprocessing.active_children()) == set(others)


def test_wrong_calls_are_refused_before_anything_is_stepped(pooled: PooledVectorEnv) -> None:
    pooled.reset(seed=0)
    with pytest.raises(InvalidAction, match=r"shape \(4, 4\)"):
        pooled.step(np.full((NUM, 4), np.nan))
    with pytest.raises(InvalidAction):
        pooled.step(np.zeros(4))
    with pytest.raises(ValueError, match="unknown reset options"):
        pooled.reset(options={"gaol": True})
    with pytest.raises(ValueError, match="reset_mask"):
        pooled.reset(options={"reset_mask": np.zeros(NUM, np.bool_)})
    with pytest.raises(ValueError, match="4 seeds"):
        pooled.reset(seed=[1, 2])
    with pytest.raises(AttributeError):
        pooled.call("no_such_method")
    pooled.set_attr("max_sweeps", [1, 2, 3, 4])
    assert pooled.get_attr("max_sweeps") == (1, 2, 3, 4)
    pooled.set_attr("max_sweeps", 8)


@pytest.mark.parametrize("kwargs", [{"robot": "amr"}, {"num_envs": 0}, {"num_workers": 0}, {"patience": 0}])
def test_a_wrong_argument_is_named(kwargs: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(kwargs))):
        gym.make_vec(envs.TABLE_CLEAR, **kwargs)


def test_gymnasiums_vector_wrappers_fit() -> None:
    world = PooledVectorEnv(Counter, 3, num_workers=8, max_episode_steps=1)
    with pytest.raises(ResetNeeded):
        world.step(np.zeros((3, 1)))
    wrapped = DictInfoToList(RecordEpisodeStatistics(world))
    wrapped.reset(seed=0)
    _, _, terminated, truncated, infos = wrapped.step(np.zeros((3, 1), np.float32))
    assert truncated.all() and not terminated.any()
    assert [info["episode"]["l"] for info in infos] == [1, 1, 1]
    wrapped.close()
    with pytest.raises(ClosedEnvironmentError):
        world.reset()


def test_one_that_cannot_be_reset_is_built_anew_with_its_random_numbers() -> None:
    memory = shared_memory(Counter.observation_space, 2)
    simulations = Simulations(Share(Counter, 0, 2, AutoresetMode.NEXT_STEP, memory, 2))
    simulations.reset([5, 6], None, [True, True])
    reference = Counter()
    reference.reset(seed=6)
    for _ in range(2):
        simulations.step(np.zeros((2, 1)))
    simulations.set_attr("stuck", [False, True])
    made = Counter.made
    (_, _, _, well), (reward, terminated, truncated, info) = simulations.step(np.zeros((2, 1)))
    assert Counter.made == made + 1
    assert "built anew" in info["failure"] and "OSError: stuck" in info["failure"] and "failure" not in well
    assert (reward, terminated, truncated) == (0.0, False, False)
    assert info["draw"] == reference.reset()[1]["draw"]
    assert array_over(memory["count"], Counter.observation_space["count"], 2).ravel().tolist() == [0, 0]
    assert simulations.step(np.zeros((2, 1)))[1][0] == 1.0
