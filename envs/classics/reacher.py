"""Reacher: a planar arm of two links, driven by torques.

Sources: dm_control's suite/reacher (geometry, masses, damping, gears, camera, colours, targets of `easy` and `hard`);
`task="qpos_match"` is LeWM's, from stable-worldmodel: both joints within 0.05 rad of those of the goal, an action held for two
physics steps of 20 ms.

As published: links of 0.12 m, wrist limited to 160 degrees, torques of up to 0.05 N m, damping 0.01 N m s/rad, no contacts,
start uniform over the joints, target 0.05 to 0.20 m from the shoulder; `easy` and `hard` succeed when the fingertip (radius
0.01 m) touches a target of radius 0.05 or 0.015 m.

Deviations: success ends the episode (dm_control goes on for 20 s and pays for each step on the target) and starts that are
solved already are redrawn; the shoulder's error is the angle on the circle (published: unwrapped); with `qpos_match` no
target is drawn and, where no recorded goal is given, the goal is drawn as starts are; 100 steps, the length of LeWM's
recordings; shadows and reflections are off.
"""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np

from envs.classics.base import ClassicEnv
from envs.classics.flat import CYLINDER, PLANE, SPHERE, new_spec

CAPSULE = mujoco.mjtGeom.mjGEOM_CAPSULE
LINK, TIP = 0.12, 0.01
"""Length of both links, radius of the fingertip [m]."""
WRIST = np.deg2rad(160)
"""Limit of the wrist [rad]."""
TORQUE, DAMPING, TIMESTEP = 0.05, 0.01, 0.02
"""[N m], [N m s/rad], [s]."""
TARGETS = {"easy": 0.05, "hard": 0.015}
"""Radius of the target [m] of each task that has one."""
QPOS_MATCH = "qpos_match"
QPOS_TOLERANCE = 0.05
"""[rad]"""
TARGET_LOW, TARGET_HIGH = 0.05, 0.20
"""Distances of a target from the shoulder [m]."""
SELF, EFFECTOR, DECORATION, TARGET = [0.7, 0.5, 0.3, 1], [0.7, 0.4, 0.2, 1], [0.3, 0.5, 0.7, 1], [0.6, 0.3, 0.3, 1]
FREQUENCY = 14.0
"""Natural frequency of the expert's controller [rad/s]."""


