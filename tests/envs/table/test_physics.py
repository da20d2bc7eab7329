"""MuJoCo itself: dense and sparse constraint Jacobians must agree on every scene (4.0.0 has a reported sparse Hessian bug)."""

from __future__ import annotations

import gymnasium as gym
import mujoco
import numpy as np
import pytest

import envs  # noqa: F401, registers the scenes
from envs.controls.sweep import to_table
from envs.robots.arm import ROBOTS
from envs.robots.motion import STEPS_PER_TICK
from envs.tabletop import TabletopEnv

IDS = sorted(name for name in gym.registry if name.startswith("worldmodel/"))


def accelerations(model: mujoco.MjModel, data: mujoco.MjData, jacobian: mujoco.mjtJacobian) -> np.ndarray:
    """(nv,) from the state and the controls of `data`, everything awake."""
    before, flags = model.opt.jacobian, model.opt.enableflags
    model.opt.jacobian = int(jacobian)
    model.opt.enableflags &= ~int(mujoco.mjtEnableBit.mjENBL_SLEEP)
    try:
        scratch = mujoco.MjData(model)
        scratch.qpos[:], scratch.qvel[:], scratch.ctrl[:] = data.qpos, data.qvel, data.ctrl
        mujoco.mj_forward(model, scratch)
        return scratch.qacc.copy()
    finally:
        model.opt.jacobian, model.opt.enableflags = before, flags


def assert_agree(model: mujoco.MjModel, data: mujoco.MjData) -> None:
    dense, sparse = (
        accelerations(model, data, kind) for kind in (mujoco.mjtJacobian.mjJAC_DENSE, mujoco.mjtJacobian.mjJAC_SPARSE)
    )
    np.testing.assert_allclose(dense, sparse, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("name", IDS)
def test_every_scene_after_its_reset_and_its_steps(name: str) -> None:
    env = gym.make(name).unwrapped
    model, data = env.get_wrapper_attr("model"), env.get_wrapper_attr("data")
    rng = np.random.default_rng(0)
    for seed in range(3):
        env.reset(seed=seed)
        env.action_space.seed(seed)
        for _ in range(3):
            env.step(env.action_space.sample())
            assert_agree(model, data)
            pushed = mujoco.MjData(model)
            pushed.qpos[:], pushed.ctrl[:] = data.qpos, data.ctrl
            pushed.qvel[:] = data.qvel + rng.normal(0, 0.3, model.nv)
            assert_agree(model, pushed)
    env.close()


@pytest.mark.parametrize("robot", sorted(ROBOTS))
def test_the_tabletop_in_the_middle_of_sweeps(robot: str) -> None:
    env = TabletopEnv(robot=robot, num_objects=5)
    rng = np.random.default_rng(0)
    most = 0
    for seed in range(2):
        env.reset(seed=seed)
        onto, _ = env.on_table()[0]  # a paddle that comes down on an object, then sweeps
        plans = [
            np.stack([onto, onto + np.array([0.0, 0.2])]),
            *(to_table(env.aimed_action(rng).reshape(2, 2)) for _ in range(2)),
        ]
        for start, end in plans:
            for tick, _ in enumerate(env.skill.sweep(env.data, start, end)):
                if tick % 5 == 0:
                    assert_agree(env.model, env.data)
                    most = max(most, env.data.ncon)
                mujoco.mj_step(env.model, env.data, STEPS_PER_TICK)
    assert most > 12  # contacts: the paddle's among them
    env.close()


@pytest.mark.parametrize("robot", sorted(ROBOTS))
@pytest.mark.parametrize("task", ["pick", "load_rack"])
def test_the_gripper_in_the_middle_of_a_pick_and_place(robot: str, task: str) -> None:
    env = TabletopEnv(robot=robot, task=task, control_mode="pick_place")
    env.reset(seed=1)
    held = 0
    for tick, _ in enumerate(env.control.act(env.expert_action(np.random.default_rng(0)).astype(np.float64))):
        if tick % 8 == 0:
            assert_agree(env.model, env.data)
            held += env.world.held().any()
        mujoco.mj_step(env.model, env.data, STEPS_PER_TICK)
    assert held > 4
    env.close()
