"""ee_delta and joint: ten actions a second, in metres and radians, within a workspace and a limit on the force."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from envs.controls.ee_delta import EndEffectorDelta
from envs.controls.low_level import MAX_FORCE, START, WORKSPACE_HIGH, WORKSPACE_LOW, LowLevelControl, turned
from envs.tabletop import TabletopEnv


@pytest.fixture(scope="module", params=["arm", "gantry"])
def ee(request: pytest.FixtureRequest) -> Iterator[TabletopEnv]:
    world = TabletopEnv(request.param, task="reach", control_mode="ee_delta", max_steps=1000)
    yield world
    world.close()


@pytest.fixture(scope="module", params=["arm", "gantry"])
def joint(request: pytest.FixtureRequest) -> Iterator[TabletopEnv]:
    world = TabletopEnv(request.param, task="reach", control_mode="joint", max_steps=1000)
    yield world
    world.close()


def low_level(env: TabletopEnv) -> LowLevelControl:
    assert isinstance(env.control, LowLevelControl)
    return env.control


def test_a_step_takes_a_tenth_of_a_second_and_moves_as_far_as_it_says(ee: TabletopEnv) -> None:
    ee.reset(seed=0)
    np.testing.assert_allclose(ee.world.tool_position, START[:3], atol=2e-3)
    began, before, yaw = ee.data.time, ee.world.tool_position.copy(), ee.world.tool_yaw
    for _ in range(4):
        info = ee.step(np.array([0.4, 0.8, -0.4, 0.5, 1.0]))[-1]
    for _ in range(3):
        ee.step(np.array([0, 0, 0, 0, 1.0]))  # the servos catch up
    assert ee.data.time - began == pytest.approx(0.7)
    np.testing.assert_allclose(ee.world.tool_position - before, 4 * 0.1 * 0.25 * np.array([0.4, 0.8, -0.4]), atol=3e-3)
    assert ee.world.tool_yaw - yaw == pytest.approx(4 * 0.1 * 1.5 * 0.5, abs=0.02)
    assert info["workspace_violations"] == 0 and info["force_stops"] == 0


def test_the_fingers_go_where_they_are_told(ee: TabletopEnv) -> None:
    ee.reset(seed=0)
    control = low_level(ee)
    for opening in (0.0, 0.05, 0.14):
        for _ in range(8):
            obs = ee.step(np.array([0, 0, 0, 0, control.grip_of(opening)]))[0]
        assert control.motion.opening(ee.data) == pytest.approx(opening, abs=2e-3)
        assert obs["proprio"][6] == pytest.approx(opening, abs=2e-3)


def test_the_tool_stays_in_its_workspace_and_asking_for_more_is_counted(ee: TabletopEnv) -> None:
    for direction in np.vstack([np.eye(3), -np.eye(3)]):
        ee.reset(seed=0)
        for _ in range(30):
            info = ee.step(np.array([*direction, 0, 1.0]))[-1]
        assert np.all(ee.world.tool_position > WORKSPACE_LOW - 0.01)
        assert np.all(ee.world.tool_position < WORKSPACE_HIGH + 0.01)
        assert 5 < info["workspace_violations"] < 30
        assert np.isfinite(ee.data.qpos).all()


@pytest.mark.parametrize("mode", ["ee_delta", "joint"])
@pytest.mark.parametrize("robot", ["arm", "gantry"])
def test_no_action_is_refused_and_none_breaks_the_simulation(robot: str, mode: str) -> None:
    env = TabletopEnv(robot, task="clear", control_mode=mode, num_objects=5)
    rng = np.random.default_rng(0)
    for seed in range(2):
        env.reset(seed=seed)
        for k in range(60):
            action = rng.choice([-1.0, 1.0], env.action_space.shape) if k % 2 else rng.uniform(-9, 9, env.action_space.shape)
            obs, *_, over, _, info = env.step(action)
            assert env.observation_space.contains(obs) and info["num_dropped"] >= 0
            if over:
                break
        assert not env.data.warning.number.any()
    env.close()


def test_joints_turn_as_fast_as_they_are_told(joint: TabletopEnv) -> None:
    joint.reset(seed=0)
    control, robot = low_level(joint), joint.robot
    before = joint.data.qpos[control.motion.qpos].copy()
    share = np.zeros(robot.num_joints)
    share[0], share[-1] = 0.3, -0.6
    for _ in range(5):
        joint.step(np.append(share, 1.0))
    for _ in range(3):
        joint.step(np.append(0 * share, 1.0))
    moved = joint.data.qpos[control.motion.qpos] - before
    np.testing.assert_allclose(moved, 0.5 * share * robot.servo_speed, atol=0.02)


def test_joints_that_would_leave_the_workspace_stay_and_are_counted(joint: TabletopEnv) -> None:
    joint.reset(seed=0)
    share = np.zeros(joint.robot.num_joints)
    share[1 if joint.robot_name == "arm" else 0] = -1.0
    for _ in range(60):
        info = joint.step(np.append(share, 1.0))[-1]
    assert info["workspace_violations"] > 5
    assert np.all(joint.world.tool_position > WORKSPACE_LOW - 0.02)


def test_a_tool_that_meets_the_table_stops_and_does_not_press_on() -> None:
    env = TabletopEnv(task="pick", control_mode="ee_delta", num_objects=1, max_steps=1000)
    env.reset(seed=0)
    control, slot = low_level(env), env.objects[0].slot
    x, y, z = env.world.poses[slot, :3]
    forces = []
    for k in range(40):  # the palm and the closed fingers onto the object's top
        goal = np.array([x, y, 0.20 if k < 12 else 0.02, 0.0])
        forces.append(env.step(control.toward(goal, 0.0))[-1]["peak_force"])
    assert control.force_stops > 0
    assert np.median(forces[25:]) < 2.5 * MAX_FORCE
    assert env.world.tool_position[2] > z  # it stands on it
    env.close()


def test_toward_arrives(ee: TabletopEnv, joint: TabletopEnv) -> None:
    for env in (ee, joint):
        env.reset(seed=0)
        for goal in (np.array([0.1, 0.15, 0.05, 1.0]), np.array([-0.1, -0.2, 0.25, -1.2])):
            for _ in range(40):
                env.step(low_level(env).toward(goal, 0.05))
            np.testing.assert_allclose(env.world.tool_position, goal[:3], atol=4e-3)
            assert abs(turned(env.world.tool_yaw, goal[3]) - goal[3]) < 0.03


def test_the_commanded_pose_never_runs_far_ahead() -> None:
    env = TabletopEnv(task="pick", control_mode="ee_delta", num_objects=1, max_steps=1000)
    env.reset(seed=0)
    assert isinstance(env.control, EndEffectorDelta)
    for _ in range(40):
        env.step(np.array([0, 0, -1.0, 0, -1.0]))
        assert np.linalg.norm(env.control.pose[:3] - env.world.tool_position) < 0.1
    env.close()
