"""Robots: inverse kinematics against MuJoCo's forward kinematics, limits, and how well a sweep is tracked."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from envs.controls.sweep import SWEEP_HIGH, SWEEP_LOW
from envs.robots.arm import ROBOTS, Arm
from envs.robots.motion import RAMP, Stage, time_law
from envs.skills.sweep import SweepConfig
from envs.table.scene import build_spec
from envs.tabletop import TabletopEnv


@pytest.mark.parametrize("name", sorted(ROBOTS))
def test_inverse_kinematics_puts_the_tool_where_it_was_asked(name: str) -> None:
    robot = ROBOTS[name]()
    spec = build_spec()
    robot.add_to(spec)
    model = spec.compile()
    data = mujoco.MjData(model)
    joints = [int(model.joint(f"robot{j}").qposadr[0]) for j in range(robot.num_joints)]
    rng = np.random.default_rng(0)
    config = SweepConfig()
    for z in (config.sweep_height, config.lift_height):
        for xy in rng.uniform(SWEEP_LOW, SWEEP_HIGH, (30, 2)):
            yaw = rng.uniform(-np.pi, np.pi)
            data.qpos[joints] = robot.inverse(np.array([[*xy, z, yaw]]))[0]
            mujoco.mj_kinematics(model, data)
            site = data.site("tool")
            rotation = site.xmat.reshape(3, 3)
            np.testing.assert_allclose(site.xpos, [*xy, z], atol=1e-9)
            assert rotation[2, 2] == pytest.approx(-1)  # points straight down
            assert np.sin(np.arctan2(rotation[1, 0], rotation[0, 0]) - yaw) == pytest.approx(0, abs=1e-9)


def test_the_arm_stays_within_its_limits_over_the_whole_region_of_sweeps() -> None:
    arm = Arm()
    assert np.all(arm.home > arm.lower) and np.all(arm.home < arm.upper)
    grid = [np.linspace(low, high, 9) for low, high in zip(SWEEP_LOW, SWEEP_HIGH, strict=True)]
    for z in (0.008, 0.05, 0.13):
        for yaw in np.linspace(0, np.pi, 7):
            for x in grid[0]:
                for y in grid[1]:
                    q = arm.inverse(np.array([[x, y, z, yaw]]))[0]
                    assert np.all(q >= arm.lower - 0.02) and np.all(q <= arm.upper + 0.02), (x, y, z, yaw, q)


def test_a_pose_out_of_reach_is_named() -> None:
    with pytest.raises(ValueError, match=r"cannot reach x=0\.900"):
        Arm().inverse(np.array([[0.9, 0.0, 0.1, 0.0]]))


def test_the_time_law_starts_and_ends_at_rest_and_arrives() -> None:
    share = time_law(200)
    speed = np.diff(np.concatenate([[0.0], share])) * 200
    assert share[-1] == pytest.approx(1)
    assert np.all(speed >= 0)
    assert speed.max() == pytest.approx(1 / (1 - RAMP), rel=1e-3)
    assert speed[0] < 0.05 and speed[-1] < 0.05


@pytest.mark.parametrize("name", sorted(ROBOTS))
def test_commands_respect_joint_speeds_and_the_paddle_follows_its_path(name: str) -> None:
    env = TabletopEnv(robot=name, num_objects=1)
    env.reset(seed=0)
    env.world.set_slot(env.objects[0].slot, present=False, pose=np.array([0, 0, -2.0, 0]))
    start, end = np.array([-0.15, -0.25]), np.array([0.15, 0.30])
    for targets in env.skill.plan(start, end):
        speed = np.abs(np.diff(targets, axis=0)) / env.skill.tick
        assert np.all(speed <= env.robot.max_velocity * 1.02)
    heights, aside = [], []
    direction = (end - start) / np.hypot(*(end - start))

    def watch(stage: Stage) -> None:
        if stage is Stage.SWEEP:
            x, y, z = env.data.site_xpos[env.world.tool]
            heights.append(z)
            aside.append(abs(direction[0] * (y - start[1]) - direction[1] * (x - start[0])))

    result = env.skill.execute(env.data, start, end, watch)
    assert not result.blocked
    assert min(heights) > 0.0 and max(heights) < 0.02  # between the table and half of the lowest object
    assert max(aside) < 0.01
    env.close()


@pytest.mark.parametrize("name", sorted(ROBOTS))
def test_a_blocked_paddle_goes_up_where_it_came_down(name: str) -> None:
    env = TabletopEnv(robot=name, num_objects=1)
    env.reset(seed=3)
    position = env.on_table()[0][0]
    path = []

    def watch(stage: Stage) -> None:
        x, y, z = env.data.site_xpos[env.world.tool]
        path.append((stage, x, y, z))

    result = env.skill.execute(env.data, position, np.array([0.0, 0.34]), watch)
    assert result.blocked and Stage.SWEEP not in [stage for stage, *_ in path]
    steps = np.abs(np.diff(np.array([p[1:] for p in path]), axis=0)).max()
    assert steps < {"arm": 0.06, "gantry": 0.14}[name]  # no command that the robot has to chase
    upright = [p[1:3] for p in path if p[0] in (Stage.LOWER, Stage.LIFT)]
    assert len(upright) > 4 and np.hypot(*(np.array(upright) - position).T).max() < {"arm": 0.02, "gantry": 0.05}[name]
    env.close()
