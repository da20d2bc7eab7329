"""Other people's worlds: what is seen, what counts as success, where the goal is, what is refused, and in which words."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete
from gymnasium.utils.env_checker import check_env

import envs
from agents.worldspec import spec_of
from envs import foreign
from envs.foreign.drawing import resized
from envs.foreign.sensing import senses_of

MINE = "somebody/"


class Corridor(gym.Env):
    """A number that actions push about, drawn as a bright column 80 pixels high and 160 wide; pays minus its distance to 1."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 10}
    observation_space: gym.Space = Box(-10.0, 10.0, (2,), np.float64)
    action_space: gym.Space = Box(-0.5, 0.5, (1,), np.float64)
    closed = 0

    def __init__(self, render_mode: str | None = None, length: float = 2.0) -> None:
        self.render_mode, self.length = render_mode, length

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self.x, self.options = self.np_random.uniform(-1, 1), options
        return self.observe(), {}

    def step(self, action: np.ndarray):
        assert action.dtype == np.float64 and self.action_space.contains(action)
        self.x += action[0]
        return self.observe(), -abs(self.x - 1), abs(self.x) > self.length, False, {}

    def observe(self) -> Any:
        return np.array([self.x, np.random.random()])  # NumPy's global generator, as some worlds use it

    def render(self) -> Any:
        picture = np.zeros((80, 160, 3), np.uint8)
        column = int(np.clip(80 + 20 * self.x, 0, 159))
        picture[:, column] = 255
        return picture

    def close(self) -> None:
        assert not self.closed
        self.closed += 1


class Blind(Corridor):
    """Cannot draw."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}

    def __init__(self, length: float = 2.0) -> None:
        super().__init__(None, length)

    def render(self) -> Any:
        raise NotImplementedError


class Telling(Corridor):
    """Says when it is done."""

    def step(self, action: np.ndarray):
        observation, reward, _, _, info = super().step(action)
        return observation, reward, False, False, {**info, "is_success": self.x > 0.9}


class Reaching(Corridor):
    """The goal API."""

    observation_space = Dict({k: Box(-9, 9, (1,), np.float64) for k in ("observation", "achieved_goal", "desired_goal")})

    def observe(self) -> Any:
        return {"observation": np.array([self.x]), "achieved_goal": np.array([self.x]), "desired_goal": np.array([1.0])}


class Showing(Corridor):
    """Tells of its goal as ogbench does."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        observation, _ = super().reset(seed=seed)
        info: dict[str, Any] = {"goal": np.array([1.0, 0.0])}
        if (options or {}).get("render_goal"):
            before, self.x = self.x, 1.0
            info["goal_rendered"], self.x = self.render(), before
        return observation, info


class Picturing(Corridor):
    """Its observation is a picture, of another size than what it renders."""

    observation_space = Box(0, 255, (32, 32, 3), np.uint8)

    def observe(self) -> Any:
        return np.full((32, 32, 3), int(50 * abs(self.x)), np.uint8)


class TwoEyed(Corridor):
    """Observes two pictures, and refuses some lengths in its own way."""

    observation_space = Dict({key: Box(0, 255, (8, 8, 3), np.uint8) for key in ("left", "right")})

    def __init__(self, render_mode: str | None = None, length: float = 2.0) -> None:
        assert length > 0, "too short"
        super().__init__(render_mode, length)

    def observe(self) -> Any:
        return {"left": np.full((8, 8, 3), 10, np.uint8), "right": np.full((8, 8, 3), 20, np.uint8)}


class Switching(Corridor):
    """Actions that are no numbers."""

    action_space = Discrete(3)


class Endless(Corridor):
    """Actions without bounds."""

    action_space = Box(-np.inf, np.inf, (1,), np.float64)


class Strict(Corridor):
    """Bounds that float32 has no numbers for, and refuses what is beyond them."""

    action_space = Box(-0.3, 0.3, (1,), np.float64)


WORLDS = (Strict, Corridor, Blind, Telling, Reaching, Showing, Picturing, TwoEyed, Switching, Endless)


@pytest.fixture(autouse=True, scope="module")
def registered() -> Iterator[None]:
    for world in WORLDS:
        gym.register(id=f"{MINE}{world.__name__}-v0", entry_point=f"{__name__}:{world.__name__}", max_episode_steps=6)
    gym.register(id=f"{MINE}Paid-v0", entry_point=f"{__name__}:Corridor", max_episode_steps=6, reward_threshold=-4.0)
    yield
    for name in (*(world.__name__ for world in WORLDS), "Paid"):
        del gym.registry[f"{MINE}{name}-v0"]


def make(name: str, **kwargs: Any) -> foreign.ForeignEnv:
    env = envs.make(f"{MINE}{name}-v0", **kwargs)
    assert isinstance(env, foreign.ForeignEnv)
    return env


