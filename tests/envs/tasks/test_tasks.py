"""Tasks x control modes of the table: Gymnasium's contract, seeds to the bit, goals, rewards, experts, many at once."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import SyncVectorEnv

import envs
from agents.worldspec import spec_of
from envs.tabletop import TabletopEnv
from envs.tasks import TASKS
from envs.tasks.marked import MarkedTask
from envs.tasks.reach import TableReach

CORE = ("reach", "push", "pick", "clear")
PAIRS = [(task, control) for task in CORE for control in TASKS[task]().budgets]


@pytest.mark.parametrize(("task", "control"), PAIRS)
def test_gymnasium_checks_every_pair_without_a_warning(task: str, control: str) -> None:
    env = gym.make(TASKS[task]().env_id, robot="gantry", control_mode=control, render_mode="rgb_array")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)
    env.close()
    env.close()


@pytest.mark.parametrize(("task", "control"), PAIRS)
def test_a_recording_and_a_manifest_can_say_what_it_is(task: str, control: str) -> None:
    env = gym.make(TASKS[task]().env_id, robot="gantry", control_mode=control)
    spec = spec_of(env)
    assert spec.env_id == TASKS[task]().env_id and spec.control_mode == control
    assert (spec.action.dim,) == env.action_space.shape
    assert set(spec.action.low) == {-1.0} and set(spec.action.high) == {1.0}
    assert bool(spec.action.points) == (control in ("sweep", "pick_place"))
    again = gym.make(spec.env_id, **spec.env_kwargs)
    assert spec_of(again) == spec
    for key, sensor in spec.sensors.items():
        assert isinstance(env.observation_space, gym.spaces.Dict)
        assert env.observation_space[key].shape == sensor.shape
        assert not sensor.names or len(sensor.names) == sensor.shape[0]
    env.close()
    again.close()


def digest(task: str, control: str, robot: str) -> str:
    """Hash of what an episode's first steps return."""
    env, result = TabletopEnv(robot, task=task, control_mode=control), hashlib.sha256()
    rng = np.random.default_rng(0)
    obs, info = env.reset(seed=5)
    for _ in range(12 if not env.control.is_skill else 2):
        for key in sorted(obs):
            result.update(obs[key].tobytes())
        obs, reward, *_, info = env.step(env.aimed_action(rng))
        result.update(repr((reward, info["success"], info["peak_force"])).encode() + env.data.qpos.tobytes())
    env.close()
    return result.hexdigest()


@pytest.mark.parametrize(("task", "control"), [("pick", "pick_place"), ("push", "ee_delta"), ("clear", "joint")])
def test_a_seed_is_the_same_episode_to_the_bit(task: str, control: str) -> None:
    assert digest(task, control, "gantry") == digest(task, control, "gantry")


@pytest.mark.slow
def test_a_seed_is_the_same_episode_in_another_process() -> None:
    code = "from tests.envs.tasks.test_tasks import digest; print(digest('pick', 'ee_delta', 'arm'))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == digest("pick", "ee_delta", "arm")


@pytest.mark.parametrize("task", CORE)
def test_a_goal_is_a_success_and_a_start_is_none(task: str) -> None:
    env = TabletopEnv("gantry", task=task)
    for seed in range(4):
        assert not env.reset(seed=seed)[1]["success"]
        said = env.instruction
        assert env.reset(seed=seed, options={"goal": True})[1]["success"], seed
        assert env.instruction == said
    env.close()


@pytest.mark.parametrize(("task", "control"), PAIRS)
def test_the_expert_is_done_soon_and_paid_for_it(task: str, control: str) -> None:
    robot = "arm" if (task, control) == ("push", "sweep") else "gantry"  # whose light wrist the corner of a box sets swinging
    env = TabletopEnv(robot, task=task, control_mode=control, num_objects=1 if task == "clear" else None)
    rng = np.random.default_rng(0)
    for seed in range(2):
        env.reset(seed=seed)
        total, over, info = 0.0, False, {}
        while not over:
            action = env.expert_action(rng)
            assert action.dtype == np.float32 and env.action_space.contains(action)
            _, reward, terminated, truncated, info = env.step(action)
            total, over = total + reward, terminated or truncated
        assert info["success"] and info["workspace_violations"] == 0 and info["num_dropped"] == 0
        assert total > 0.7
        assert env.steps < 0.6 * env.max_steps
    env.close()


