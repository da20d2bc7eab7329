"""The gripper and pick_place: what is held, what is lost, what is refused."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from envs.controls.pick_place import PickPlaceControl
from envs.experts.grasping import find_grasp, widths
from envs.robots.motion import Stage
from envs.tabletop import TabletopEnv
from envs.tasks.base import Status


@pytest.fixture(scope="module", params=["arm", "gantry"])
def env(request: pytest.FixtureRequest) -> Iterator[TabletopEnv]:
    world = TabletopEnv(request.param, task="pick", control_mode="pick_place", num_objects=1)
    yield world
    world.close()


def pick(env: TabletopEnv, pose: np.ndarray, place: np.ndarray) -> dict:
    """One action's info."""
    assert isinstance(env.control, PickPlaceControl)
    return env.step(env.control.action(pose, place))[-1]


def test_an_object_goes_where_it_is_put(env: TabletopEnv) -> None:
    for seed in range(3):
        env.reset(seed=seed)
        slot, place = env.objects[0].slot, np.array([0.05, -0.10, 0.4])
        info = pick(env, find_grasp(env.world, slot, opening=0.14).pose, place)
        assert info["grasped"] and not info["dropped"] and not info["blocked"]
        assert np.hypot(*(env.world.poses[slot, :2] - place[:2])) < 0.015
        assert env.world.is_upright(slot) and not env.world.held().any()
        assert info["duration"] < {"arm": 6.0, "gantry": 4.0}[env.robot_name]


def test_a_grasp_of_nothing_says_so_and_moves_nothing(env: TabletopEnv) -> None:
    env.reset(seed=0)
    before = env.positions()
    far = np.array([0.2, -0.25, 0.0]) if before.sum(axis=0)[0] < 0 else np.array([-0.2, -0.25, 0.0])
    info = pick(env, far, np.array([0.0, 0.0, 0.0]))
    assert not info["grasped"] and not info["dropped"] and not info["blocked"]
    np.testing.assert_allclose(env.positions(), before, atol=1e-3)


def test_fingers_that_come_down_on_an_object_go_up_again(env: TabletopEnv) -> None:
    env.reset(seed=0)
    slot = env.objects[0].slot
    beside = np.array([*(env.world.poses[slot, :2] - [0.075, 0.0]), 0.0])  # a finger stands on it
    info = pick(env, beside, np.array([0.0, 0.0, 0.0]))
    assert info["blocked"] and not info["grasped"]
    assert np.abs(env.statuses()[slot] - Status.TABLE) == 0


def test_what_is_lost_on_the_way_is_dropped(env: TabletopEnv) -> None:
    env.reset(seed=1)
    assert isinstance(env.control, PickPlaceControl)
    slot, skill, data = env.objects[0].slot, env.control.motion, env.data
    grasp = find_grasp(env.world, slot, opening=0.14).pose
    drive = skill.pick_place(data, grasp, np.array([0.1, -0.15, 0.0]))
    import mujoco

    while True:
        try:
            stage = next(drive)
        except StopIteration as done:
            result = done.value
            break
        if stage is Stage.CARRY:
            env.world.poses[slot, 2] += 1.0  # out of the fingers
        mujoco.mj_step(env.model, data, 4)
    assert result.grasped and result.dropped


def test_widths_are_those_of_the_shape_as_it_lies(env: TabletopEnv) -> None:
    seed = next(seed for seed in range(50) if env.reset(seed=seed)[1]["objects"][0].endswith("box"))
    env.reset(seed=seed)
    thing = env.objects[0]
    env.world.poses[thing.slot, 3:] = [1, 0, 0, 0]
    x, y = np.eye(2)
    np.testing.assert_allclose(widths(env.world, thing, np.stack([x, y])), 2 * thing.half[:2])
    diagonal = np.array([[1.0, 1.0]]) / np.sqrt(2)
    assert widths(env.world, thing, diagonal)[0] == pytest.approx(np.sqrt(2) * thing.half[:2].sum())
    grasp = find_grasp(env.world, thing.slot)
    assert grasp.width < 2 * thing.half[:2].max() + 1e-6  # across a side, not a diagonal


def test_a_grasp_keeps_clear_of_a_neighbour() -> None:
    world = TabletopEnv("gantry", task="clear", control_mode="pick_place", num_objects=2)
    world.reset(seed=0)
    first, second = world.objects
    world.world.poses[first.slot, :3] = [0, 0, first.height]
    for angle in np.linspace(0, np.pi, 7):
        away = np.array([np.cos(angle), np.sin(angle)]) * (first.radius + second.radius + 0.015)
        world.world.poses[second.slot, :2] = away
        grasp = find_grasp(world.world, first.slot, opening=0.14)
        assert grasp.clearance > 0
        along = np.array([np.cos(grasp.pose[2]), np.sin(grasp.pose[2])])
        assert min(np.hypot(*(side * 0.075 * along - away)) for side in (-1, 1)) > second.radius
    world.close()


def test_a_wild_action_is_carried_out_as_far_as_it_goes(env: TabletopEnv) -> None:
    env.reset(seed=0)
    for action in (np.full(6, 50.0), np.full(6, -50.0), np.array([1, 1, 1, 1, 1, -1.0])):
        info = env.step(action)[-1]
        assert np.isfinite(env.data.qpos).all() and np.isfinite(info["peak_force"])


def test_what_is_out_of_reach_or_of_bounds_is_counted() -> None:
    world = TabletopEnv("arm", task="clear", control_mode="pick_place")
    world.reset(seed=0)
    inside = np.array([0.0, -1.0, 0, 0.2, -1.0, 0], np.float32)
    assert world.step(inside)[-1]["workspace_violations"] == 0
    assert world.step(np.array([0.0, -1.0, 0, 1.0, 1.0, 0]))[-1]["workspace_violations"] == 1  # the bin's far corner
    assert world.step(inside * [1, 1, 1, 9, 1, 1])[-1]["workspace_violations"] == 2
    world.reset(seed=0)
    assert world.step(inside)[-1]["workspace_violations"] == 0
    assert world.metadata["render_fps"] == 1
    world.close()
