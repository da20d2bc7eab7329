"""TwoRooms: a point agent, two rooms, a wall between them and one door in it.

Sources: TwoRoom-v1 of stable-worldmodel as LeWM evaluates it (sizes, speed, success and the drawing of start and goal below are
its defaults); `layout="random"` draws wall and door as PLDM and eb_jepa's two_rooms do. Lengths are in px of a 64 px picture,
the unit in which all of them are written.

As published: picture 64 px, border at 4, wall 3 thick at 32, door of half width 4 at 14; the agent's centre stays 2 from the
border, 2.5 from the wall and within 4.5 of the door's middle where it passes; an action in [-1, 1]^2 moves it by up to 2 px on
each axis; success within 4.5 px of the goal; start anywhere, goal in the other room, at least 25 steps by the shortest way;
neither is the goal drawn into the observation.

Deviations: the wall stops the agent by MuJoCo contacts, along which it slides, and not by clamping (it gives way by up to 0.3
px); the agent is drawn as a disc of radius 2.35 px, where the published Gaussian blob is half as strong; where 200 goals are
all nearer than 25 steps, the farthest is taken; the episode ends after 100 steps, the length of the published recordings.
"""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np

from envs.classics.base import ClassicEnv
from envs.classics.flat import BOX, CYLINDER, HIDDEN, PLANE, SPHERE, draw, flat_spec

SIDE = 64.0
PX = 0.01
"""Metres of a px."""
BORDER, WALL_HALF, DOOR_HALF = 4.0, 1.5, 4.0
"""Where the border is drawn, half the wall's thickness, half the door's width [px]."""
STAY_BORDER, STAY_WALL, PASS_DOOR = 2.0, 2.5, 4.5
"""Least distance of the agent's centre from the border and the wall, largest from the door's middle [px]."""
FELT = 0.5
"""Radius of the sphere that collides; everything that it meets is set back by as much [px]."""
SEEN = 2.35
"""Radius of the disc that is drawn [px]."""
SPEED, TICKS, TIMESTEP = 2.0, 10, 0.01
"""Px a step at full action; physics steps of an action; their duration [s]."""
SUCCESS = 4.5
"""[px]"""
MIN_STEPS = 25
"""Least steps of the way to a goal."""
FIXED, RANDOM = (32.0, 14.0), ((20.0, 10.0), (44.0, 54.0))
"""Wall x and door y [px]: fixed, and the corners of where they are drawn."""
FREE = 7.0
"""Least distance of start and goal from the picture's edge [px]."""
LAYOUTS = ("fixed", "random")


