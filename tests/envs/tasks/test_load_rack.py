"""LoadRack: where a dish counts as loaded, that dishes rest there, the contract, the goal, and the expert."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import gymnasium as gym
import mujoco
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import envs  # noqa: F401, registers the id
from envs.experts.loading import hold
from envs.instructions.denotation import denoted
from envs.robots.motion import Stage, run
from envs.table.dishes import axis_of, draw_dishes, is_plate, resting, slot_of, spread
from envs.table.rack import CUP_SLOTS, PLATE_SLOTS, Limits, plate_rest_height
from envs.tabletop import TabletopEnv
from envs.tasks.base import Status

LIMITS = Limits()


@pytest.fixture(scope="module")
def env() -> Iterator[TabletopEnv]:
    world = TabletopEnv(task="load_rack", num_objects=(1, 5), image_size=16)
    yield world
    world.close()


def test_gymnasium_checks_the_environment_without_a_warning() -> None:
    env = gym.make("worldmodel/LoadRack-v0", render_mode="rgb_array", max_steps=2, image_size=16, robot="gantry")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)
    env.close()
    env.close()


def test_a_pose_puts_the_axis_where_it_says() -> None:
    plate, cup = sorted(draw_dishes(2, np.random.default_rng(0)), key=is_plate, reverse=True)
    for yaw in np.linspace(-3, 3, 7):
        pose = resting(plate, np.zeros(2), yaw)
        rotation = np.zeros(9)
        mujoco.mju_quat2Mat(rotation, pose[3:])
        np.testing.assert_allclose(rotation.reshape(3, 3)[:, 2], [np.cos(yaw), np.sin(yaw), 0], atol=1e-12)
        np.testing.assert_allclose(axis_of(pose[3:]), [np.cos(yaw), np.sin(yaw), 0], atol=1e-12)
        np.testing.assert_allclose(axis_of(resting(cup, np.zeros(2), yaw)[3:]), [0, 0, 1], atol=1e-12)


def test_dishes_are_drawn_with_a_plate_and_a_cup_and_room_around_them() -> None:
    rng = np.random.default_rng(0)
    for num in (2, 3, 4, 5) * 20:
        dishes = draw_dishes(num, rng)
        plates = sum(map(is_plate, dishes))
        assert len(dishes) == num and 1 <= plates <= len(PLATE_SLOTS) and 1 <= num - plates <= len(CUP_SLOTS)
        places = spread(dishes, rng)[:, :2]
        apart = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1)) + np.eye(num)
        assert apart.min() > 2 * 0.029 + 0.025
        assert places[:, 1].max() < PLATE_SLOTS[0, 1] - 0.15  # not in the rack


@pytest.mark.parametrize(
    ("shift", "tilt", "loaded"),
    [
        ((0, 0, 0), 0, True),
        ((0.010, 0.012, 0.005), 15, True),
        ((0.020, 0, 0), 0, False),  # beside the slot
        ((0, 0.020, 0), 0, False),  # rolled off the rails
        ((0, 0, 0.020), 0, False),  # still held above
        ((0, 0, 0), 30, False),  # fallen over
    ],
)
def test_when_a_plate_is_in_its_slot(shift: tuple[float, float, float], tilt: float, loaded: bool) -> None:
    plate = next(dish for dish in draw_dishes(2, np.random.default_rng(1)) if is_plate(dish))
    pose = resting(plate, PLATE_SLOTS[2], 0.0)
    turn, tilted = np.zeros(4), np.zeros(4)
    mujoco.mju_axisAngle2Quat(turn, np.array([0.0, 1.0, 0.0]), np.deg2rad(tilt))
    mujoco.mju_mulQuat(tilted, turn, pose[3:])
    pose = np.concatenate([pose[:3] + shift, tilted])
    assert slot_of(plate, pose, LIMITS) == (2 if loaded else None)


@pytest.mark.parametrize(
    ("shift", "quaternion", "loaded"),
    [
        ((0, 0, 0), (1, 0, 0, 0), True),
        ((0.015, -0.015, 0.005), (np.cos(0.07), np.sin(0.07), 0, 0), True),
        ((0, 0, 0), (0, 1, 0, 0), True),  # upside down, as in a dishwasher
        ((0.025, 0, 0), (1, 0, 0, 0), False),  # on the fence
        ((0, 0, 0.015), (1, 0, 0, 0), False),
        ((0, 0, 0), (np.cos(0.10), np.sin(0.10), 0, 0), False),  # leans by 11.5 degrees
    ],
)
def test_when_a_cup_is_in_its_cell(
    shift: tuple[float, float, float], quaternion: tuple[float, float, float, float], loaded: bool
) -> None:
    cup = next(dish for dish in draw_dishes(2, np.random.default_rng(1)) if not is_plate(dish))
    pose = resting(cup, CUP_SLOTS[1], 0.0)
    pose = np.concatenate([pose[:3] + shift, quaternion])
    assert slot_of(cup, pose, LIMITS) == (1 if loaded else None)


def test_a_plate_does_not_count_in_a_cell_nor_a_cup_between_tines() -> None:
    for dish in draw_dishes(2, np.random.default_rng(2)):
        wrong = CUP_SLOTS if is_plate(dish) else PLATE_SLOTS
        assert all(slot_of(dish, resting(dish, slot, 0.0), LIMITS) is None for slot in wrong)


def test_dishes_stay_where_they_start_and_in_the_rack_when_they_rest(env: TabletopEnv) -> None:
    for seed in range(10):
        _, start = env.reset(seed=seed)
        assert not start["success"] and start["num_cleared"] == 0
        assert np.all(start["status"][[dish.slot for dish in env.objects]] == Status.TABLE)
        for dish in filter(is_plate, env.objects):  # on edge in their stands
            pose = env.world.poses[dish.slot]
            assert abs(axis_of(pose[3:])[2]) < 0.05 and pose[2] == pytest.approx(plate_rest_height(dish.radius), abs=1e-3)
        _, goal = env.reset(seed=seed, options={"goal": True})
        assert goal["success"] and goal["num_cleared"] == len(env.objects) and goal["objects"] == start["objects"]
        mujoco.mj_step(env.model, env.data, 400)  # two seconds
        np.testing.assert_array_equal(env.statuses(), goal["status"])


def test_a_seed_is_the_same_episode_to_the_bit_whatever_was_played_before(env: TabletopEnv) -> None:
    rng = np.random.default_rng(0)
    first, _ = env.reset(seed=4)
    action = env.expert_action(rng)
    after = env.step(action)[0]
    env.reset(seed=5, options={"goal": True})
    again, _ = env.reset(seed=4)
    for a, b in ((first, again), (after, env.step(action)[0])):
        for key in a:
            np.testing.assert_array_equal(a[key], b[key])


def test_the_expert_loads_the_rack_and_is_paid_for_it(env: TabletopEnv) -> None:
    rng = np.random.default_rng(0)
    wins = 0
    for seed in range(200, 206):
        env.reset(seed=seed)
        total, over = 0.0, False
        while not over:
            _, reward, terminated, truncated, info = env.step(env.expert_action(rng))
            total, over = total + reward, terminated or truncated
        wins += info["success"]
        if info["success"]:
            assert total == pytest.approx(1.0) and terminated
            assert np.all(info["status"][info["target"]] == Status.BIN)
    assert wins >= 5


@pytest.mark.parametrize("mode", ["ee_delta", "joint"])
def test_the_low_level_expert_loads_the_rack(mode: str) -> None:
    env = TabletopEnv(task="load_rack", control_mode=mode, num_objects=2, image_size=8)
    rng, wins = np.random.default_rng(0), 0
    for seed in range(2):
        env.reset(seed=seed)
        over = False
        while not over:
            _, _, terminated, truncated, info = env.step(env.expert_action(rng))
            over = terminated or truncated
        wins += info["success"]
        assert not env.world.held().any()
    assert wins == 2
    env.close()


def test_a_dish_that_is_held_in_its_slot_is_not_loaded_yet(env: TabletopEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    env.reset(seed=31, options={"goal": True})
    assert env.statuses()[env.objects[0].slot] == Status.BIN
    held = np.zeros(5, np.bool_)
    held[env.objects[0].slot] = True
    monkeypatch.setattr(env.world, "held", lambda: held)
    assert env.statuses()[env.objects[0].slot] == Status.TABLE


def test_only_the_denoted_dishes_go_into_the_rack(env: TabletopEnv) -> None:
    rng = np.random.default_rng(0)
    env.reset(seed=31)
    assert len(env.objects) > 2
    words = f"only the {env.objects[1].name}"
    _, info = env.reset(seed=31, options={"instruction": words})
    assert np.flatnonzero(info["target"]).tolist() == [env.objects[1].slot] == sorted(denoted(words, env.objects))
    over = False
    while not over:
        _, _, terminated, truncated, info = env.step(env.expert_action(rng))
        over = terminated or truncated
    assert info["success"] and info["num_cleared"] == 1 and env.instruction == words


def test_a_dish_that_fell_off_the_table_is_lost(env: TabletopEnv) -> None:
    env.reset(seed=31)
    before, slot = env.statuses(), env.objects[0].slot
    env.world.poses[slot, :3] = 0.0, -0.6, -0.4
    verdict = env.task.judge(env.world, before)
    assert env.statuses()[slot] == Status.FLOOR and not verdict.success
    assert verdict.reward == pytest.approx(-1 / len(env.objects))


def test_what_is_held_stays_in_the_hand() -> None:
    """The slip between grasp and release, which the firm pads and the light damping are for."""
    env = TabletopEnv(task="load_rack", num_objects=2, image_size=8)
    rng, slips = np.random.default_rng(0), []
    for seed in range(6):
        env.reset(seed=seed)
        plate = next(filter(is_plate, env.objects))
        held: dict[Stage, np.ndarray] = {}

        def watch(stage: Stage, held: dict[Stage, np.ndarray] = held, slot: int = plate.slot) -> None:
            rotation = env.data.site_xmat[env.world.tool].reshape(3, 3)
            offset = rotation.T @ (env.world.poses[slot, :3] - env.world.tool_position)
            if stage in (Stage.GRASP, Stage.CARRY) and (stage is Stage.CARRY or Stage.CARRY not in held):
                held[stage] = offset

        assert np.allclose(hold(env.world, plate)[:2], env.world.poses[plate.slot, :2])
        run(env.model, env.data, env.control.act(env.expert_action(rng).astype(float)), watch)
        slips.append(float(np.linalg.norm(held[Stage.CARRY] - held[Stage.GRASP])))
    assert np.median(slips) < 0.008
    env.close()
