"""TwoRooms: how far a step goes, what the wall and the door let through, where goals are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from envs.classics.two_rooms import MIN_STEPS, SPEED, TwoRoomsEnv


@pytest.fixture(scope="module")
def env() -> Iterator[TwoRoomsEnv]:
    world = TwoRoomsEnv()
    yield world
    world.close()


def after(env: TwoRoomsEnv, start: tuple[float, float], action: tuple[float, float], steps: int = 1) -> np.ndarray:
    """Where the agent is [px] after so many equal actions, wall at 32 and door at 14."""
    env.reset(seed=0, options={"state": np.array([*start, 32, 14]), "goal_state": np.array([60, 60, 32, 14])})
    for _ in range(steps):
        env.step(np.array(action))
    return env.state()[:2]


@pytest.mark.parametrize("action", [(1.0, 0.0), (-0.5, 1.0), (0.3, -0.7), (0.0, 0.0)])
def test_a_free_step_moves_the_agent_by_two_px_times_the_action(env: TwoRoomsEnv, action: tuple[float, float]) -> None:
    start = (20.0, 40.0)
    np.testing.assert_allclose(after(env, start, action), start + SPEED * np.array(action), atol=1e-6)


@pytest.mark.parametrize(
    ("start", "action", "axis", "expected"),
    [
        ((26.0, 40.0), (1.0, 0.0), 0, 28.0),  # the wall, 1.5 + 2.5 from its middle
        ((38.0, 40.0), (-1.0, 0.0), 0, 36.0),
        ((10.0, 40.0), (-1.0, 0.0), 0, 6.0),  # the border, 4 + 2
        ((54.0, 40.0), (1.0, 0.0), 0, 58.0),
        ((10.0, 10.0), (0.0, -1.0), 1, 6.0),
        ((10.0, 54.0), (0.0, 1.0), 1, 58.0),
        ((32.0, 14.0), (0.0, 1.0), 1, 18.5),  # the door's post
    ],
)
def test_walls_stop_the_agent_where_they_are_published_to(
    env: TwoRoomsEnv, start: tuple[float, float], action: tuple[float, float], axis: int, expected: float
) -> None:
    assert after(env, start, action, steps=12)[axis] == pytest.approx(expected, abs=0.3)


def test_the_agent_slides_along_the_wall(env: TwoRoomsEnv) -> None:
    assert after(env, (27.0, 40.0), (1.0, -0.5), steps=4)[1] == pytest.approx(36.0, abs=0.01)


@pytest.mark.parametrize(("y", "passes"), [(14.0, True), (10.0, True), (18.0, True), (8.0, False), (20.0, False)])
def test_only_the_door_leads_through(env: TwoRoomsEnv, y: float, passes: bool) -> None:
    assert (after(env, (24.0, y), (1.0, 0.0), steps=10)[0] > 40) == passes


@pytest.mark.parametrize("layout", ["fixed", "random"])
def test_goals_lie_in_the_other_room_a_long_way_off(layout: str) -> None:
    env = TwoRoomsEnv(layout=layout, image_size=8)
    ways, doors = [], []
    for seed in range(60):
        env.reset(seed=seed)
        (x, y, wall_x, door_y), goal = env.state(), env.goal_state
        assert (goal[0] > wall_x) != (x > wall_x)
        door = np.array([wall_x, door_y])
        ways.append(np.linalg.norm(goal[:2] - door) + np.linalg.norm(np.array([x, y]) - door))
        doors.append(door)
    assert np.mean(np.array(ways) >= MIN_STEPS * SPEED) > 0.9  # near the door none is so far
    assert (len(np.unique(doors, axis=0)) > 1) == (layout == "random")
    env.close()


def test_the_picture_is_the_plan(env: TwoRoomsEnv) -> None:
    env.reset(seed=0, options={"state": np.array([20.0, 40.0, 32.0, 14.0])})
    pixels = env.picture_of(env.state()).astype(int)
    red = (pixels[..., 0] - pixels[..., 1]).clip(0)
    rows, columns = np.indices(red.shape) + 0.5
    assert (red * columns).sum() / red.sum() == pytest.approx(20.0, abs=0.1)
    assert (red * rows).sum() / red.sum() == pytest.approx(40.0, abs=0.1)
    assert red.sum() / 255 == pytest.approx(np.pi * 2.35**2, rel=0.06)
    assert np.all(pixels[30, [31, 32]] == 0) and np.all(pixels[[11, 14, 17], 32] == 255)  # wall, and door from 10 to 18
    assert np.all(pixels[40, 3] == 0) and np.all(pixels[40, [2, 4]] == 255)  # the border's line
    pixels[..., :] = env.picture_of(np.array([20.0, 40.0, 24.0, 50.0]))
    assert np.all(pixels[30, [23, 24]] == 0) and np.all(pixels[[47, 50, 53], 24] == 255)  # wall and door are state