def test_pixels_are_what_is_rendered_and_proprio_is_the_vector() -> None:
    env = make("Corridor", image_size=40)
    observation, _ = env.reset(seed=3)
    assert observation["pixels"].shape == (40, 40, 3) and observation["pixels"].dtype == np.uint8
    assert observation["proprio"].dtype == np.float32
    x = float(observation["proprio"][0])
    np.testing.assert_array_equal(observation["pixels"], resized(env.inner.render(), 40))  # pyright: ignore[reportArgumentType]
    assert observation["pixels"][0].sum(-1).argmax() == int(80 + 20 * x) // 4
    assert env.observation_space.contains(observation)
    env.close()


def test_a_picture_is_averaged_by_area() -> None:
    picture = np.zeros((4, 8, 3), np.uint8)
    picture[:2, :4] = [[[0], [100], [40], [60]]] * 2
    np.testing.assert_array_equal(resized(picture, 2)[..., 0], [[50, 0], [0, 0]])
    small = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    kept = resized(small, 2)
    np.testing.assert_array_equal(kept, small)
    kept[:] = 0
    assert small.any()  # a copy


def test_a_picture_that_is_observed_is_taken_before_one_that_is_rendered() -> None:
    env = make("Picturing", image_size=16)
    observation, _ = env.reset(seed=0)
    assert set(observation) == {"pixels"} and len(np.unique(observation["pixels"])) == 1
    assert any("no proprio" in line for line in env.lacks)
    env.close()


def test_of_several_pictures_the_first_is_seen_and_that_is_said() -> None:
    env = make("TwoEyed", image_size=8)
    assert np.all(env.reset(seed=0)[0]["pixels"] == 10) and spec_of(env).sensors["pixels"].camera == "left"
    assert any("only left is seen" in line for line in env.lacks)
    env.close()
    with pytest.raises(ValueError, match="AssertionError: too short"):
        make("TwoEyed", length=-1.0)


@pytest.mark.parametrize("name", ["Corridor", "Blind", "Telling", "Reaching", "Showing", "Picturing"])
def test_gymnasium_checks_what_it_becomes_without_a_warning(name: str) -> None:
    env = make(name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env, skip_render_check=True)  # which makes it anew by an id that it has not
    env.close()
    env.close()  # the world itself may be closed once only


def test_a_seed_is_the_same_episode_whatever_others_draw_from_the_global_generator() -> None:
    env, episodes = make("Corridor"), []
    for noise in (0, 7):
        np.random.seed(noise)
        seen = [env.reset(seed=5)[0]["proprio"]]
        for _ in range(4):
            np.random.random()
            seen.append(env.step(np.array([0.1]))[0]["proprio"])
        episodes.append(np.stack(seen))
    np.testing.assert_array_equal(*episodes)
    assert len(np.unique(episodes[0][:, 1])) == 5  # drawn, not constant
    np.random.seed(1)
    expected = np.random.random()
    np.random.seed(1)
    env.reset(seed=0)
    assert np.random.random() == expected  # and the world draws from nobody else's
    env.close()


def episode(env: foreign.ForeignEnv, action: float, seed: int = 0) -> tuple[float, list[bool]]:
    """Return, and success at each step, of an episode with the same action always."""
    _, info = env.reset(seed=seed)
    total, told, over = 0.0, [info["success"]], False
    while not over:
        _, reward, terminated, truncated, info = env.step(np.array([action], np.float32))
        total, over = total + reward, terminated or truncated
        told.append(info["success"])
        assert info["num_objects"] == 1 and info["num_cleared"] == int(info["success"]) and info["return"] == total
    return total, told


def test_success_is_what_the_world_says() -> None:
    env = make("Telling")
    assert env.tells.rule == 'info["is_success"] at its end'
    assert episode(env, 0.5)[1][-1] and not episode(env, -0.5)[1][-1]
    env.close()


def test_success_is_the_registered_return_or_the_one_that_is_asked_for() -> None:
    env = make("Paid")
    assert env.tells.rule == "a return of at least -4"
    returns = [episode(env, action, seed) for seed in range(4) for action in (0.0, 0.2, -0.4)]
    assert {total >= -4 for total, _ in returns} == {True, False}
    for total, told in returns:
        assert told[:-1] == [False] * (len(told) - 1) and told[-1] == (total >= -4)  # at the end, and not before
    env.close()
    strict = make("Telling", success_return=-0.5)
    assert strict.tells.rule == "a return of at least -0.5" and not episode(strict, 0.5)[1][-1]
    strict.close()


def test_a_world_that_tells_of_no_success_says_so() -> None:
    env = make("Corridor")
    assert env.tells.rule == "never" and not any(episode(env, 0.1)[1])
    assert any("success_return" in line for line in env.lacks)
    assert any("highest reward" in line for line in env.lacks) and any("no ceiling" in line for line in env.lacks)
    env.close()


