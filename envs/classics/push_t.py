"""PushT: a disc pushes a T over a table to where it belongs.

Sources: Diffusion Policy's pusht_env (workspace, shapes, controller, coverage), and the variant of DINO-WM and
stable-worldmodel that LeWM evaluates (relative actions, random goals, success by pose). Lengths in px, 512 a side.

As published: agent of radius 15, moved by a PD controller (100, 20) at 100 Hz towards a target that each action sets at 10 Hz;
nothing stops the agent; the T stops where the push does and touches without friction, its centre of gravity, mass and moment
those of the published body; walls at 7 and 504 hold the T alone; the agent starts in [50, 450]^2, the T in [100, 400]^2 at any
angle.

    control="relative"  target = agent + 100 px times the action (DINO-WM, LeWM)
    control="absolute"  [-1, 1] spans the workspace (Diffusion Policy)
    success="pose"      agent and T together within 20 px, and the T within 20 degrees, of the goal state (DINO-WM, LeWM)
    success="coverage"  the T covers more than 95 % of the green T, which is always at (256, 256, 45 degrees) unless a goal is
                        given (Diffusion Policy)

Deviations: MuJoCo contacts instead of pymunk's (the T gives way by a px or so); targets are kept inside the workspace, which
published relative actions may leave; agents that begin or end inside the T, and Ts inside a wall, are redrawn; starts and goals
are real numbers; the reward is 1 at success (Diffusion Policy: the coverage over 0.95); the end comes after 300 steps; parts
are drawn without an outline. As published, the green T is mere scenery at (256, 256, 45 degrees) with "pose".
"""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np

from envs.classics import tee
from envs.classics.base import ClassicEnv
from envs.classics.flat import BOX, HIDDEN, PLANE, SPHERE, draw, flat_spec
from envs.classics.pusher import RADIUS, SIDE, Pusher

PX = 0.001
"""Metres of a px."""
STEP = 100.0
"""Reach of a relative action [px]."""
KP, KV, TICKS, TIMESTEP = 100.0, 20.0, 10, 0.01
"""The agent's controller [1/s^2, 1/s], its steps an action and their duration [s]."""
WALLS = (7.0, 504.0)
"""Where walls hold the T [px]."""
GOAL_POSE = np.array([256.0, 256.0, np.pi / 4])
NEAR, TURNED, COVERED = 20.0, np.pi / 9, 0.95
"""Success: [px], [rad], share."""
AGENT, BLOCK = 1, 2
"""Bits of what collides."""
MASS, HEAVY = 0.1, 1e4
"""Of the T and of the agent, which nothing pushes [kg]."""
CONTROLS, RULES = ("relative", "absolute"), ("pose", "coverage")