class TwoRoomsEnv(ClassicEnv):
    """See the file. Action: velocity (x right, y down). State: agent x, y, wall x, door y [px]. Proprio: agent x, y [px]."""

    env_id, robot, control_mode = "worldmodel/TwoRooms-v0", "point", "velocity"
    instruction = "go to the place that the goal picture shows"
    action_names = ("velocity_x", "velocity_y")
    proprio_names, proprio_bound = ("x [px]", "y [px]"), (SIDE,) * 2
    state_names, state_bound = ("x [px]", "y [px]", "wall_x [px]", "door_y [px]"), (SIDE,) * 4

    def __init__(
        self,
        layout: str = "fixed",
        image_size: int = 64,
        max_steps: int = 100,
        goal_steps: int = 0,
        film_every: int = 0,
        render_mode: str | None = None,
    ) -> None:
        """`layout`: fixed as LeWM, or random wall and door as PLDM. ValueError names a wrong argument."""
        if layout not in LAYOUTS:
            raise ValueError(f"unknown layout {layout!r}; available: {', '.join(LAYOUTS)}")
        self.layout = layout
        super().__init__(
            build_spec(),
            image_size=image_size,
            max_steps=max_steps,
            goal_steps=goal_steps,
            film_every=film_every,
            render_mode=render_mode,
        )

    def draw_start(self, rng: np.random.Generator) -> np.ndarray:
        """See `ClassicEnv.draw_start`."""
        wall_x, door_y = FIXED if self.layout == "fixed" else rng.uniform(*RANDOM)
        while True:
            x, y = rng.uniform(FREE, SIDE - FREE, 2)
            if abs(x - wall_x) > WALL_HALF + STAY_WALL:
                return np.array([x, y, wall_x, door_y])

    def draw_goal(self, start: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """See `ClassicEnv.draw_goal`."""
        wall_x, door = start[2], start[2:4]
        spots = rng.uniform(FREE, SIDE - FREE, (200, 2))
        other = ((spots[:, 0] > wall_x) != (start[0] > wall_x)) & (np.abs(spots[:, 0] - wall_x) > WALL_HALF + STAY_WALL)
        way = np.where(other, np.linalg.norm(spots - door, axis=1) + np.linalg.norm(start[:2] - door), -1)
        far = np.flatnonzero(way >= MIN_STEPS * SPEED)
        return np.array([*spots[far[0] if len(far) else np.argmax(way)], *door])

    def place(self, data: mujoco.MjData, state: np.ndarray) -> None:
        """See `ClassicEnv.place`."""
        data.qpos[:] = PX * state[:2]
        data.mocap_pos[:, :2] = PX * state[2:4]

    def state(self) -> np.ndarray:
        """See `ClassicEnv.state`."""
        return np.concatenate([self.data.qpos, self.data.mocap_pos[0, :2]]) / PX

    def proprio(self) -> np.ndarray:
        """See `ClassicEnv.proprio`."""
        return self.data.qpos / PX

    def act(self, action: np.ndarray) -> None:
        """The agent has no inertia: its velocity is the action's, less what a wall takes."""
        for _ in range(TICKS):
            self.data.qvel[:] = action * (SPEED * PX / (TICKS * TIMESTEP))
            mujoco.mj_step(self.model, self.data)

    def goal_distance(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        """Distance to the goal in units of the 4.5 px that are success."""
        return np.linalg.norm(np.asarray(achieved)[..., :2] - np.asarray(desired)[..., :2], axis=-1) / SUCCESS

    def positions(self) -> np.ndarray:
        """(2, 2): the agent and the middle of the door."""
        return np.stack([self.data.qpos, self.data.mocap_pos[0, :2]])

    def expert_action(self, rng: np.random.Generator) -> np.ndarray:
        """By the shortest way: to the door's near side, through it, to the goal."""
        del rng
        gap = self.waypoint() - self.state()[:2]
        return (gap / max(np.linalg.norm(gap), SPEED)).astype(np.float32)

    def aimed_action(self, rng: np.random.Generator) -> np.ndarray:
        """The expert's direction turned by a random angle, at a random speed."""
        x, y = self.expert_action(rng)
        angle, speed = rng.normal(0, 0.8), rng.uniform(0.3, 1.3)
        c, s = np.cos(angle), np.sin(angle)
        return np.clip(speed * np.array([c * x - s * y, s * x + c * y]), -1, 1).astype(np.float32)

    def waypoint(self) -> np.ndarray:
        """Where the shortest way leads first, (2,) [px]."""
        x, y, wall_x, door_y = self.state()
        goal, beside = self.goal_state[:2], WALL_HALF + STAY_WALL
        side = 1.0 if x > wall_x else -1.0
        if (goal[0] > wall_x) != (x > wall_x):  # first to the near side of the door, then to its far side
            before = abs(y - door_y) > PASS_DOOR - 1.0
            return np.array([wall_x + (side if before else -side) * (beside + 0.5), door_y])
        if abs(x - wall_x) < beside:  # still between the door's posts
            return np.array([wall_x + side * (beside + 0.5), y])
        return goal

    def describe(self) -> dict[str, Any]:
        """See `ClassicEnv.describe`."""
        return self.description({}, layout=self.layout)


def build_spec() -> mujoco.MjSpec:
    """The rooms; the two halves of the wall are mocap bodies, so that wall and door are part of the state."""
    spec = flat_spec(PX * SIDE, TIMESTEP, (255, 255, 255))
    world, black, far = spec.worldbody, (0, 0, 0), 2 * SIDE
    middle, depth = PX * SIDE / 2, PX * 2
    for axis in range(2):
        for edge, sign in ((BORDER - 0.5, 1), (SIDE - BORDER + 0.5, -1)):
            pos, half, normal = [middle, middle, 0.0], [PX * far, PX * far, depth], [0.0, 0.0, 0.0]
            pos[axis], half[axis], normal[axis] = PX * edge, PX * 0.5, sign
            draw(world, BOX, pos, half, black)
            pos[axis] = PX * (edge + sign * (0.5 + STAY_BORDER - FELT))
            world.add_geom(type=PLANE, pos=pos, size=[1, 1, 1], zaxis=normal, group=HIDDEN)
    for name, sign in (("wall_above", -1), ("wall_below", 1)):
        wall = world.add_body(name=name, mocap=True)
        draw(wall, BOX, [0, sign * PX * (DOOR_HALF + far), 0], [PX * WALL_HALF, PX * far, depth], black)
        half = [PX * (WALL_HALF + STAY_WALL - FELT), PX * far, 10 * PX]
        wall.add_geom(type=BOX, pos=[0, sign * PX * (PASS_DOOR + FELT + far), 0], size=half, group=HIDDEN)
    agent = world.add_body(name="agent")
    for name, along in (("x", [1, 0, 0]), ("y", [0, 1, 0])):
        agent.add_joint(name=name, type=mujoco.mjtJoint.mjJNT_SLIDE, axis=along)
    # its priority makes every contact as free of friction as it is
    agent.add_geom(type=SPHERE, size=[PX * FELT, 0, 0], mass=1, condim=1, priority=1, group=HIDDEN)
    draw(agent, CYLINDER, [0, 0, -2 * depth], [PX * SEEN, PX, 0], (255, 0, 0))
    return spec
