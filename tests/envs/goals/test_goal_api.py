"""The goal API: on the small classics, and on a table that knows nothing of it."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

import envs
from envs.goals.api import GoalAPI
from envs.tasks.base import Status

REACH, PUSH = "worldmodel/TableReach-v0", "worldmodel/TablePush-v0"
WORLDS = (*envs.CLASSICS, envs.TABLE_CLEAR, REACH, PUSH)


def make(name: str, **kwargs: str) -> GoalAPI:
    robot = {"robot": "gantry"} if name == envs.TABLE_CLEAR else {}
    return GoalAPI(envs.make(name, image_size=16, **robot), **kwargs)


@pytest.mark.parametrize("reward", ["sparse", "dense"])
@pytest.mark.parametrize("name", WORLDS)
def test_every_step_is_paid_what_compute_reward_says_and_so_are_batches(name: str, reward: str) -> None:
    env, rng = make(name, reward=reward), np.random.default_rng(0)
    seen, rewards = [env.reset(seed=1)[0]], []
    over = False
    while not over and len(rewards) < 60:
        action = env.unwrapped.expert_action(rng)  # pyright: ignore[reportAttributeAccessIssue]
        observation, paid, terminated, truncated, info = env.step(action)
        assert env.observation_space.contains(observation)
        assert paid == env.compute_reward(observation["achieved_goal"], observation["desired_goal"], info)
        seen.append(observation)
        rewards.append(paid)
        over = terminated or truncated
    achieved, desired = (np.stack([o[key] for o in seen[1:]]) for key in ("achieved_goal", "desired_goal"))
    infos = np.array([{}] * len(rewards))
    np.testing.assert_allclose(env.compute_reward(achieved, desired, infos), rewards)
    if reward == "sparse":
        assert set(rewards) <= {-1.0, 0.0}
        assert env.compute_reward(seen[0]["achieved_goal"], seen[0]["desired_goal"], {}) == -1.0
    # hindsight: what was achieved in the end is what was wanted
    hindsight = env.compute_reward(achieved, achieved[-1:], infos)
    assert hindsight[-1] == pytest.approx(0.0, abs=1e-9) and hindsight.shape == (len(rewards),)
    np.testing.assert_array_equal(env.compute_terminated(achieved, achieved, infos), True)
    np.testing.assert_array_equal(env.compute_truncated(achieved, achieved, infos), False)
    env.close()


@pytest.mark.parametrize("name", WORLDS)
def test_success_is_the_reward_that_is_not_negative(name: str) -> None:
    env, rng = make(name), np.random.default_rng(0)
    _, info = env.reset(seed=0)
    paid, over = -1.0, False
    while not over:
        action = env.unwrapped.expert_action(rng)  # pyright: ignore[reportAttributeAccessIssue]
        _, paid, terminated, truncated, info = env.step(action)
        over = terminated or truncated
    assert info["success"] and paid == 0.0
    env.close()


def test_a_table_wants_every_object_that_there_is_in_the_bin() -> None:
    env = make(envs.TABLE_CLEAR, reward="dense", observe="proprio")
    observation, info = env.reset(seed=0)
    assert observation["observation"].shape == (6,)
    there = info["status"] != Status.ABSENT
    np.testing.assert_array_equal(observation["desired_goal"], np.where(there, Status.BIN, Status.ABSENT))
    assert env.compute_reward(observation["achieved_goal"], observation["desired_goal"], info) == -3
    env.close()


def test_a_sentence_that_asks_for_some_wants_those_in_the_bin_and_the_others_on_the_table() -> None:
    env = GoalAPI(envs.make(envs.TABLE_CLEAR, robot="gantry", image_size=16, instruction="any", num_objects=4))
    some = 0
    for seed in range(8):
        observation, info = env.reset(seed=seed)
        there, target = info["status"] != Status.ABSENT, info["target"]
        np.testing.assert_array_equal(observation["desired_goal"][there & target], Status.BIN)
        np.testing.assert_array_equal(observation["desired_goal"][there & ~target], Status.TABLE)
        some += bool(np.any(there & ~target))
    assert some > 0
    env.close()


def test_a_mark_is_a_goal_and_what_should_be_there_is_where_it_is() -> None:
    env = make(REACH)
    observation, info = env.reset(seed=3)
    world = env.unwrapped
    tip, ball = world.world.tool_position, world.task.mark  # pyright: ignore[reportAttributeAccessIssue]
    np.testing.assert_allclose(observation["achieved_goal"], tip, atol=1e-6)
    np.testing.assert_allclose(observation["desired_goal"], ball, atol=1e-6)
    at = ball + np.array([[0.0199, 0, 0], [0.0201, 0, 0]])
    np.testing.assert_array_equal(env.compute_reward(at, ball[None], info), [0.0, -1.0])
    env.close()


def test_a_mark_with_a_direction_is_a_goal_of_place_and_turn() -> None:
    env = make(PUSH)
    world = env.unwrapped
    observation, info = env.reset(seed=next(s for s in range(50) if env.reset(seed=s) and world.task.fold == 2))  # pyright: ignore
    achieved, desired = observation["achieved_goal"], observation["desired_goal"]
    assert np.linalg.norm(achieved[:2] - desired[:2]) == pytest.approx(info["distance"], abs=1e-6)
    yaw = world.task.yaw + np.deg2rad([9.9, 10.1, -9.9, 180.0, 90.0])  # pyright: ignore[reportAttributeAccessIssue]
    turned = np.column_stack([np.tile(desired[:3], (5, 1)), np.cos(2 * yaw), np.sin(2 * yaw)])
    np.testing.assert_array_equal(env.compute_reward(turned, desired[None], info), [0.0, -1.0, 0.0, 0.0, -1.0])
    beside = desired + np.array([[0.0299, 0, 0, 0, 0], [0.0301, 0, 0, 0, 0]])
    np.testing.assert_array_equal(env.compute_reward(beside, desired[None], info), [0.0, -1.0])
    round_one = np.array([[0, 0, 0, 1, 0], [0.01, 0, 0, -1, 0]])  # what is round is never turned wrong
    np.testing.assert_array_equal(env.compute_reward(round_one, round_one[:1], info), [0.0, 0.0])
    env.close()


def test_what_cannot_be_is_refused() -> None:
    class Goalless(gym.Env):
        observation_space = gym.spaces.Dict(state=gym.spaces.Box(0, 1, (2,)))

    with pytest.raises(ValueError, match=r"Goalless has none of goal_distance, task\.mark and statuses"):
        GoalAPI(Goalless())
    env = gym.make(envs.TWO_ROOMS, disable_env_checker=True)
    with pytest.raises(ValueError, match="no entry 'touch'"):
        GoalAPI(env, observe="touch")
    with pytest.raises(ValueError, match="unknown reward 'rich'"):
        GoalAPI(env, reward="rich")
    env.close()
