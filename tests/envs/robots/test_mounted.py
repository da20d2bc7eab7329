"""Somebody else's arm in our environments: it works, waits out of the picture, and a seed is the same everywhere."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import envs
from agents.worldspec import spec_of
from envs.robots.mounted import MountedArm
from envs.tabletop import TabletopEnv
from tests.envs.robots.tiny import write

OGBENCH = "ogbench:ur5e_2f85"
needs_ogbench = pytest.mark.skipif(importlib.util.find_spec("ogbench") is None, reason="ogbench is not installed")


@pytest.fixture(scope="module")
def name(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The tiny arm, by name."""
    return f"mjcf:{write(tmp_path_factory.mktemp('arm'))}"


def expert_succeeds(env: Any, seed: int) -> bool:
    """Whether the expert does the task from a seed."""
    env.reset(seed=seed)
    rng, info, over = np.random.default_rng(seed), {}, False
    while not over:
        *_, terminated, truncated, info = env.step(env.expert_action(rng))
        over = terminated or truncated
    return bool(info["success"])


@pytest.mark.parametrize("task, mode", [("clear", "sweep"), ("pick", "pick_place"), ("pick", "ee_delta"), ("reach", "joint")])
def test_the_expert_succeeds_with_it(name: str, task: str, mode: str) -> None:
    env = TabletopEnv(robot=name, task=task, control_mode=mode, observations=["state", "proprio"])
    assert [expert_succeeds(env, seed) for seed in range(4)] == [True] * 4
    env.close()


def test_it_passes_check_env_and_names_itself(name: str) -> None:
    env = TabletopEnv(robot=name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env, skip_render_check=True)
    said = env.describe()
    assert said["robot"] == said["env_kwargs"]["robot"] == name
    env.close()


def test_it_waits_out_of_the_picture_and_its_links_collide_with_nothing(name: str) -> None:
    env = TabletopEnv(robot=name, observations=["segmentation"], image_size=128)
    stand = int(env.model.body("robot_base").geomadr[0])
    env.model.geom_rgba[stand, 3] = 0  # what it stands on is in the picture, as that of `arm` is
    seen, _ = env.reset(seed=0)
    robot = env.describe()["sensors"]["segmentation"]["names"].index("robot")
    assert not np.any(seen["segmentation"] == robot)
    links = [b for b in range(env.model.nbody) if env.model.body(b).name.startswith("link")]
    assert len(links) == 8
    assert not env.model.geom_contype[np.isin(env.model.geom_bodyid, links)].any()
    env.close()


def test_its_servos_hold_it_still(name: str) -> None:
    env = TabletopEnv(robot=name, num_objects=1)
    env.reset(seed=0)
    before = env.data.qpos[env.skill.qpos].copy()
    np.testing.assert_allclose(before, env.robot.home, atol=1e-3)
    mujoco.mj_step(env.model, env.data, 200)
    np.testing.assert_allclose(env.data.qpos[env.skill.qpos], before, atol=1e-3)  # gravity is compensated
    env.close()


def test_a_model_for_six_joints_is_refused_another_arm(name: str) -> None:
    specs = []
    for robot in ("arm", name):
        env = gym.make("worldmodel/TablePick-v0", robot=robot, control_mode="joint")
        specs.append(spec_of(env))
        env.close()
    assert [spec.robot for spec in specs] == ["arm", name]
    assert any("action" in line for line in specs[0].differences(specs[1]))


@pytest.mark.slow
def test_many_at_once_are_what_one_is(name: str) -> None:
    kwargs: dict[str, Any] = {"robot": name, "max_sweeps": 3, "observations": ["state", "proprio"]}
    many = gym.make_vec(envs.TABLE_CLEAR, num_envs=2, num_workers=2, **kwargs)
    ones = [TabletopEnv(**kwargs) for _ in range(2)]
    seen, _ = many.reset(seed=5)
    for n, env in enumerate(ones):
        np.testing.assert_array_equal(seen["proprio"][n], env.reset(seed=5 + n)[0]["proprio"])
    actions = np.stack([env.aimed_action(np.random.default_rng(0)) for env in ones])
    seen = many.step(actions)[0]
    for n, env in enumerate(ones):
        now = env.step(actions[n])[0]
        np.testing.assert_array_equal(seen["proprio"][n], now["proprio"])
        np.testing.assert_array_equal(seen["state"][n], now["state"])
        env.close()
    many.close()


PLAY = """
import sys, numpy as np
from envs.tabletop import TabletopEnv
env = TabletopEnv(robot=sys.argv[1], observations=["state"])
env.reset(seed=3)
env.step(env.aimed_action(np.random.default_rng(0)))
print(env.data.qpos.tobytes().hex())
"""


@pytest.mark.slow
def test_a_seed_is_the_same_in_another_process(name: str) -> None:
    told = [subprocess.run([sys.executable, "-c", PLAY, name], check=True, capture_output=True, text=True) for _ in range(2)]
    assert told[0].stdout == told[1].stdout and len(told[0].stdout) > 500


@needs_ogbench
@pytest.mark.slow
def test_the_ur5e_of_ogbench_clears_the_table() -> None:
    env = TabletopEnv(robot=OGBENCH, observations=["state"])
    robot = env.robot
    assert isinstance(robot, MountedArm) and robot.num_joints == 6
    np.testing.assert_allclose(robot.max_torque, [150, 150, 150, 28, 28, 28])
    np.testing.assert_allclose(robot.max_velocity, np.pi)
    assert [expert_succeeds(env, seed) for seed in range(5)] == [True] * 5
    env.close()


def test_a_file_may_have_moved(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is none at"):
        TabletopEnv(robot=f"mjcf:{tmp_path / 'gone.xml'}")
