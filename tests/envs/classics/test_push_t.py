"""PushT: the agent's published motion, quasi-static pushes without friction, walls, coverage, both rules of success."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from envs.classics import pusher, tee
from envs.classics.push_t import PushTEnv


@pytest.fixture(scope="module")
def env() -> Iterator[PushTEnv]:
    world = PushTEnv()
    yield world
    world.close()


FAR = np.array([400.0, 400.0, 400.0, 400.0, 1.0, 0.0, 0.0])


def begin(env: PushTEnv, agent: tuple[float, float], pose: tuple[float, float, float]) -> None:
    env.reset(seed=0, options={"state": np.array([*agent, *pose, 0, 0]), "goal_state": FAR})


def test_the_agent_follows_the_published_controller_and_nothing_else_moves(env: PushTEnv) -> None:
    begin(env, (100.0, 100.0), (300.0, 300.0, 0.3))
    position, velocity = np.array([100.0, 100.0]), np.zeros(2)
    for action in ([1.0, 0.0], [0.2, -0.7], [-1.0, 0.5]):
        target = np.clip(position + 100 * np.array(action), 0, 512)
        for _ in range(10):
            velocity = velocity + 0.01 * (100 * (target - position) - 20 * velocity)
            position = position + 0.01 * velocity
        env.step(np.array(action))
        np.testing.assert_allclose(env.state()[[0, 1, 5, 6]], [*position, *velocity], atol=1e-6)
        np.testing.assert_allclose(env.state()[2:5], [300.0, 300.0, 0.3], atol=1e-9)


def test_absolute_actions_span_the_workspace() -> None:
    env = PushTEnv(control="absolute", image_size=8)
    begin(env, (250.0, 250.0), (300.0, 350.0, 0.0))
    for _ in range(30):
        env.step(np.array([-0.5, -0.75]))
    np.testing.assert_allclose(env.state()[:2], [128.0, 64.0], atol=0.1)
    env.close()


def test_a_push_through_the_centre_of_gravity_moves_the_t_without_turning_it(env: PushTEnv) -> None:
    begin(env, (256.0, 150.0), (256.0, 200.0, 0.0))
    for _ in range(6):
        env.step(np.array([0.0, 0.6]))
    _, y, tx, ty, angle = env.state()[:5]
    assert y > 190 and (tx, angle) == pytest.approx((256.0, 0.0), abs=1e-3)
    assert ty - y == pytest.approx(15.0, abs=0.5)  # in touch: the contact gives way by less than half a px


def test_a_push_off_centre_turns_the_t_as_its_moment_says(env: PushTEnv) -> None:
    # downwards on the bar, 40 px left of the centre of gravity: v = s / (1 + r^2 / 3000), omega = r v / 3000
    begin(env, (216.0, 184.9), (256.0, 200.0, 0.0))
    env.step(np.array([0.0, 0.05]))
    pushed = env.state()[1] - 184.9
    (_, down), turn = tee.centre_of(env.state()[2:5]) - [256.0, 245.0], np.sin(env.state()[4])
    resistance = 1 + 40**2 / tee.GYRATION2
    assert down == pytest.approx(pushed / resistance, rel=0.1)
    assert turn == pytest.approx(-40 / tee.GYRATION2 * down, rel=0.05)


def test_the_t_stops_when_the_push_does(env: PushTEnv) -> None:
    begin(env, (256.0, 150.0), (256.0, 200.0, 0.0))
    for _ in range(4):
        env.step(np.array([0.0, 1.0]))
    env.step(np.array([0.0, -1.0]))
    rests = env.state()[2:5]
    for _ in range(3):
        env.step(np.array([0.0, -1.0]))
    np.testing.assert_allclose(env.state()[2:5], rests, atol=0.05)


def test_walls_hold_the_t_and_let_the_agent_through(env: PushTEnv) -> None:
    begin(env, (256.0, 300.0), (256.0, 390.0, np.pi))  # upside down: the bar's edge is lowest
    for _ in range(30):
        env.step(np.array([0.0, 1.0]))
    assert max(c[:, 1].max() for c in tee.corners(env.state()[2:5])) == pytest.approx(504.0, abs=1.5)
    begin(env, (60.0, 60.0), (300.0, 300.0, 0.0))
    for _ in range(10):
        env.step(np.array([-1.0, 0.0]))
    assert env.state()[0] == pytest.approx(0.0, abs=0.5)


def test_coverage_is_the_area_that_two_ts_share() -> None:
    pose = np.array([250.0, 260.0, 0.7])
    assert tee.coverage(pose, pose) == pytest.approx(1.0)
    along, across = tee.rotation(0.7) @ [10.0, 0.0], tee.rotation(0.7) @ [0.0, 10.0]
    # ten px along the bar lose ten px of the bar's height and of the stem's; across it only where nothing follows
    lost = (30 * 10 + 90 * 10) / tee.AREA
    assert tee.coverage(pose + np.array([*along, 0]), pose) == pytest.approx(1 - lost)
    assert tee.coverage(pose + np.array([*across, 0]), pose) == pytest.approx(1 - (120 * 10) / tee.AREA)
    assert tee.coverage(pose + np.array([300.0, 0.0, 0.0]), pose) == 0.0


def test_coverage_agrees_with_counted_points() -> None:
    rng = np.random.default_rng(0)
    for _ in range(8):
        a, b = (np.array([*rng.uniform(200, 260, 2), rng.uniform(0, 6.3)]) for _ in range(2))
        points = rng.uniform(50, 400, (200_000, 2))
        inside = [tee.distance_to(points, pose) <= 0 for pose in (a, b)]
        assert tee.coverage(a, b) == pytest.approx((inside[0] & inside[1]).sum() / inside[1].sum(), abs=0.02)


def test_success_by_pose_wants_agent_and_t_within_twenty_px_and_twenty_degrees(env: PushTEnv) -> None:
    for change, reached in (
        ((19.9, 0, 0, 0, 0), True),
        ((12, 0, 0, 16.1, 0), False),  # agent and T together
        ((0, 0, 0, 0, np.pi / 9 - 0.01), True),
        ((0, 0, 0, 0, np.pi / 9 + 0.01), False),
        ((0, 0, 0, 0, 2 * np.pi - 0.1), True),
    ):
        assert bool(env.reached(FAR + np.array([*change, 500.0, 0.0]), FAR)) == reached


def test_success_by_coverage_looks_at_the_green_t_alone() -> None:
    env = PushTEnv(success="coverage", image_size=8)
    env.reset(seed=0)
    np.testing.assert_allclose(env.goal_state[2:5], [256, 256, np.pi / 4])
    goal = env.goal_state
    for shift, reached in ((1.0, True), (4.0, False)):
        state = goal + np.array([50.0, -80.0, shift, 0, 0, 9, 9])
        assert bool(env.reached(state, goal)) == reached == (tee.coverage(state[2:5], goal[2:5]) > 0.95)
    env.close()


def test_the_green_t_shows_the_goal_that_was_given() -> None:
    env = PushTEnv(success="coverage")
    goal = np.array([50.0, 50.0, 150.0, 300.0, 0.0, 0.0, 0.0])
    observation, _ = env.reset(seed=0, options={"goal_state": goal, "state": FAR})
    pixels = observation["pixels"].astype(int)
    green = pixels[..., 1] - pixels[..., 0] > 50
    rows, columns = np.nonzero(green)
    assert (columns.mean() + 0.5) * 8 == pytest.approx(150.0, abs=4)
    assert (rows.mean() + 0.5) * 8 == pytest.approx(300 + (3600 * 15 + 2700 * 75) / 6300, abs=4)
    env.close()


def test_starts_and_goals_are_free_of_walls_and_of_each_other(env: PushTEnv) -> None:
    for seed in range(40):
        env.reset(seed=seed)
        for state in (env.state(), env.goal_state):
            corners = np.concatenate(tee.corners(state[2:5]))
            assert corners.min() > 7 and corners.max() < 504
            assert tee.distance_to(state[:2], state[2:5]) > 15


def test_a_push_does_what_the_pusher_expects_of_it(env: PushTEnv) -> None:
    begin(env, (100.0, 100.0), (256.0, 250.0, 0.0))
    goal = np.array([262.0, 262.0, 0.15])
    error = pusher.pose_error(np.array([256.0, 250.0, 0.0]), goal)
    length, after = pusher.push_effects(error, pusher.NORMALS)
    best = int(np.argmin(after))
    point, normal = np.array([256.0, 250.0]) + pusher.POINTS[best], pusher.NORMALS[best]
    begin(env, tuple(point - 16 * normal), (256.0, 250.0, 0.0))  # pyright: ignore[reportArgumentType]
    for _ in range(12):
        target = point + (length[best] - 15) * normal
        env.step(np.clip((target - env.state()[:2]) / 100, -1, 1))
    left = pusher.pose_error(env.state()[2:5], goal)
    assert float(np.sqrt(left @ (pusher.METRIC * left))) == pytest.approx(after[best], abs=1.0)