def test_reach_pays_for_what_comes_nearer() -> None:
    env = TabletopEnv("gantry", task="reach")
    env.reset(seed=0)
    assert isinstance(env.task, TableReach)
    mark = env.task.mark
    before = np.linalg.norm(env.world.tool_position - mark)
    first = before
    for _ in range(3):
        action = np.append(np.sign(mark - env.world.tool_position) * 0.5, [0, 1.0])
        obs, reward, *_ = env.step(action)
        after = np.linalg.norm(env.world.tool_position - mark)
        assert reward == pytest.approx((before - after) / first)
        before = after
    np.testing.assert_allclose(obs["state"][40:43], mark, atol=1e-6)
    env.close()


def test_what_is_held_over_the_mark_has_not_arrived() -> None:
    env = TabletopEnv("gantry", task="pick", control_mode="ee_delta", num_objects=1)
    rng = np.random.default_rng(0)
    env.reset(seed=2)
    task = env.task
    assert isinstance(task, MarkedTask)
    seen_held = False
    for _ in range(150):
        _, _, over, _, info = env.step(env.expert_action(rng))
        if env.world.held()[task.target]:
            seen_held = True
            assert not info["success"] and not over
        if over:
            break
    assert seen_held and info["success"] and info["distance"] < task.tolerance
    env.close()


def test_what_falls_off_the_table_ends_the_episode() -> None:
    env = TabletopEnv("gantry", task="pick", control_mode="pick_place", num_objects=1)
    env.reset(seed=0)
    slot = env.objects[0].slot
    env.world.poses[slot, :3] = [0.5, 0.0, 0.1]
    _, reward, over, _, info = env.step(np.zeros(6))
    assert over and not info["success"] and reward < 0 and info["num_dropped"] == 1
    env.close()


def test_the_instruction_names_the_object_that_counts() -> None:
    env = TabletopEnv("gantry", task="pick", num_objects=3)
    names = set()
    for seed in range(6):
        _, info = env.reset(seed=seed)
        thing = next(thing for thing in env.objects if info["target"][thing.slot])
        assert env.instruction == f"put the {thing.name} onto the mark" and info["target"].sum() == 1
        names.add(thing.slot)
    assert len(names) > 1
    env.close()


@pytest.mark.parametrize(("task", "control"), [("pick", "ee_delta"), ("pick", "pick_place"), ("push", "sweep")])
def test_many_at_once_are_the_single_ones_to_the_bit(task: str, control: str) -> None:
    kwargs: dict[str, Any] = {"robot": "gantry", "control_mode": control, "max_sweeps": 6}
    many = gym.make_vec(TASKS[task]().env_id, num_envs=2, num_workers=1, **kwargs)
    one: Any = SyncVectorEnv([lambda: TabletopEnv(task=task, **kwargs)] * 2)
    same, rng = many.reset(seed=3)[0], np.random.default_rng(0)
    np.testing.assert_array_equal(same["pixels"], one.reset(seed=3)[0]["pixels"])
    for _ in range(8):
        actions = np.stack([single.unwrapped.aimed_action(rng) for single in one.envs])
        ours, theirs = many.step(actions), one.step(actions)
        for key, value in ours[0].items():
            np.testing.assert_array_equal(value, theirs[0][key])
        for a, b in zip(ours[1:4], theirs[1:4], strict=True):
            np.testing.assert_array_equal(a, b)
    many.close()
    one.close()


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"task": "pik"}, "unknown task 'pik'.*pick"),
        ({"task": "reach", "control_mode": "sweep"}, "control_mode"),
        ({"task": "clear", "num_objects": 0}, "num_objects must lie in 1..5"),
        ({"max_steps": 3, "max_sweeps": 4}, "two names"),
    ],
)
def test_a_wrong_argument_is_named(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TabletopEnv(**kwargs)


def test_every_task_has_its_id() -> None:
    assert {TASKS[name]().env_id for name in TASKS} == {envs.TABLE_CLEAR, *envs.TABLE_TASKS}
    for env_id, name in envs.TABLE_TASKS.items():
        assert TASKS[name]().env_id == env_id


@pytest.mark.parametrize(("control", "name"), [("sweep", "max_sweeps"), ("ee_delta", "max_steps"), ("pick_place", "max_steps")])
def test_a_budget_is_told_by_the_name_of_what_it_counts_and_taken_by_both(control: str, name: str) -> None:
    for given in ("max_sweeps", "max_steps"):
        asked: dict[str, Any] = {"control_mode": control, "observations": ["state"], given: 5}
        env = TabletopEnv("gantry", **asked)
        kwargs = env.describe()["env_kwargs"]
        assert kwargs[name] == 5 and kwargs.keys().isdisjoint({"max_sweeps", "max_steps"} - {name})
        assert env.max_sweeps == env.max_steps == TabletopEnv(**kwargs).max_steps == 5
        env.close()