def test_the_goal_api_becomes_privileged_goals() -> None:
    env = make("Reaching")
    observation, _ = env.reset(seed=0)
    assert set(observation) == {"pixels", "proprio", "achieved_goal", "desired_goal"}
    np.testing.assert_array_equal(observation["proprio"], observation["achieved_goal"])
    desired = env.desired_goal()
    assert desired is not None and desired == pytest.approx([1.0]) and env.goal_observation() is None
    sensors = spec_of(env).sensors
    assert [key for key in sensors if sensors[key].privileged] == ["achieved_goal", "desired_goal"]
    assert not any("goal" in line for line in env.lacks)
    env.close()


def test_a_goal_that_is_shown_is_the_goal_observation() -> None:
    env = make("Showing", image_size=80)
    env.reset(seed=0)
    goal = env.goal_observation()
    assert goal is not None and goal["pixels"][0].sum(-1).argmax() == 50  # column 100 of 160
    np.testing.assert_array_equal(goal["proprio"], np.array([1.0, 0.0], np.float32))
    goal["pixels"][:] = 0
    assert env.goal_observation()["pixels"].any()  # pyright: ignore[reportOptionalSubscript]
    assert not any("goal" in line for line in env.lacks)
    env.close()


def test_a_world_that_renders_nothing_is_felt_only() -> None:
    env = make("Blind")
    assert set(env.reset(seed=0)[0]) == {"proprio"} and env.render() is None
    assert any("model.sensors: [proprio]" in line for line in env.lacks)
    env.close()


@pytest.mark.parametrize(("name", "words"), [("Switching", r"Discrete\(3\).*continuous"), ("Endless", "unbounded actions")])
def test_actions_that_cannot_be_planned_are_refused(name: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make(name)


def test_wrong_settings_are_named() -> None:
    for size in (4, 64.0):
        with pytest.raises(ValueError, match="image_size"):
            make("Corridor", image_size=size)
    with pytest.raises(TypeError, match="nonsense"):
        make("Corridor", nonsense=1)
    env = make("Corridor")
    with pytest.raises(ValueError, match="cannot be reset into its goal"):
        env.reset(options={"goal": True})
    env.close()


def test_settings_reach_the_world_and_its_description() -> None:
    env = make("Corridor", length=0.0, max_steps=3, image_size=16)
    env.reset(seed=0)
    assert env.step(np.zeros(1))[2]  # so short a corridor ends at once
    spec = spec_of(env)
    assert spec.env_id == f"{MINE}Corridor-v0" and spec.env_kwargs == {"length": 0.0, "max_steps": 3, "image_size": 16}
    assert spec.action.low == (-0.5,) and spec.action.dim == 1 and spec.robot == "Corridor"
    assert spec.sensors["pixels"].shape == (16, 16, 3) and spec.sensors["proprio"].shape == (2,)
    again = envs.make(spec.env_id, **spec.env_kwargs)
    assert spec_of(again).differences(spec) == []
    short = make("Corridor", max_steps=3)
    assert len(episode(short, 0.0)[1]) == 4
    for world in (env, again, short):
        world.close()


def test_held_actions_last_and_begin_anew_with_each_episode() -> None:
    env, runs = make("Corridor"), []
    for _ in range(2):
        env.reset(seed=0)
        rng = np.random.default_rng(0)
        runs.append(np.concatenate([env.aimed_action(rng) for _ in range(400)]))
    np.testing.assert_array_equal(*runs)
    changes = int((np.diff(runs[0]) != 0).sum())
    assert 30 < changes < 75  # one in eight
    assert np.abs(runs[0]).max() <= 0.5
    env.close()


def test_an_action_at_a_bound_is_within_the_worlds_own_bounds() -> None:
    env = make("Strict")
    assert float(env.high[0]) > 0.3  # as float32
    for bound in (env.low, env.high):
        env.reset(seed=0)
        env.step(bound)  # the world itself asserts it
    env.close()


def test_a_world_without_a_limit_of_steps_says_so() -> None:
    gym.register(id=f"{MINE}Long-v0", entry_point=f"{__name__}:Corridor")
    try:
        for kwargs, said in (({}, True), ({"max_steps": 3}, False)):
            env = make("Long", **kwargs)
            assert any("no limit of steps" in line and "max_steps" in line for line in env.lacks) == said
            env.close()
    finally:
        del gym.registry[f"{MINE}Long-v0"]


def test_a_film_is_kept_when_asked_for() -> None:
    env = make("Corridor", film_every=4)
    env.reset(seed=0)
    film = env.step(np.zeros(1))[-1]["film"]
    assert film[0].shape == (80, 160, 3)
    env.close()


def test_what_is_neither_picture_nor_number_is_left_out() -> None:
    senses = senses_of(Dict(a=Box(0, 1, (2, 3)), b=Discrete(2), c=Box(0, 255, (4, 5, 3), np.uint8), d=Box(0, 1, ())))
    assert senses.vectors == ("a", "d") and senses.proprio == 7
    assert senses.pictures == ("c",) and senses.ignored == ("b",) and senses.goals == ()


def test_this_projects_own_worlds_are_not_adapted() -> None:
    env = envs.make(envs.TWO_ROOMS, image_size=16)
    assert not isinstance(env.unwrapped, foreign.ForeignEnv)
    env.close()
