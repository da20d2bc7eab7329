"""TablePush: one object to a marked pose: what counts as turned right, how the mark shows it, and who gets it there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import mujoco
import numpy as np
import pytest

from envs.experts.turning import best_sweep
from envs.robots.tools import PADDLE_HALF
from envs.table.footprints import fold_of, turn_left, yaw_of
from envs.table.objects import TableObject, draw_object
from envs.table.scene import SHAPES
from envs.tabletop import TabletopEnv
from envs.tasks.push import TablePush

BOX, CUP = SHAPES[3], SHAPES[0]


def thing(shape: object, half: tuple[float, float, float]) -> TableObject:
    drawn = draw_object(0, BOX, np.random.default_rng(0))
    return replace(drawn, shape=shape, half=np.array(half))  # pyright: ignore[reportArgumentType]


@pytest.fixture(scope="module")
def env() -> Iterator[TabletopEnv]:
    env = TabletopEnv("gantry", task="push")
    yield env
    env.close()


def task_of(env: TabletopEnv) -> TablePush:
    assert isinstance(env.task, TablePush)
    return env.task


def reset_to(env: TabletopEnv, fold: int, **options: bool) -> int:
    """A seed whose object has this fold; the environment is reset to it."""
    task = task_of(env)
    seed = next(seed for seed in range(60) if env.reset(seed=seed) and task.fold == fold)
    env.reset(seed=seed, options=dict(options))
    return seed


def put(env: TabletopEnv, xy: np.ndarray, yaw: float) -> None:
    slot = task_of(env).target
    env.world.set_slot(slot, present=True, pose=np.array([*xy, env.objects[0].height, yaw]))
    env.data.qvel[:] = 0
    mujoco.mj_forward(env.model, env.data)


def test_a_footprint_looks_the_same_as_often_as_its_sides_say() -> None:
    assert fold_of(thing(CUP, (0.03, 0.04, 0.0))) == 0
    assert fold_of(thing(BOX, (0.036, 0.030, 0.03))) == 2  # just oblong: 1.2 times
    assert fold_of(thing(BOX, (0.030, 0.0361, 0.03))) == 2
    assert fold_of(thing(BOX, (0.0359, 0.030, 0.03))) == 4


@pytest.mark.parametrize(
    ("yaw", "wanted", "fold", "left"),
    [(0, 30, 2, 30), (0, 170, 2, -10), (-170, 170, 2, -20), (0, 80, 4, -10), (0, 30, 4, 30), (0, 80, 2, 80), (0, 123, 0, 0)],
)
def test_the_way_round_is_the_shorter_one(yaw: float, wanted: float, fold: int, left: float) -> None:
    assert np.rad2deg(turn_left(np.deg2rad(yaw), np.deg2rad(wanted), fold)) == pytest.approx(left)


def test_the_yaw_of_what_stands_upside_down_is_that_of_its_x_axis() -> None:
    for yaw in (-2.0, 0.0, 1.0, 3.0):
        upright = np.array([np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)])
        over = np.empty(4)
        mujoco.mju_mulQuat(over, upright, np.array([0.0, 1.0, 0.0, 0.0]))  # about its own x axis
        assert yaw_of(upright) == pytest.approx(yaw) and yaw_of(over) == pytest.approx(yaw)


@pytest.mark.parametrize("fold", [2, 4])
def test_a_box_has_arrived_when_it_is_turned_as_the_mark_is(env: TabletopEnv, fold: int) -> None:
    reset_to(env, fold)
    task = task_of(env)
    half_turn = np.pi if fold == 2 else np.pi / 2
    cases = {0.0: True, 9.9: True, -9.9: True, 10.1: False, -10.1: False, 45.0: False}
    for degrees, arrived in cases.items():
        for turn in (0.0, half_turn):
            put(env, task.mark, task.yaw + np.deg2rad(degrees) + turn)
            assert task.judge(env.world, env.statuses()).success == arrived, degrees
            assert abs(task.turn(env.world)) == pytest.approx(np.deg2rad(abs(degrees)))
    put(env, task.mark, task.yaw + np.pi / 2)
    assert task.judge(env.world, env.statuses()).success == (fold == 4)
    put(env, task.mark + np.array([0.031, 0.0]), task.yaw)
    assert not task.judge(env.world, env.statuses()).success


def test_what_is_round_may_be_turned_any_way_and_a_box_must_stand(env: TabletopEnv) -> None:
    reset_to(env, 0)
    task = task_of(env)
    for yaw in (0.0, 1.0, 2.5):
        put(env, task.mark, yaw)
        assert task.judge(env.world, env.statuses()).success
    reset_to(env, 2)
    lying = np.array([np.sqrt(0.5), np.sqrt(0.5), 0.0, 0.0])  # on its side, its x axis along the mark's
    quat = np.empty(4)
    mujoco.mju_mulQuat(quat, np.array([np.cos(task.yaw / 2), 0, 0, np.sin(task.yaw / 2)]), lying)
    env.world.set_slot(task.target, present=True, pose=np.array([*task.mark, 0.03, *quat]))
    mujoco.mj_forward(env.model, env.data)
    assert abs(task.turn(env.world)) < 1e-6 and not task.judge(env.world, env.statuses()).success


def test_a_turn_is_paid_as_the_way_of_the_corners(env: TabletopEnv) -> None:
    reset_to(env, 2)
    task, radius = task_of(env), env.objects[0].radius
    put(env, task.mark + np.array([0.1, 0.0]), task.yaw + 1.0)
    task.begin(env.world)
    put(env, task.mark + np.array([0.04, 0.0]), task.yaw + 0.5)
    reward = task.judge(env.world, env.statuses()).reward
    assert reward == pytest.approx((0.06 + 0.5 * radius) / (0.1 + radius))


@pytest.mark.parametrize("fold", [0, 2, 4])
def test_state_tells_where_the_mark_is_and_how_it_is_turned(env: TabletopEnv, fold: int) -> None:
    reset_to(env, fold)
    task = task_of(env)
    names = env.readings.names["state"]
    state = dict(zip(names, env.observe()["state"], strict=True))
    assert (state["mark_x [m]"], state["mark_y [m]"]) == pytest.approx(tuple(task.mark))
    angle = task.fold * task.yaw
    assert state["mark_fold"] == fold
    assert (state["mark_cos"], state["mark_sin"]) == pytest.approx((np.cos(angle), np.sin(angle)), abs=1e-6)


@pytest.mark.parametrize("fold", [0, 2, 4])
def test_the_picture_shows_which_way_the_mark_points(env: TabletopEnv, fold: int) -> None:
    reset_to(env, fold)
    task, model = task_of(env), env.model
    env.world.set_slot(task.target, present=False, pose=np.array([0.0, 0.0, -2.0, 0.0]))
    task.yaw = 0.0
    pictures = []
    for yaw in (0.0, np.pi / 4, np.pi / 2, np.pi):
        task.yaw = yaw
        task.furnish(env.world)
        mujoco.mj_forward(model, env.data)
        pictures.append(env.observe()["pixels"].astype(int))
    differs = [bool(np.abs(picture - pictures[0]).max() > 60) for picture in pictures]
    assert differs == {0: [False] * 4, 4: [False, True, False, False], 2: [False, True, True, False]}[fold]


def test_a_goal_lies_on_the_mark_as_it_is_turned(env: TabletopEnv) -> None:
    seed = reset_to(env, 2)
    task = task_of(env)
    mark, yaw = task.mark.copy(), task.yaw
    _, info = env.reset(seed=seed, options={"goal": True})
    assert info["success"] and abs(info["turn"]) < 0.01 and info["distance"] < 0.002
    np.testing.assert_array_equal(task.mark, mark)
    assert task.yaw == yaw


def test_the_last_sweep_comes_along_an_axis_of_the_mark_and_ends_behind_it() -> None:
    half, mark = np.array([0.036, 0.025]), np.array([0.05, 0.0, 0.0])
    start, end = best_sweep(np.array([-0.05, 0.0]), 0.0, half, mark, 2)
    assert (start[1], *end) == pytest.approx((0.0, 0.05 - half[0] - PADDLE_HALF[1], 0.0)) and start[0] < -0.05 - half[0]
    start, end = best_sweep(np.array([0.05, -0.1]), np.pi, half, mark, 2)  # the other face
    assert (start[0], *end) == pytest.approx((0.05, 0.05, -half[1] - PADDLE_HALF[1])) and start[1] < -0.1 - half[1]


def test_what_is_turned_the_wrong_way_round_is_not_pushed_onto_the_mark_at_once() -> None:
    half, mark = np.array([0.036, 0.025]), np.array([0.05, 0.0, np.pi / 2])
    _, end = best_sweep(np.array([-0.05, 0.0]), 0.0, half, mark, 2)
    assert np.hypot(*(end - [0.05 - half[0] - PADDLE_HALF[1], 0.0])) > 0.02
    _, square = best_sweep(np.array([-0.05, 0.0]), 0.0, np.array([0.03, 0.03]), mark, 4)
    assert square == pytest.approx([0.05 - 0.03 - PADDLE_HALF[1], 0.0])


@pytest.mark.slow
@pytest.mark.parametrize("control", ["sweep", "ee_delta", "joint"])
def test_the_arms_expert_turns_boxes_too(control: str) -> None:
    env, won, boxes = TabletopEnv("arm", task="push", control_mode=control, observations=["state"]), 0, 0
    for seed in range(60):
        env.reset(seed=seed)
        if task_of(env).fold:
            rng, over, info, boxes = np.random.default_rng(seed), False, {}, boxes + 1
            while not over:
                _, _, terminated, truncated, info = env.step(env.expert_action(rng))
                over = terminated or truncated
            won += info["success"]
    env.close()
    assert boxes > 10 and won == boxes
