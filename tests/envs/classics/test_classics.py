"""What TwoRooms, Reacher and PushT have in common: the Gymnasium contract, goals, determinism, what recorders ask."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
import pytest
from gymnasium.envs.registration import load_env_creator
from gymnasium.utils.env_checker import check_env

import envs
from agents.goals import goal_observation
from agents.recording.record import RecordConfig, play_recorded
from agents.worldspec import spec_of
from envs.classics.ahead import goal_ahead
from envs.classics.base import ClassicEnv
from envs.tasks.base import Status
from worldmodel.types import WorldSpec

VARIANTS: tuple[tuple[str, dict[str, Any]], ...] = (
    (envs.TWO_ROOMS, {}),
    (envs.TWO_ROOMS, {"layout": "random"}),
    (envs.REACHER, {}),
    (envs.REACHER, {"task": "hard"}),
    (envs.PUSH_T, {}),
    (envs.PUSH_T, {"success": "coverage", "control": "absolute"}),
)
NAMES = [f"{name.split('/')[1]}-{'-'.join(kwargs.values())}" for name, kwargs in VARIANTS]


def make(name: str, kwargs: dict[str, Any], **more: Any) -> ClassicEnv:
    env = gym.make(name, disable_env_checker=True, **kwargs, **more).unwrapped
    assert isinstance(env, ClassicEnv)
    return env


@pytest.fixture(scope="module", params=VARIANTS, ids=NAMES)
def env(request: pytest.FixtureRequest) -> Iterator[ClassicEnv]:
    world = make(*request.param)
    yield world
    world.close()


@pytest.mark.parametrize(("name", "kwargs"), VARIANTS, ids=NAMES)
def test_gymnasium_checks_the_environment_without_a_warning(name: str, kwargs: dict[str, Any]) -> None:
    env = gym.make(name, render_mode="rgb_array", max_steps=3, **kwargs)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)
    env.close()
    env.close()


def play(env: ClassicEnv, seed: int, num_steps: int = 12) -> list[dict[str, np.ndarray]]:
    """Observations of an episode that the expert and the aimed policy share."""
    seen, rng = [env.reset(seed=seed)[0]], np.random.default_rng(seed)
    for t in range(num_steps):
        seen.append(env.step(env.expert_action(rng) if t % 3 else env.aimed_action(rng))[0])
    return seen


def digest(name: str, kwargs: dict[str, Any]) -> str:
    """Hash of an episode."""
    world, found = make(name, kwargs), hashlib.sha256()
    for observation in play(world, 7):
        for key in sorted(observation):
            found.update(observation[key].tobytes())
    world.close()
    return found.hexdigest()


def test_a_seed_is_the_same_episode_to_the_bit_whatever_was_played_before(env: ClassicEnv) -> None:
    alone = {seed: play(env, seed) for seed in range(3)}
    for seed in reversed(range(3)):
        for a, b in zip(alone[seed], play(env, seed), strict=True):
            for key in a:
                np.testing.assert_array_equal(a[key], b[key])


@pytest.mark.slow
def test_a_seed_is_the_same_episode_in_another_process() -> None:
    code = "from tests.envs.classics.test_classics import VARIANTS, digest; print(*[digest(*v) for v in VARIANTS])"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.split() == [digest(*variant) for variant in VARIANTS]


def test_the_expert_reaches_the_goal_and_is_paid_for_it(env: ClassicEnv) -> None:
    rng = np.random.default_rng(0)
    for seed in range(3):
        total, terminated, truncated, (_, info) = 0.0, False, False, env.reset(seed=seed)
        assert not info["success"]
        while not (terminated or truncated):
            _, reward, terminated, truncated, info = env.step(env.expert_action(rng))
            total += reward
        assert terminated and not truncated and info["success"] and total == 1.0
        assert info["num_cleared"] == 1 and set(info["status"]) == {Status.BIN}


def test_the_budget_truncates_and_does_not_terminate(env: ClassicEnv) -> None:
    env.reset(seed=0)
    env.steps = env.max_steps - 2
    still = np.zeros(2) if env.control_mode != "absolute" else 2 * env.state()[:2] / 512 - 1
    assert env.step(still)[2:4] == (False, False)
    _, reward, terminated, truncated, info = env.step(still)
    assert (reward, terminated, truncated, info["success"]) == (0.0, False, True, False)


def test_a_state_that_is_set_is_the_state_that_was_seen(env: ClassicEnv) -> None:
    for seen in play(env, 3)[::4]:
        goal = env.goal_state
        again, _ = env.reset(seed=0, options={"state": seen["state"], "goal_state": goal})
        np.testing.assert_allclose(again["state"], seen["state"], atol=1e-4)
        np.testing.assert_allclose(again["proprio"], seen["proprio"], atol=1e-4)
        difference = np.abs(again["pixels"].astype(int) - seen["pixels"])
        assert difference.max() <= 4 and difference.mean() < 0.02  # the state was rounded to float32


def test_the_goal_picture_is_the_goal_state_seen(env: ClassicEnv) -> None:
    _, info = env.reset(seed=5)
    picture, before = env.goal_pixels, env.state()
    np.testing.assert_array_equal(env.state(), before)  # looking changes nothing
    observation, reached = env.reset(seed=5, options={"goal": True})
    assert reached["success"] and reached["goal_distance"] < 1e-3
    np.testing.assert_array_equal(reached["goal_state"], info["goal_state"])
    np.testing.assert_array_equal(observation["pixels"], picture)
    np.testing.assert_array_equal(goal_observation(env, 5)["pixels"], picture)  # as agents ask for it


def test_the_goal_is_shown_as_it_would_be_observed_and_the_world_stays_as_it_is(env: ClassicEnv) -> None:
    reached, _ = env.reset(seed=6, options={"goal": True})
    before, _ = env.reset(seed=6)
    goal = env.goal_observation()
    for key in ("pixels", "proprio"):
        np.testing.assert_array_equal(goal[key], reached[key])
    again = env.step(np.zeros(2))[0]
    env.reset(seed=6)
    np.testing.assert_array_equal(env.step(np.zeros(2))[0]["pixels"], again["pixels"])
    assert not np.array_equal(before["pixels"], goal["pixels"])


def test_a_goal_ahead_on_a_recorded_trajectory_is_reached_by_the_recorded_actions(env: ClassicEnv) -> None:
    rng, (observation, _) = np.random.default_rng(0), env.reset(seed=11)
    seen, actions = [observation], []
    for _ in range(9):
        actions.append(env.aimed_action(rng))
        seen.append(env.step(actions[-1])[0])
    states = np.stack([frame["state"] for frame in seen])
    first, info = env.reset(seed=0, options=goal_ahead(states, start=2, offset=7))
    if env.describe()["env_kwargs"].get("success") != "coverage":  # where the green T moves to the goal that is given
        assert np.abs(first["pixels"].astype(int) - seen[2]["pixels"]).max() <= 4
        assert np.abs(env.goal_pixels.astype(int) - seen[9]["pixels"]).max() <= 4
    for action in actions[2:]:
        *_, info = env.step(action)
    assert info["success"] and info["goal_distance"] < 0.3
    with pytest.raises(ValueError, match="25 steps more"):
        goal_ahead(states, start=0)


@pytest.mark.parametrize(("name", "kwargs"), VARIANTS, ids=NAMES)
def test_a_goal_some_steps_ahead_is_reached_in_about_as_many(name: str, kwargs: dict[str, Any]) -> None:
    world = make(name, kwargs, goal_steps=12, image_size=8)
    far = make(name, kwargs, image_size=8)
    steps = []
    for seed in range(4):
        _, info = world.reset(seed=seed)
        _, other = far.reset(seed=seed)
        if "coverage" not in kwargs.values():  # where so few steps often change nothing, and another start is drawn
            np.testing.assert_array_equal(world.state(), far.state())
        assert not info["success"] and not np.array_equal(info["goal_state"], other["goal_state"])
        np.testing.assert_array_equal(info["goal_state"], world.reset(seed=seed)[1]["goal_state"])
        rng, over, count = np.random.default_rng(seed), False, 0
        while not over:
            *_, terminated, truncated, info = world.step(world.expert_action(rng))
            over, count = terminated or truncated, count + 1
        steps.append(count if info["success"] else world.max_steps)
    assert np.median(steps) < world.max_steps / 2
    assert world.describe()["env_kwargs"]["goal_steps"] == 12
    world.close()
    far.close()


def test_success_is_computed_for_many_states_at_once(env: ClassicEnv) -> None:
    states = np.stack([frame["state"] for frame in play(env, 1)])
    together = env.goal_distance(states[:, None], states[None, ::3])
    assert together.shape == (13, 5)
    for i, j in ((0, 0), (4, 1), (12, 4)):
        assert together[i, j] == pytest.approx(float(env.goal_distance(states[i], states[3 * j])))
    assert np.all(env.reached(states, states))


def test_the_description_is_a_world_and_names_what_is_observed(env: ClassicEnv) -> None:
    spec, observation = spec_of(env), env.reset(seed=0)[0]
    assert WorldSpec.from_dict(spec.to_dict()) == spec
    assert spec.env_id in envs.CLASSICS and spec.sensors["state"].privileged
    for key, values in observation.items():
        assert spec.sensors[key].shape == values.shape and str(values.dtype) == spec.sensors[key].dtype
    for key in ("proprio", "state"):
        assert len(spec.sensors[key].names) == len(observation[key])
    again = gym.make(spec.env_id, disable_env_checker=True, **spec.env_kwargs)
    assert spec_of(again).differences(spec) == []
    again.close()


def test_an_episode_is_recorded_with_its_labels(env: ClassicEnv) -> None:
    episode = play_recorded(env, RecordConfig(num_episodes=1, aimed=0.4, random=0.2, expert=0.4), 0)
    assert episode.labels["status"].shape == (episode.num_actions + 1, 2)
    assert episode.labels["position"].shape == (episode.num_actions + 1, 2, 2)
    assert episode.instruction and np.abs(episode.actions).max() <= 1


def test_wrong_options_states_and_actions_are_refused(env: ClassicEnv) -> None:
    with pytest.raises(ValueError, match="unknown reset options"):
        env.reset(options={"golf": True})
    with pytest.raises(ValueError, match="finite numbers"):
        env.reset(options={"state": np.zeros(3)})
    with pytest.raises(ValueError, match="finite numbers"):
        env.reset(options={"goal_state": np.full(len(env.state_names), np.nan)})
    for action in (np.zeros(3), np.array([np.nan, 0])):
        with pytest.raises(gym.error.InvalidAction):
            env.step(action)


@pytest.mark.parametrize("name", envs.CLASSICS)
@pytest.mark.parametrize(
    "kwargs",
    [{"image_size": 4}, {"render_mode": "human"}, {"max_steps": 0}, {"film_every": -1}, {"goal_steps": -1}],
    ids=lambda k: next(iter(k)),
)
def test_a_wrong_argument_is_named(name: str, kwargs: dict[str, Any]) -> None:
    create = load_env_creator(envs.CLASSICS[name])  # gym.make has its own opinion of human rendering
    with pytest.raises(ValueError, match=next(iter(kwargs))):
        create(**kwargs)


@pytest.mark.parametrize(
    ("name", "kwargs"), [(envs.TWO_ROOMS, "layout"), (envs.REACHER, "task"), (envs.PUSH_T, "control"), (envs.PUSH_T, "success")]
)
def test_an_unknown_variant_is_named(name: str, kwargs: str) -> None:
    with pytest.raises(ValueError, match=f"unknown {kwargs} 'x'; available"):
        envs.make(name, **{kwargs: "x"})


def test_a_film_is_kept_when_asked_for() -> None:
    world = make(envs.PUSH_T, {}, film_every=4, render_mode="rgb_array")
    world.reset(seed=0)
    film = world.step(np.array([1.0, 0.0]))[-1]["film"]
    picture = world.render()
    assert picture is not None and picture.shape == film[0].shape == (480, 640, 3)
    world.close()


def test_dense_and_sparse_jacobians_give_the_same_accelerations(env: ClassicEnv) -> None:
    play(env, 2, num_steps=40)
    accelerations = []
    for jacobian in (mujoco.mjtJacobian.mjJAC_DENSE, mujoco.mjtJacobian.mjJAC_SPARSE):
        data = mujoco.MjData(env.model)
        env.model.opt.jacobian = int(jacobian)
        data.qpos[:], data.qvel[:] = env.data.qpos, 0.1
        mujoco.mj_forward(env.model, data)
        accelerations.append(data.qacc.copy())
    env.model.opt.jacobian = int(mujoco.mjtJacobian.mjJAC_AUTO)
    np.testing.assert_allclose(accelerations[0], accelerations[1], atol=1e-9, rtol=1e-9)