class ReacherEnv(ClassicEnv):
    """See the file. Action: torques at shoulder and wrist, in units of 0.05 N m.

    State: shoulder, wrist [rad], their velocities [rad/s], target x, y [m]. Proprio: cosines, sines, velocities.
    """

    env_id, robot, control_mode = "worldmodel/Reacher-v0", "reacher", "torque"
    action_names = ("shoulder", "wrist")
    proprio_names = ("cos_shoulder", "sin_shoulder", "cos_wrist", "sin_wrist", "shoulder [rad/s]", "wrist [rad/s]")
    proprio_bound = (1.0, 1.0, 1.0, 1.0, 200.0, 200.0)
    state_names = ("shoulder [rad]", "wrist [rad]", "shoulder [rad/s]", "wrist [rad/s]", "target_x [m]", "target_y [m]")
    state_bound = (4.0, 4.0, 200.0, 200.0, 1.0, 1.0)

    def __init__(
        self,
        task: str = QPOS_MATCH,
        action_repeat: int = 2,
        image_size: int = 64,
        max_steps: int = 100,
        goal_steps: int = 0,
        film_every: int = 0,
        render_mode: str | None = None,
    ) -> None:
        """`task`: qpos_match, easy or hard; `action_repeat` physics steps of 20 ms an action (LeWM 2, dm_control 1)."""
        if task not in (QPOS_MATCH, *TARGETS):
            raise ValueError(f"unknown task {task!r}; available: {', '.join((QPOS_MATCH, *TARGETS))}")
        if not isinstance(action_repeat, int) or action_repeat < 1:
            raise ValueError(f"action_repeat must be a whole number of at least 1, got {action_repeat!r}")
        self.task, self.action_repeat = task, action_repeat
        super().__init__(
            build_spec(TARGETS.get(task)),
            image_size=image_size, max_steps=max_steps, goal_steps=goal_steps, film_every=film_every, render_mode=render_mode,
        )  # fmt: skip

    @property
    def instruction(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The task in words."""
        return "take the pose that the goal picture shows" if self.task == QPOS_MATCH else "touch the red ball"

    def draw_start(self, rng: np.random.Generator) -> np.ndarray:
        """See `ClassicEnv.draw_start`."""
        angle, distance = rng.uniform(0, 2 * np.pi), rng.uniform(TARGET_LOW, TARGET_HIGH)
        target = (distance * np.sin(angle), distance * np.cos(angle)) if self.task in TARGETS else (0.0, 0.0)
        return np.array([rng.uniform(-np.pi, np.pi), rng.uniform(-WRIST, WRIST), 0, 0, *target])

    def draw_goal(self, start: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A random pose, or the pose that touches the target with the elbow on the side where it is."""
        if self.task == QPOS_MATCH:
            return np.array([rng.uniform(-np.pi, np.pi), rng.uniform(-WRIST, WRIST), 0, 0, *start[4:]])
        return np.array([*inverse(start[4:], start[1] >= 0), 0, 0, *start[4:]])

    def place(self, data: mujoco.MjData, state: np.ndarray) -> None:
        """See `ClassicEnv.place`."""
        data.qpos[:], data.qvel[:] = state[:2], state[2:4]
        if self.task in TARGETS:
            data.mocap_pos[0, :2] = state[4:]

    def state(self) -> np.ndarray:
        """See `ClassicEnv.state`."""
        shoulder, wrist = self.data.qpos
        target = self.data.mocap_pos[0, :2] if self.task in TARGETS else np.zeros(2)
        return np.array([wrap(shoulder), wrist, *self.data.qvel, *target])

    def proprio(self) -> np.ndarray:
        """See `ClassicEnv.proprio`."""
        (a, b), velocity = self.data.qpos, self.data.qvel
        return np.array([np.cos(a), np.sin(a), np.cos(b), np.sin(b), *velocity])

    def act(self, action: np.ndarray) -> None:
        """See `ClassicEnv.act`."""
        self.data.ctrl[:] = action
        mujoco.mj_step(self.model, self.data, self.action_repeat)

    def goal_distance(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        """The larger joint error in units of 0.05 rad; or how far the fingertip is from the goal's, in units of a touch."""
        achieved, desired = np.asarray(achieved, np.float64), np.asarray(desired, np.float64)
        if self.task == QPOS_MATCH:
            return np.abs(joint_error(achieved, desired)).max(-1) / QPOS_TOLERANCE
        touch = TARGETS[self.task] + TIP
        return np.linalg.norm(fingertip(achieved) - fingertip(desired), axis=-1) / touch

    def positions(self) -> np.ndarray:
        """(2, 2): fingertip and elbow."""
        shoulder = self.data.qpos[0]
        return np.stack([fingertip(self.data.qpos), LINK * np.array([np.cos(shoulder), np.sin(shoulder)])])

    def expert_action(self, rng: np.random.Generator) -> np.ndarray:
        """Computed torque towards the goal's joints (of the nearer of two poses that touch a target), critically damped."""
        del rng
        state = self.state()
        goals = [self.goal_state]
        if self.task in TARGETS:
            goals = [np.array([*inverse(self.goal_state[4:], up), 0, 0, 0, 0]) for up in (False, True)]
        error = min((joint_error(state, goal) for goal in goals), key=lambda e: float(np.abs(e).sum()))
        velocity = state[2:4]
        inertia = np.zeros((2, 2))
        mujoco.mj_fullM(self.model, self.data, inertia)
        torque = inertia @ (FREQUENCY**2 * error - 2 * FREQUENCY * velocity) + DAMPING * velocity
        return np.clip(torque / TORQUE, -1, 1).astype(np.float32)

    def aimed_action(self, rng: np.random.Generator) -> np.ndarray:
        """The expert's torque, weakened and under noise."""
        mixed = rng.uniform(0, 1) * self.expert_action(rng) + rng.normal(0, 0.5, 2)
        return np.clip(mixed, -1, 1).astype(np.float32)

    def describe(self) -> dict[str, Any]:
        """See `ClassicEnv.describe`."""
        return self.description({}, task=self.task, action_repeat=self.action_repeat)


def wrap(angle: Any) -> Any:
    """The same angle in [-pi, pi)."""
    return (angle + np.pi) % (2 * np.pi) - np.pi


def joint_error(state: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """Angles (..., 2) from states to goals (..., S): the shoulder turns the short way, the wrist has a limit."""
    error = goal[..., :2] - state[..., :2]
    return np.stack([wrap(error[..., 0]), error[..., 1]], axis=-1)


def fingertip(state: np.ndarray) -> np.ndarray:
    """(..., 2) [m] of states (..., S)."""
    a, b = state[..., 0], state[..., 0] + state[..., 1]
    return LINK * np.stack([np.cos(a) + np.cos(b), np.sin(a) + np.sin(b)], axis=-1)


def inverse(target: np.ndarray, elbow_up: bool) -> tuple[float, float]:
    """Shoulder and wrist [rad] that bring the fingertip to a target (2,) [m], or as near as the arm reaches."""
    x, y = target
    bend = np.arccos(np.clip((x * x + y * y) / (2 * LINK**2) - 1, -1, 1))
    wrist = float(np.clip(bend if elbow_up else -bend, -WRIST, WRIST))
    return float(wrap(np.arctan2(y, x) - wrist / 2)), wrist


def build_spec(target: float | None) -> mujoco.MjSpec:
    """The arena and the arm, and a target of radius `target` [m] if there is one."""
    spec = new_spec(TIMESTEP)
    spec.option.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_CONTACT)
    head = spec.visual.headlight
    head.ambient, head.diffuse, head.specular = [0.4] * 3, [0.8] * 3, [0.1] * 3
    spec.visual.map.znear = 0.01
    world = spec.worldbody
    world.add_light(name="light", pos=[0, 0, 1])
    for name in ("overhead", "film"):
        world.add_camera(name=name, pos=[0, 0, 0.75], quat=[1, 0, 0, 0], fovy=45)
    spec.add_texture(
        name="grid", type=mujoco.mjtTexture.mjTEXTURE_2D, builtin=mujoco.mjtBuiltin.mjBUILTIN_CHECKER,
        rgb1=[0.1, 0.2, 0.3], rgb2=[0.2, 0.3, 0.4], width=300, height=300,
        mark=mujoco.mjtMark.mjMARK_EDGE, markrgb=[0.2, 0.3, 0.4],
    )  # fmt: skip
    grid = spec.add_material(name="grid", texrepeat=[1, 1], texuniform=True)
    grid.textures[int(mujoco.mjtTextureRole.mjTEXROLE_RGB)] = "grid"
    world.add_geom(type=PLANE, size=[0.3, 0.3, 10], material="grid")
    for x, y in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        half = [0.02 if x else 0.3, 0.02 if y else 0.3, 0.02]
        world.add_geom(type=PLANE, pos=[0.3 * x, 0.3 * y, 0.02], size=half, zaxis=[-x, -y, 0], rgba=DECORATION)
    world.add_geom(type=CYLINDER, fromto=[0, 0, 0, 0, 0, 0.02], size=[0.011, 0, 0], rgba=DECORATION)
    arm = world.add_body(name="arm", pos=[0, 0, 0.01])
    hand = arm.add_body(name="hand", pos=[LINK, 0, 0])
    finger = hand.add_body(name="finger", pos=[LINK, 0, 0])
    arm.add_geom(type=CAPSULE, fromto=[0, 0, 0, LINK, 0, 0], size=[TIP, 0, 0], rgba=SELF)
    hand.add_geom(type=CAPSULE, fromto=[0, 0, 0, 0.1, 0, 0], size=[TIP, 0, 0], rgba=SELF)
    finger.add_geom(type=SPHERE, size=[TIP, 0, 0], rgba=EFFECTOR)
    for body, name, limit in ((arm, "shoulder", None), (hand, "wrist", WRIST)):
        joint = body.add_joint(name=name, axis=[0, 0, 1], damping=DAMPING)
        if limit is not None:
            joint.limited, joint.range = True, [-limit, limit]
        motor = spec.add_actuator(name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        motor.gear[0], motor.ctrllimited, motor.ctrlrange = TORQUE, True, [-1, 1]
    if target is not None:
        mark = world.add_body(name="target", mocap=True, pos=[0, 0, 0.01])
        mark.add_geom(type=SPHERE, size=[target, 0, 0], rgba=TARGET)
    return spec
