"""Reacher: geometry, masses and torques of the published arm, its inverse, and both kinds of goals."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from envs.classics.reacher import LINK, ReacherEnv, fingertip, inverse


@pytest.fixture(scope="module")
def env() -> Iterator[ReacherEnv]:
    world = ReacherEnv(task="hard")
    yield world
    world.close()


def test_the_arm_weighs_what_the_published_capsules_do(env: ReacherEnv) -> None:
    def capsule(length: float) -> float:
        return 1000 * np.pi * 0.01**2 * (length + 4 / 3 * 0.01)

    masses = [float(env.model.body(name).mass[0]) for name in ("arm", "hand", "finger")]
    assert masses == pytest.approx([capsule(0.12), capsule(0.10), 1000 * 4 / 3 * np.pi * 0.01**3])


def test_the_fingertip_is_where_the_formula_says(env: ReacherEnv) -> None:
    for seed in range(5):
        env.reset(seed=seed)
        np.testing.assert_allclose(fingertip(env.state()), env.data.body("finger").xpos[:2], atol=1e-12)
        np.testing.assert_allclose(env.positions()[1], env.data.body("hand").xpos[:2], atol=1e-12)


@pytest.mark.parametrize("elbow_up", [False, True])
def test_the_inverse_puts_the_fingertip_on_a_target(elbow_up: bool) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        angle, distance = rng.uniform(-np.pi, np.pi), rng.uniform(0.05, 2 * LINK)
        target = distance * np.array([np.cos(angle), np.sin(angle)])
        joints = np.array(inverse(target, elbow_up))
        np.testing.assert_allclose(fingertip(joints), target, atol=1e-9)
        assert (joints[1] >= 0) == elbow_up


def test_a_torque_is_five_hundredths_of_a_newton_metre_for_two_physics_steps(env: ReacherEnv) -> None:
    env.reset(seed=0)
    before = float(env.data.time)
    env.step(np.array([1.0, -0.5]))
    np.testing.assert_allclose(env.data.qfrc_actuator, [0.05, -0.025])
    assert env.data.time - before == pytest.approx(0.04)


def test_a_touch_is_success_and_joints_do_not_matter() -> None:
    env = ReacherEnv(task="easy", image_size=8)
    target = np.array([0.1, 0.1])
    for elbow_up in (False, True):
        at = np.array([*inverse(target, elbow_up), 0, 0, *target])
        assert env.goal_distance(at, at) == pytest.approx(0, abs=1e-9)
    shifted = target + np.array([0.059, 0])
    near = np.array([*inverse(shifted, True), 0, 0, *target])
    far = np.array([*inverse(target + np.array([0.061, 0]), True), 0, 0, *target])
    assert env.reached(near, at) and not env.reached(far, at)
    env.close()


def test_a_pose_is_matched_within_five_hundredths_of_a_radian_the_short_way_round() -> None:
    env = ReacherEnv(image_size=8)
    goal = np.array([np.pi - 0.01, 0.5, 0, 0, 0, 0])
    for shoulder, wrist, reached in ((-np.pi + 0.03, 0.5, True), (-np.pi + 0.05, 0.5, False), (np.pi - 0.01, 0.56, False)):
        assert bool(env.reached(np.array([shoulder, wrist, 9, 9, 0, 0]), goal)) == reached
    env.close()


def test_the_target_is_seen_where_it_is_and_only_where_there_is_one(env: ReacherEnv) -> None:
    observation, _ = env.reset(seed=0, options={"state": np.array([0.0, 0.0, 0, 0, -0.1, 0.15])})
    pixels = observation["pixels"].astype(int)
    redness = (pixels[..., 0] - pixels[..., 2] - 60).clip(0) * (np.indices((64, 64))[1] < 30)
    rows, columns = np.indices(redness.shape) + 0.5
    half_view = 0.74 * np.tan(np.deg2rad(22.5))  # at the height of the ball
    assert (redness * columns).sum() / redness.sum() == pytest.approx(32 - 0.1 / half_view * 32, abs=1)
    assert (redness * rows).sum() / redness.sum() == pytest.approx(32 - 0.15 / half_view * 32, abs=1)
    blind = ReacherEnv()
    np.testing.assert_array_equal(
        blind.picture_of(np.array([0, 0, 0, 0, 0.1, 0.1])), blind.picture_of(np.array([0, 0, 0, 0, -0.1, 0.1]))
    )
    blind.close()
