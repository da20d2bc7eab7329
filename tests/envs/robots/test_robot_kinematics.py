"""Kinematics of mounted arms: against MuJoCo's, and against the closed form of the arm that is built here."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
import pytest

from envs.controls.pick_place import PICK_HIGH, PICK_LOW
from envs.robots import mjcf, published
from envs.robots.arm import Arm
from envs.robots.mounted import MountedArm
from envs.robots.reach import reach_of
from envs.robots.thinning import Mesh, thinned
from envs.robots.tools import Paddle
from envs.table.scene import build_spec
from tests.envs.robots.tiny import write


@pytest.fixture(scope="module")
def robot(tmp_path_factory: pytest.TempPathFactory) -> MountedArm:
    """The tiny arm with a paddle."""
    return MountedArm("tiny", write(tmp_path_factory.mktemp("arm")))


def test_the_chain_is_what_mujoco_compiles(tmp_path: Path) -> None:
    file = write(tmp_path)
    model = mujoco.MjModel.from_xml_path(str(file))
    data = mujoco.MjData(model)
    arm = mjcf.read(file)
    rng = np.random.default_rng(0)
    joints = rng.uniform(-2, 2, (5, 6))
    posture = arm.screws.forward(joints)
    for n in range(5):
        data.qpos[:6] = joints[n]
        mujoco.mj_kinematics(model, data)
        np.testing.assert_allclose(posture.position[n], data.site("attachment_site").xpos, atol=1e-12)
        np.testing.assert_allclose(posture.rotation[n].ravel(), data.site("attachment_site").xmat, atol=1e-12)
        np.testing.assert_allclose(posture.axes[n], data.xaxis[:6], atol=1e-12)


def test_only_the_arm_is_read_from_its_file(tmp_path: Path) -> None:
    file = write(tmp_path)
    arm = mjcf.read(file)
    model = mujoco.MjModel.from_xml_path(str(file))
    kept = ["base", "b1", "b2", "b3", "b4", "b5", "b6", "cover"]  # neither the hand nor its finger
    assert [link.mass for link in arm.links] == [model.body(name).mass.item() for name in kept]
    assert [link.joint for link in arm.links] == [None, 0, 1, 2, 3, 4, 5, None]
    assert [len(link.looks) for link in arm.links] == [1, 1, 1, 1, 1, 1, 1, 1]  # without the hull of the fifth
    np.testing.assert_allclose(arm.links[0].looks[0].rgba, [0.1, 0.2, 0.9, 1])
    assert arm.links[1].looks[0].mesh is not None
    np.testing.assert_allclose(arm.upper, [*np.deg2rad([170] * 5), 2 * np.pi])
    np.testing.assert_allclose(arm.max_torque, [140, 130, 120, np.nan, np.nan, np.nan])
    np.testing.assert_allclose(published.max_torque(file, arm.max_torque), [140, 130, 120, 30, 30, 30])
    np.testing.assert_allclose(published.max_velocity(file, 6), np.deg2rad(120))


def test_published_speeds_go_by_the_folder_of_the_file() -> None:
    panda = published.max_velocity(Path("x/franka_emika_panda-0123abcd/panda_nohand.xml"), 7)
    np.testing.assert_allclose(panda, Arm.max_velocity, rtol=2e-3)
    assert published.max_velocity(Path("x/franka_emika_panda/other.xml"), 6) == pytest.approx(np.deg2rad(120))


def test_inverse_kinematics_puts_the_tool_where_it_was_asked(robot: MountedArm) -> None:
    spec = build_spec()
    robot.add_to(spec)
    model = spec.compile()
    data = mujoco.MjData(model)
    joints = [int(model.joint(f"robot{j}").qposadr[0]) for j in range(6)]
    rng = np.random.default_rng(0)
    low, high = [*PICK_LOW, 0.008, -np.pi], [*PICK_HIGH, 0.17, np.pi]
    for pose in robot.reachable(rng.uniform(low, high, (300, 4))):
        found = robot.inverse(pose[None])[0]
        assert np.all(found >= robot.lower) and np.all(found <= robot.upper)
        data.qpos[joints] = found
        mujoco.mj_kinematics(model, data)
        site = data.site("tool")
        rotation = site.xmat.reshape(3, 3)
        assert np.linalg.norm(site.xpos - pose[:3]) < 5e-4
        assert np.rad2deg(np.arccos(min(1.0, -rotation[2, 2]))) < 0.5
        assert abs(np.sin(np.arctan2(rotation[1, 0], rotation[0, 0]) - pose[3])) < np.deg2rad(0.5)


def test_a_path_has_no_jumps_and_the_same_pose_has_the_same_joints(robot: MountedArm) -> None:
    share = np.linspace(0, 1, 200)[:, None]
    path = np.array([-0.2, -0.3, 0.1, 0.4]) + share * np.array([0.4, 0.6, -0.05, np.pi])
    joints = robot.inverse(path)
    assert np.abs(np.diff(joints, axis=0)).max() < 0.05
    alone = np.concatenate([robot.inverse(pose[None]) for pose in path])
    np.testing.assert_array_equal(alone[:, :-1], joints[:, :-1])
    turns = (alone[:, -1] - joints[:, -1]) / np.pi
    np.testing.assert_allclose(turns, np.round(turns), atol=1e-12)  # the yaw is free modulo pi


def test_what_is_within_reach_stays_and_what_is_not_is_drawn_in(robot: MountedArm) -> None:
    poses = np.array([[0.0, 0.1, 0.1, 0.3], [2.0, 0.5, 0.1, 0.3], [0.1, 0.1, 3.0, 0.3]])
    fitted = robot.reachable(poses)
    np.testing.assert_array_equal(fitted[0], poses[0])
    foot = robot.base[:2]
    assert np.cross([*(poses[1, :2] - foot), 0], [*(fitted[1, :2] - foot), 0])[2] == pytest.approx(0)  # straight towards it
    assert fitted[1, 0] < 1 and fitted[2, 2] < 1.5
    np.testing.assert_allclose(robot.reachable(fitted), fitted, atol=1e-12)
    np.testing.assert_allclose(robot.inverse(poses)[:, :-1], robot.inverse(fitted)[:, :-1], atol=1e-12)


class NoTool(Paddle):
    """Nothing at the flange."""

    def add_to(self, spec: mujoco.MjSpec, flange: mujoco.MjsBody, handle: float) -> None:
        flange.add_site(name="attachment_site")


def test_our_own_arm_read_from_a_file_agrees_with_its_closed_form(tmp_path: Path) -> None:
    ours = Arm(NoTool())
    spec = mujoco.MjSpec()
    spec.compiler.degree = False
    ours.add_to(spec)
    spec.compile()
    file = tmp_path / "ours.xml"
    file.write_text(spec.to_xml(), encoding="utf-8")
    arm, reach = mjcf.read(file), reach_of(file)
    np.testing.assert_allclose(arm.lower, Arm.lower, atol=1e-9)
    np.testing.assert_allclose(arm.max_torque, Arm.max_torque)
    distance, height = np.meshgrid(np.linspace(0.35, 0.75, 9), np.linspace(0.15, 0.35, 5))
    distance, height = distance.ravel(), height.ravel()
    assert np.array_equal(reach.within(distance, height)[0], distance)
    found = reach.solve(distance, height)
    poses = np.stack([Arm.base[0] + distance, np.full_like(distance, Arm.base[1]), height - ours.handle, 0 * height], axis=1)
    closed = ours.inverse(poses)
    np.testing.assert_allclose(found[:, :-1], closed[:, :-1], atol=5e-4)


def test_thinning_joins_what_is_near_and_keeps_the_shape() -> None:
    corners = np.array([[x, y, z] for x in (0.0, 0.1) for y in (0.0, 0.1) for z in (0.0, 0.1)])
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = np.array([triangle for a, b, c, d in quads for triangle in ((a, b, c), (a, c, d))])
    loose = Mesh(corners[faces].reshape(-1, 3) + 0.001, np.arange(36).reshape(-1, 3))  # each triangle for itself
    mesh = thinned(loose, 0.01)
    assert len(mesh.vertices) == 8 and len(mesh.faces) == 12
    np.testing.assert_allclose(np.sort(mesh.vertices, axis=0), np.sort(corners + 0.001, axis=0), atol=1e-12)
    speck = Mesh(corners[:3] * 1e-3, np.array([[0, 1, 2]]))
    assert len(thinned(speck, 0.01).faces) == 1  # stays as it was
