"""The goal of the present episode: its own, as a reset would show it, and nothing is changed by looking at it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium.error import ResetNeeded

from agents.episode_goals import has_episode_goals
from envs.tabletop import TabletopEnv
from envs.tasks import TASKS

EVERYTHING: dict[str, Any] = {
    "task": "pick", "control_mode": "ee_delta", "variations": {"factors": "all", "split": "train"},
    "observations": ["pixels", "touch", "proprio", "state"],
}  # fmt: skip
CASES: list[dict[str, Any]] = [
    *({"task": task} for task in TASKS),
    {"task": "push", "control_mode": "joint"},
    {"instruction": "any", "num_objects": 4},
    EVERYTHING,
]


def constants(env: TabletopEnv) -> dict[str, np.ndarray]:
    """Every array of the model."""
    fields = {name: getattr(env.model, name) for name in dir(env.model) if not name.startswith("_")}
    return {name: field.copy() for name, field in fields.items() if isinstance(field, np.ndarray)}


def state(env: TabletopEnv) -> list[np.ndarray]:
    data = env.data
    return [
        np.array(x) for x in (data.qpos, data.qvel, data.qacc_warmstart, data.ctrl, data.mocap_pos, data.sensordata, data.time)
    ]


@pytest.mark.parametrize("kwargs", CASES, ids=lambda kwargs: "-".join(map(str, kwargs.values()))[:30])
def test_looking_at_the_goal_changes_nothing_and_shows_what_a_reset_would(kwargs: dict[str, Any]) -> None:
    env, other = (TabletopEnv("gantry", image_size=16, **kwargs) for _ in range(2))
    rng, options = np.random.default_rng(0), {"variation_seed": 5} if "variations" in kwargs else {}
    env.reset(seed=7, options=options)
    other.reset(seed=7, options=options)
    actions = (
        [env.action_space.sample() for _ in range(3)] if not kwargs.get("task") else [env.aimed_action(rng) for _ in range(3)]
    )
    for action in actions[:2]:
        seen, same = env.step(action), other.step(action)
    model, before = constants(env), state(env)
    goal = env.goal_observation()
    for name, field in constants(env).items():
        np.testing.assert_array_equal(field, model[name], err_msg=name)
    for now, then in zip(state(env), before, strict=True):
        np.testing.assert_array_equal(now, then)
    for key, value in env.observe().items():
        np.testing.assert_array_equal(value, other.observe()[key])
    seen, same = env.step(actions[2]), other.step(actions[2])
    assert seen[1:4] == same[1:4] and env.steps == other.steps == 3
    assert repr(seen[4]) == repr(same[4])
    np.testing.assert_array_equal(env.data.qpos, other.data.qpos)
    for key, value in seen[0].items():
        np.testing.assert_array_equal(value, same[0][key])
    assert env.np_random.uniform() == other.np_random.uniform()
    shown, info = other.reset(seed=7, options={**options, "goal": True})
    assert info["success"]
    for key, value in shown.items():
        np.testing.assert_array_equal(value, goal[key])
    env.close()
    other.close()


def test_each_episode_has_a_goal_of_its_own_also_when_no_seed_is_given() -> None:
    env = TabletopEnv("gantry", task="push", image_size=16)
    with pytest.raises(ResetNeeded):
        env.goal_observation()
    env.reset(seed=0)
    first = env.goal_observation()
    np.testing.assert_array_equal(env.goal_observation()["state"], first["state"])
    observation, _ = env.reset()
    second = env.goal_observation()
    names = env.readings.names["state"]
    mark = [names.index("mark_x [m]"), names.index("mark_y [m]")]
    np.testing.assert_array_equal(second["state"][mark], observation["state"][mark])
    assert np.abs(second["state"][mark] - first["state"][mark]).max() > 0.01
    env.close()


@pytest.mark.parametrize(
    ("kwargs", "own"),
    [({"task": "clear"}, False), ({"instruction": "any"}, True), ({"task": "push"}, True), ({"task": "load_rack"}, True)],
)
def test_an_empty_table_is_the_same_goal_in_every_episode_and_others_are_not(kwargs: dict[str, Any], own: bool) -> None:
    env = TabletopEnv("gantry", image_size=16, **kwargs)
    assert env.own_goals == has_episode_goals(env) == own
    env.close()