class PushTEnv(ClassicEnv):
    """See the file. Action: where the agent goes, x right, y down. Proprio: agent x, y [px] and velocity [px/s].

    State: agent x, y, T x, y [px], angle [rad], agent velocity x, y [px/s].
    """

    env_id, robot = "worldmodel/PushT-v0", "disc"
    proprio_names = ("x [px]", "y [px]", "velocity_x [px/s]", "velocity_y [px/s]")
    proprio_bound = (1000.0,) * 4
    state_names = ("x [px]", "y [px]", "tee_x [px]", "tee_y [px]", "tee_angle [rad]", *proprio_names[2:])
    state_bound = (1000.0, 1000.0, 1000.0, 1000.0, 7.0, 1000.0, 1000.0)

    def __init__(
        self,
        control: str = "relative",
        success: str = "pose",
        image_size: int = 64,
        max_steps: int = 300,
        goal_steps: int = 0,
        film_every: int = 0,
        render_mode: str | None = None,
    ) -> None:
        """See the file for `control` and `success`. ValueError names a wrong argument."""
        if control not in CONTROLS:
            raise ValueError(f"unknown control {control!r}; available: {', '.join(CONTROLS)}")
        if success not in RULES:
            raise ValueError(f"unknown success {success!r}; available: {', '.join(RULES)}")
        self.control_mode, self.rule = control, success
        self.action_names = ("dx", "dy") if control == "relative" else ("x", "y")
        super().__init__(
            build_spec(),
            image_size=image_size,
            max_steps=max_steps,
            goal_steps=goal_steps,
            film_every=film_every,
            render_mode=render_mode,
        )
        self.pusher = Pusher()

    @property
    def instruction(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The task in words."""
        return "push the T to where the goal picture shows it" if self.rule == "pose" else "push the T onto the green T"

    def draw_start(self, rng: np.random.Generator) -> np.ndarray:
        """See `ClassicEnv.draw_start`."""
        while True:
            pose = np.array([*rng.uniform(100, 400, 2), rng.uniform(0, 2 * np.pi)])
            corners = np.concatenate(tee.corners(pose))
            if corners.min() > WALLS[0] and corners.max() < WALLS[1]:
                return self._beside(pose, rng)

    def draw_goal(self, start: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """See `ClassicEnv.draw_goal`."""
        return self._beside(GOAL_POSE, rng) if self.rule == "coverage" else self.draw_start(rng)

    def place(self, data: mujoco.MjData, state: np.ndarray) -> None:
        """See `ClassicEnv.place`."""
        data.qpos[:2], data.qpos[2:4], data.qpos[4] = PX * state[:2], PX * tee.centre_of(state[2:5]), state[4]
        data.qvel[:2] = PX * state[5:]
        x, y, angle = self.goal_state[2:5] if self.rule == "coverage" else GOAL_POSE
        data.mocap_pos[0, :2], data.mocap_quat[0] = (PX * x, PX * y), (np.cos(angle / 2), 0, 0, np.sin(angle / 2))

    def state(self) -> np.ndarray:
        """See `ClassicEnv.state`."""
        qpos = self.data.qpos
        angle = qpos[4] % (2 * np.pi)
        return np.array([*(qpos[:2] / PX), *tee.pose_at(qpos[2:4] / PX, angle), *(self.data.qvel[:2] / PX)])

    def proprio(self) -> np.ndarray:
        """See `ClassicEnv.proprio`."""
        return np.concatenate([self.data.qpos[:2], self.data.qvel[:2]]) / PX

    def act(self, action: np.ndarray) -> None:
        """The agent follows its target whatever is in its way; the T has no inertia and moves as far as it is pushed."""
        data = self.data
        target = data.qpos[:2] + PX * STEP * action if self.control_mode == "relative" else PX * SIDE * (action + 1) / 2
        target = np.clip(target, 0, PX * SIDE)
        velocity = data.qvel[:2].copy()
        for _ in range(TICKS):
            velocity += TIMESTEP * (KP * (target - data.qpos[:2]) - KV * velocity)
            data.qvel[:2], data.qvel[2:] = velocity, 0
            mujoco.mj_step(self.model, data)
        data.qvel[2:] = 0

    def goal_distance(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        """The larger of both errors in units of what is allowed; or how much is not covered in units of 5 %."""
        achieved, desired = np.broadcast_arrays(np.asarray(achieved, np.float64), np.asarray(desired, np.float64))
        if self.rule == "coverage":
            pairs = zip(achieved.reshape(-1, achieved.shape[-1]), desired.reshape(-1, desired.shape[-1]), strict=True)
            bare = [(1 - tee.coverage(a[2:5], d[2:5])) / (1 - COVERED) for a, d in pairs]
            return np.array(bare).reshape(achieved.shape[:-1])
        near = np.linalg.norm(achieved[..., :4] - desired[..., :4], axis=-1) / NEAR
        turn = np.abs((achieved[..., 4] - desired[..., 4] + np.pi) % (2 * np.pi) - np.pi) / TURNED
        return np.maximum(near, turn)

    def positions(self) -> np.ndarray:
        """(2, 2): the T's centre of gravity and the agent."""
        return np.stack([self.data.qpos[2:4], self.data.qpos[:2]])

    def set_state(self, state: np.ndarray) -> None:
        """See `ClassicEnv.set_state`; the expert forgets what it was doing."""
        super().set_state(state)
        self.pusher = Pusher()

    def expert_action(self, rng: np.random.Generator) -> np.ndarray:
        """The scripted pusher's action; see pusher.py."""
        del rng
        return self._to_action(self.pusher.target(self.state(), self.goal_state, park=self.rule == "pose"))

    def aimed_action(self, rng: np.random.Generator) -> np.ndarray:
        """A random move that stays within 100 px of the T, as stable-worldmodel's WeakPolicy records."""
        state = self.state()
        target = state[:2] + rng.uniform(-STEP, STEP, 2)
        return self._to_action(np.clip(target, state[2:4] - STEP, state[2:4] + STEP))

    def describe(self) -> dict[str, Any]:
        """See `ClassicEnv.describe`; absolute actions are points, and the picture is the workspace."""
        points = {"points": [[0, 1]], "image_from_action": [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]}
        action = points if self.control_mode == "absolute" else {}
        return self.description(action, control=self.control_mode, success=self.rule)

    def _beside(self, pose: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A state with the T at a pose (3,) and the agent anywhere but on it."""
        while True:
            agent = rng.uniform(50, 450, 2)
            if tee.distance_to(agent, pose) > RADIUS + 1:
                return np.array([*agent, *pose, 0, 0])

    def _to_action(self, target: np.ndarray) -> np.ndarray:
        if self.control_mode == "relative":
            return np.clip((target - self.data.qpos[:2] / PX) / STEP, -1, 1).astype(np.float32)
        return np.clip(2 * target / SIDE - 1, -1, 1).astype(np.float32)


def build_spec() -> mujoco.MjSpec:
    """The table, its walls, the green T (a mocap body), the T and the agent."""
    spec = flat_spec(PX * SIDE, TIMESTEP, (255, 255, 255))
    world, middle = spec.worldbody, PX * SIDE / 2
    for axis in range(2):
        for edge, sign in ((WALLS[0], 1), (WALLS[1], -1)):
            pos, half, normal = [middle, middle, 0.03], [middle, middle, 0.001], [0.0, 0.0, 0.0]
            pos[axis], half[axis], normal[axis] = PX * (edge - 2 * sign), PX * 2, sign
            draw(world, BOX, pos, half, (211, 211, 211))
            pos[axis] = PX * edge
            world.add_geom(
                type=PLANE, pos=pos, size=[1, 1, 1], zaxis=normal, group=HIDDEN, contype=BLOCK, conaffinity=0, condim=1
            )
    goal = world.add_body(name="goal", mocap=True)
    for centre, half in tee.PARTS:
        draw(goal, BOX, [PX * centre[0], PX * centre[1], 0.04], [PX * half[0], PX * half[1], 0.001], (144, 238, 144))
    agent = world.add_body(name="agent")
    block = world.add_body(name="tee", mass=MASS, inertia=[MASS * tee.GYRATION2 * PX**2] * 3)
    block.explicitinertial = True
    for body in (agent, block):
        for along in ([1, 0, 0], [0, 1, 0]):
            body.add_joint(type=mujoco.mjtJoint.mjJNT_SLIDE, axis=along)
    block.add_joint(type=mujoco.mjtJoint.mjJNT_HINGE, axis=[0, 0, 1])
    for centre, half in tee.PARTS:
        x, y = PX * (np.array(centre) - tee.CENTRE)
        block.add_geom(
            type=BOX, pos=[x, y, 0], size=[PX * half[0], PX * half[1], 0.02], rgba=[119 / 255, 136 / 255, 153 / 255, 1],
            contype=0, conaffinity=AGENT | BLOCK, condim=1,
        )  # fmt: skip
    disc = [65 / 255, 105 / 255, 225 / 255, 1]
    agent.add_geom(type=SPHERE, size=[PX * RADIUS, 0, 0], mass=HEAVY, rgba=disc, contype=AGENT, conaffinity=0, condim=1)
    return spec
