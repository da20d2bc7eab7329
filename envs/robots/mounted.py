"""Somebody else's arm at this table: its own links, joints, masses and looks, with our tools, servos and skills.

It is any serial arm of six or seven hinges whose first joint turns about the vertical and whose last turns the flange about the
tool. Its file says how it is built; where it stands, how it waits and how stiff its servos are follow from that.
"""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np

from envs.robots import mjcf, placing, published
from envs.robots.arm import DARK, Arm
from envs.robots.reach import reach_of
from envs.robots.tools import Paddle, Tool, add_servo
from envs.robots.waiting import choose, cloud, poses_to_wait
from envs.table.scene import FLOOR_Z

CYLINDER = mujoco.mjtGeom.mjGEOM_CYLINDER
MIN_ARMATURE = 0.1
"""Inertia that a drive adds to its joint at least: what the servos of `Arm` have [kg m^2]."""
STIFFNESS, DAMPING = 4000.0, 0.1
"""Of a servo: [1/s^2] by the inertia that it moves, and damping as a share of that [s]. Those of `Arm` are about the same."""
MIN_COVERED = 0.8
"""Least share of the workspace that an arm must reach."""


class MountedArm:
    """An arm from an MJCF file. See `envs.robots.arm.Robot` for its fields."""

    handle = Arm.handle
    tool_speed = Arm.tool_speed
    vertical_speed = Arm.vertical_speed

    def __init__(self, name: str, file: Path, tool: Tool | None = None) -> None:
        """`name` is what the arm was asked for by. ValueError in one line for a file that has no such arm, or one too short."""
        self.name, self.file = name, file
        self.tool = tool or Paddle()
        self.handle = type(self).handle + self.tool.reach
        self.arm = arm = mjcf.read(file)
        self.lower, self.upper = arm.lower, arm.upper
        self.num_joints = count = len(arm.lower)
        self.units: tuple[str, ...] = ("rad",) * count
        self.servo_speed = np.full(count, 1.0)
        self.max_velocity = published.max_velocity(file, count)
        self.max_torque = published.max_torque(file, arm.max_torque)

        self.reach = reach_of(file)
        self.base, covered = placing.stand(self.reach, self.handle)
        if covered < MIN_COVERED:
            raise ValueError(
                f"robot {name!r} reaches only {covered:.0%} of the workspace at this table; {MIN_COVERED:.0%} is needed"
            )
        self._centre = (arm.lower + arm.upper) / 2
        # Which way the first joint turns the arm, and the last the flange, whose z points down at work; seen from above.
        self._signs = np.sign(arm.screws.axes[0, 2]), -np.sign(arm.screws.axes[-1] @ arm.screws.rotation[:, 2])
        # The foot is turned so that the first joint is midway when the arm faces the table.
        middle = self.reach.solve(*self.reach.within(np.array([0.5]), np.array([0.2 - self.base[2]])))[0]
        self.facing = float(self._signs[0] * (middle[0] - self._centre[0]))

        inertia = self._inertia(self.inverse(np.array([[0.0, 0.0, 0.10, 0.0]]))[0])
        gain = np.repeat(self.tool.gains, (count - 3, 3))
        self.stiffness = STIFFNESS * inertia * gain
        self.damping = DAMPING * self.stiffness
        self.home = self._home()

    def add_to(self, spec: mujoco.MjSpec) -> None:
        """See `Robot.add_to`."""
        flange = self._add_links(spec, looks=True)
        self.tool.add_to(spec, flange, self.handle)

    def inverse(self, poses: np.ndarray) -> np.ndarray:
        """See `Robot.inverse`; what is out of reach is drawn in as by `reachable`."""
        distance, height, azimuth = self._cylindric(poses)
        distance, height = self.reach.within(distance, height)
        joints = self.reach.solve(distance, height)
        first, last = self._signs
        azimuth = azimuth - self.facing
        turn = last * (poses[:, 3] - self.facing - azimuth - joints[:, -1])
        turn = np.unwrap(turn) if len(turn) > 1 else turn
        middle = np.mean([turn.min(), turn.max()]) - self._centre[-1]
        joints[:, -1] = turn - np.pi * np.round(middle / np.pi)
        joints[:, 0] += first * azimuth
        return joints

    def reachable(self, poses: np.ndarray) -> np.ndarray:
        """See `Robot.reachable`."""
        distance, height, _ = self._cylindric(poses)
        near, high = self.reach.within(distance, height)
        fitted = poses.copy()
        share = near / np.maximum(distance, 1e-9)
        fitted[:, :2] = np.where(
            (near == distance)[:, None], poses[:, :2], self.base[:2] + (poses[:, :2] - self.base[:2]) * share[:, None]
        )
        fitted[:, 2] = np.where(high == height, poses[:, 2], high + self.base[2] - self.handle)
        return fitted

    # ---- inside ----

    def _cylindric(self, poses: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Distance [m], height [m] and azimuth [rad] of the flange over the foot, each (W,)."""
        x, y, z = (poses[:, :3] - self.base).T
        return np.hypot(x, y), z + self.handle, np.arctan2(y, x)

    def _add_links(self, spec: mujoco.MjSpec, looks: bool) -> mujoco.MjsBody:
        """Add the arm and what it stands on: its flange."""
        arm = self.arm
        foot = arm.screws.anchors[0, :2]
        place = spec.worldbody.add_body(name="robot_base", pos=self.base, quat=_about_z(self.facing))
        top = place.add_body(name="robot_foot", pos=[-foot[0], -foot[1], 0.0], gravcomp=1)
        stand = float(self.base[2] - FLOOR_Z)
        place.add_geom(type=CYLINDER, pos=[0, 0, -stand / 2], size=[0.07, stand / 2, 0], rgba=DARK, contype=0, conaffinity=0)
        bodies: list[mujoco.MjsBody] = []
        for i, link in enumerate(arm.links):
            parent = top if link.parent < 0 else bodies[link.parent]
            body = parent.add_body(name=f"link{i}", pos=link.pos, quat=link.quat, gravcomp=1)
            body.mass, body.ipos, body.iquat, body.inertia = link.mass, link.ipos, link.iquat, link.inertia
            body.explicitinertial = True
            if (j := link.joint) is not None:
                body.add_joint(
                    name=f"robot{j}", axis=link.axis, pos=link.anchor, range=[self.lower[j], self.upper[j]],
                    armature=max(arm.armature[j], MIN_ARMATURE), damping=1,
                )  # fmt: skip
            for n, look in enumerate(link.looks if looks else ()):
                _add_look(spec, body, look, f"link{i}_{n}")
            bodies.append(body)
        if looks:
            for j in range(self.num_joints):
                add_servo(spec, f"robot{j}", self.stiffness[j], self.damping[j], self.max_torque[j])
        link, pos, quat = arm.end
        return bodies[link].add_body(name="flange", pos=pos, quat=quat, gravcomp=1)

    def _inertia(self, joints: np.ndarray) -> np.ndarray:
        """(J,) that each joint moves with the others locked [kg m^2]."""
        model, data = self._skeleton()
        data.qpos[:] = joints
        mujoco.mj_forward(model, data)
        moved = np.zeros((model.nv, model.nv))
        for j, unit in enumerate(np.eye(model.nv)):
            mujoco.mj_mulM(model, data, moved[j], unit)
        return np.diag(moved).copy()

    def _skeleton(self) -> tuple[mujoco.MjModel, mujoco.MjData]:
        spec = mujoco.MjSpec()
        self._add_links(spec, looks=False)
        model = spec.compile()
        return model, mujoco.MjData(model)

    def _home(self) -> np.ndarray:
        """(J,) out of the overhead picture if that can be, and near to where sweeps begin and end."""
        model, data = self._skeleton()
        bodies = [model.body(f"link{i}").id for i in range(len(self.arm.links))] + [model.body("flange").id]
        around_tool = np.array(
            [[x, y, z] for x in (-0.07, 0.07) for y in (-0.02, 0.02) for z in np.linspace(0, self.handle, 6)]
        )
        clouds = [*map(cloud, self.arm.links), around_tool]

        def points(joints: np.ndarray) -> np.ndarray:
            data.qpos[:] = joints
            mujoco.mj_kinematics(model, data)
            parts = zip(bodies, clouds, strict=True)
            return np.concatenate([data.xpos[body] + part @ data.xmat[body].reshape(3, 3).T for body, part in parts])

        def heights(joints: np.ndarray) -> np.ndarray:
            posture = self.arm.screws.forward(joints)
            return posture.position[:, 2] + self.handle * posture.rotation[:, 2, 2] + self.base[2]

        xs, ys = np.meshgrid(np.linspace(-0.2, 0.2, 4), np.linspace(-0.3, 0.33, 5))
        above = np.array([[x, y, 0.13, 0.0] for x, y in zip(xs.ravel(), ys.ravel(), strict=True)])
        starts = np.concatenate([self.inverse(pose[None]) for pose in above])
        poses = poses_to_wait(self.base)
        poses = poses[np.abs(self.reachable(poses) - poses).max(axis=1) < 1e-9]
        joints = np.concatenate([self.inverse(pose[None]) for pose in poses])
        joints[:, -1] = starts[:, -1].mean()  # its yaw does not matter while it waits
        return choose(joints, starts, points, heights, self.max_velocity)


def _about_z(angle: float) -> np.ndarray:
    return np.array([np.cos(angle / 2), 0, 0, np.sin(angle / 2)])


def _add_look(spec: mujoco.MjSpec, body: mujoco.MjsBody, look: mjcf.Look, name: str) -> None:
    geom = body.add_geom(
        type=look.kind, pos=look.pos, quat=look.quat, rgba=look.rgba, contype=0, conaffinity=0, mass=0,
    )  # fmt: skip
    if look.mesh is None:
        geom.size = look.size
        return
    mesh = spec.add_mesh(
        name=name, uservert=look.mesh.vertices.ravel().tolist(), userface=look.mesh.faces.ravel().tolist(),
        inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL,
    )  # fmt: skip
    geom.meshname = mesh.name
