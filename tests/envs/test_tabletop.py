"""TableClear as a Gymnasium environment: its contract, its physics, its determinism."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import warnings
from collections.abc import Iterator

import gymnasium as gym
import mujoco
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import envs
from envs.controls.sweep import SWEEP_HIGH, SWEEP_LOW, to_table
from envs.table.scene import BIN_DEPTH, CAMERA_HALF_VIEW, CAMERA_POS, TABLE_HALF
from envs.tabletop import TabletopEnv
from envs.tasks.base import Status, classify


@pytest.fixture(scope="module", params=["arm", "gantry"])
def env(request: pytest.FixtureRequest) -> Iterator[TabletopEnv]:
    world = TabletopEnv(robot=request.param)
    yield world
    world.close()


@pytest.mark.parametrize("robot", ["arm", "gantry"])
def test_gymnasium_checks_the_environment_without_a_warning(robot: str) -> None:
    env = gym.make(envs.TABLE_CLEAR, robot=robot, render_mode="rgb_array", max_sweeps=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)
    env.close()
    env.close()


def rollout_digest(robot: str, seed: int) -> str:
    """Hash of everything that three sweeps return."""
    env = TabletopEnv(robot=robot, num_objects=(1, 5))
    digest = hashlib.sha256()
    obs, _ = env.reset(seed=seed)
    rng = np.random.default_rng(seed)
    for _ in range(3):
        for key in sorted(obs):
            digest.update(obs[key].tobytes())
        obs, reward, terminated, truncated, _ = env.step(env.aimed_action(rng))
        digest.update(repr((reward, terminated, truncated)).encode())
    env.close()
    return digest.hexdigest()


@pytest.mark.parametrize("robot", ["arm", "gantry"])
def test_a_seed_is_the_same_episode_to_the_bit_whatever_was_played_before(robot: str) -> None:
    env = TabletopEnv(robot=robot, num_objects=(1, 5))

    def play(seed: int) -> list[dict[str, np.ndarray]]:
        seen, rng = [env.reset(seed=seed)[0]], np.random.default_rng(seed)
        return [*seen, *(env.step(env.aimed_action(rng))[0] for _ in range(2))]

    alone = {seed: play(seed) for seed in range(6)}
    for seed in reversed(range(6)):  # now after other tables than before
        for a, b in zip(alone[seed], play(seed), strict=True):
            for key in a:
                np.testing.assert_array_equal(a[key], b[key])
    env.close()


@pytest.mark.slow
def test_a_seed_is_the_same_episode_in_another_process() -> None:
    code = "from tests.envs.test_tabletop import rollout_digest; print(rollout_digest('arm', 11))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == rollout_digest("arm", 11)


def test_the_expert_clears_the_table_and_is_paid_for_it(env: TabletopEnv) -> None:
    rng = np.random.default_rng(0)
    for seed in range(3):
        _, info = env.reset(seed=seed)
        total, terminated, truncated = 0.0, False, False
        while not (terminated or truncated):
            _, reward, terminated, truncated, info = env.step(env.expert_action(rng))
            total += reward
        assert terminated and not truncated and info["success"]
        assert total == pytest.approx(1.0)
        assert np.sum(info["status"] == Status.BIN) == info["num_objects"] == 3


def test_the_budget_truncates_and_does_not_terminate() -> None:
    env = TabletopEnv(robot="gantry", max_sweeps=2)
    env.reset(seed=0)
    nowhere = np.array([1.0, -1.0, 1.0, -1.0])
    assert env.step(nowhere)[2:4] == (False, False)
    assert env.step(nowhere)[2:4] == (False, True)
    env.close()


def test_a_paddle_that_comes_down_on_an_object_stops_and_moves_nothing_far(env: TabletopEnv) -> None:
    env.reset(seed=3)
    position, _ = env.on_table()[0]
    before = env.positions()
    start = (position - SWEEP_LOW) / (SWEEP_HIGH - SWEEP_LOW) * 2 - 1
    _, _, _, _, info = env.step(np.array([*start, start[0], 1.0]))
    assert info["blocked"]
    assert info["peak_force"] > 10
    assert np.abs(env.positions() - before).max() < 0.03


def test_an_object_takes_more_room_when_it_has_tipped_over_but_not_when_it_is_turned() -> None:
    env = TabletopEnv(robot="gantry", num_objects=1)
    seed = next(seed for seed in range(50) if env.reset(seed=seed)[0] and env.objects[0].height > env.objects[0].radius + 0.005)
    env.reset(seed=seed)
    thing = env.objects[0]
    for yaw in (0.0, 1.0, np.pi / 2, np.pi):
        env.world.set_slot(thing.slot, present=True, pose=np.array([0.0, 0.0, thing.height, yaw]))
        assert env.on_table()[0][1] == thing.radius, yaw
    lying = np.array([0.0, 0.0, thing.radius, np.sqrt(0.5), 0.5, 0.5, 0.0])
    env.world.set_slot(thing.slot, present=True, pose=lying)
    assert env.on_table()[0][1] == thing.height
    env.close()


def test_a_dropped_object_counts_against_and_ends_what_can_be_cleared() -> None:
    env = TabletopEnv(robot="gantry", num_objects=1)
    env.reset(seed=1)
    slot = env.objects[0].slot
    env.world.set_slot(slot, present=True, pose=np.array([0.28, 0.0, env.objects[0].height + 1e-3, 0.0]))
    mujoco.mj_forward(env.model, env.data)
    start = (np.array([0.19, 0.0]) - SWEEP_LOW) / (SWEEP_HIGH - SWEEP_LOW) * 2 - 1
    env.data.qvel[env.skill.object_qvel.start + 6 * slot] = 1.0  # slides off over the side
    _, reward, terminated, _, info = env.step(np.array([*start, *start]))
    assert info["num_dropped"] == 1 and info["status"][slot] == Status.FLOOR
    assert reward == -1.0 and terminated and not info["success"]
    env.close()


def test_the_goal_shows_an_empty_table_with_everything_in_the_bin(env: TabletopEnv) -> None:
    obs, info = env.reset(seed=2, options={"goal": True})
    assert info["success"] and info["num_cleared"] == 3
    empty = obs["pixels"][30:50, 12:50].astype(int)
    assert np.ptp(empty[..., 2] - empty[..., 0]) < 60  # wood all over: no strong colour


@pytest.mark.parametrize(
    ("position", "expected"),
    [
        ((0.0, 0.0, 0.03), Status.TABLE),
        ((0.0, 0.31, -0.1), Status.BIN),
        ((0.29, TABLE_HALF + BIN_DEPTH - 0.01, 0.02), Status.BIN),
        ((0.0, 0.31, 0.05), Status.TABLE),  # hangs over the edge
        ((0.35, 0.38, -0.4), Status.FLOOR),
        ((0.0, -0.5, -0.42), Status.FLOOR),
    ],
)
def test_where_an_object_is(position: tuple[float, float, float], expected: Status) -> None:
    assert classify(np.array(position)) == expected


def test_the_robot_is_out_of_every_picture(env: TabletopEnv) -> None:
    env.reset(seed=0)
    env.step(np.array([-0.5, -0.5, 0.5, 0.5]))
    camera = np.array(CAMERA_POS)
    for geom in range(env.model.ngeom):
        body = env.model.body(int(env.model.geom_bodyid[geom])).name
        if body != "paddle" and not body.startswith(("link", "flange")):
            continue
        x, y, z = env.data.geom_xpos[geom]
        radius = env.model.geom_rbound[geom] if body == "paddle" else 0.05
        half = CAMERA_HALF_VIEW * (camera[2] - z) / camera[2]
        outside = max(abs(x - camera[0]), abs(y - camera[1])) - min(radius, 0.08) > half
        assert outside or z > camera[2], (body, x, y, z)


def test_calibration_maps_actions_onto_the_picture(env: TabletopEnv) -> None:
    spec = env.describe()["action"]
    affine = np.array(spec["image_from_action"])
    for action in ([-1.0, -1.0], [1.0, 1.0], [0.2, -0.4]):
        x, y = to_table(np.array(action))
        right, down = affine @ np.array([*action, 1.0])
        assert right == pytest.approx((x - CAMERA_POS[0]) / CAMERA_HALF_VIEW)
        assert down == pytest.approx(-(y - CAMERA_POS[1]) / CAMERA_HALF_VIEW)


def test_an_object_appears_where_the_calibration_says() -> None:
    env = TabletopEnv(robot="gantry", num_objects=1)
    for seed in range(4):
        obs, _ = env.reset(seed=seed)
        slot = env.objects[0].slot
        saturation = np.ptp(obs["pixels"].astype(int), axis=-1) * (np.indices((64, 64))[0] > 15)
        rows, columns = np.nonzero(saturation > 100)
        x, y = env.positions()[slot, :2]
        seen_x = ((columns.mean() + 0.5) / 32 - 1) * CAMERA_HALF_VIEW + CAMERA_POS[0]
        seen_y = -((rows.mean() + 0.5) / 32 - 1) * CAMERA_HALF_VIEW + CAMERA_POS[1]
        assert np.hypot(seen_x - x, seen_y - y) < 0.03  # parallax of its height
    env.close()


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"robot": "amr"}, "unknown robot 'amr'"),
        ({"num_objects": 6}, "num_objects"),
        ({"num_objects": (3, 2)}, "num_objects"),
        ({"image_size": 4}, "image_size"),
        ({"render_mode": "human"}, "render_mode"),
        ({"max_sweeps": 0}, "max_sweeps"),
        ({"max_sweeps": "abc"}, "max_sweeps"),
        ({"film_every": -1}, "film_every"),
    ],
)
def test_a_wrong_argument_is_named(kwargs: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TabletopEnv(**kwargs)


def test_a_sweep_that_is_no_sweep_is_refused(env: TabletopEnv) -> None:
    env.reset(seed=0)
    with pytest.raises(gym.error.InvalidAction):
        env.step(np.array([np.nan, 0, 0, 0]))
    with pytest.raises(gym.error.InvalidAction):
        env.step(np.zeros(3))


def test_a_film_of_the_sweep_is_kept_when_asked_for() -> None:
    env = TabletopEnv(robot="gantry", film_every=8)
    env.reset(seed=0)
    film = env.step(env.expert_action(np.random.default_rng(0)))[-1]["film"]
    assert len(film) > 2 and film[0].shape == (480, 640, 3)
    assert np.abs(film[0].astype(int) - film[len(film) // 2].astype(int)).max() > 50  # the robot moved
    env.close()


def test_dense_and_sparse_jacobians_give_the_same_accelerations(env: TabletopEnv) -> None:
    env.reset(seed=0)
    accelerations = []
    for jacobian in (mujoco.mjtJacobian.mjJAC_DENSE, mujoco.mjtJacobian.mjJAC_SPARSE):
        model, data = env.model, mujoco.MjData(env.model)
        model.opt.jacobian = int(jacobian)
        data.qpos[:], data.qvel[:], data.ctrl[:] = env.data.qpos, 0.1, env.data.ctrl
        mujoco.mj_forward(model, data)
        accelerations.append(data.qacc.copy())
    env.model.opt.jacobian = int(mujoco.mjtJacobian.mjJAC_AUTO)
    np.testing.assert_allclose(accelerations[0], accelerations[1], atol=1e-9, rtol=1e-9)
