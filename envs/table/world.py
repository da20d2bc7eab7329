"""The tabletop as a simulation: a robot, a tool, object slots, and where everything is. Tasks and control modes act on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import mujoco
import numpy as np

from envs.robots.arm import Robot
from envs.robots.motion import Motion
from envs.table.objects import TableObject
from envs.table.scene import FLOOR_Z, MAX_OBJECTS, OBJECT, add_wrist_camera, build_spec, park_slot, shape_slot

Part = Callable[[mujoco.MjSpec], None]
"""Adds something to the scene before it is compiled: a task's marks or furniture, more cameras."""


class World:
    """One compiled scene and its state."""

    def __init__(self, robot: Robot, parts: Iterable[Part] = ()) -> None:
        self.robot = robot
        spec = build_spec()
        for part in parts:
            part(spec)
        robot.add_to(spec)
        add_wrist_camera(spec)
        self.model: mujoco.MjModel = spec.compile()
        self.data = mujoco.MjData(self.model)
        self.objects: list[TableObject] = []
        """The objects of this episode."""
        self.object_qpos = int(self.model.joint("object0").qposadr[0])
        self.tool = self.model.site("tool").id
        self._object_qvel = int(self.model.joint("object0").dofadr[0])
        self._object_geoms = np.array([self.model.geom(f"object{slot}").id for slot in range(MAX_OBJECTS)])
        fingers = ("finger0", "finger1") if robot.tool.max_opening > 0 else ()
        self._finger_geoms = [self.model.geom(name).id for name in fingers]

    @property
    def poses(self) -> np.ndarray:
        """(slots, 7) positions [m] and unit quaternions of the objects: a view into the state."""
        return self.data.qpos[self.object_qpos : self.object_qpos + 7 * MAX_OBJECTS].reshape(MAX_OBJECTS, 7)

    @property
    def positions(self) -> np.ndarray:
        """(slots, 3) centres of the objects [m]; zeros for a slot that is not used."""
        present = np.zeros((MAX_OBJECTS, 1))
        present[[thing.slot for thing in self.objects]] = 1
        return self.poses[:, :3] * present

    @property
    def tool_position(self) -> np.ndarray:
        """(3,) where the working end of the tool is [m]: a view."""
        return self.data.site_xpos[self.tool]

    @property
    def tool_yaw(self) -> float:
        """Angle of the paddle's width, or of the line through the fingertips, about the vertical [rad]."""
        rotation = self.data.site_xmat[self.tool]
        return float(np.arctan2(rotation[3], rotation[0]))

    def held(self) -> np.ndarray:
        """(slots,) whether an object touches both fingers; never with a tool that has none."""
        touched = np.zeros((2, MAX_OBJECTS), np.bool_)
        pairs = self.data.contact.geom
        for finger, geom in enumerate(self._finger_geoms):
            other = np.concatenate([pairs[pairs[:, 0] == geom, 1], pairs[pairs[:, 1] == geom, 0]])
            touched[finger] = np.isin(self._object_geoms, other)
        return np.logical_and(touched[0], touched[1])

    def speed(self, slot: int) -> float:
        """How fast an object moves [m/s]."""
        first = self._object_qvel + 6 * slot
        return float(np.linalg.norm(self.data.qvel[first : first + 3]))

    def is_upright(self, slot: int) -> bool:
        """Whether an object stands as it was put, or upside down."""
        _, x, y, _ = self.poses[slot, 3:]
        return bool(abs(1 - 2 * (x**2 + y**2)) > 0.9)  # cosine of its tilt

    def place(
        self,
        objects: list[TableObject],
        poses: np.ndarray,
        motion: Motion,
        start: np.ndarray,
        furnish: Callable[[], None] | None = None,
    ) -> None:
        """Put the objects at poses (n, 4): x, y, z [m], yaw; the joints at `start` (J,); and let everything come to rest.

        `furnish` places what else there is, when the objects stand.
        """
        self.objects = objects
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[motion.qpos] = start
        self.data.ctrl[motion.ctrl] = start
        self.robot.tool.open(self.model, self.data)
        for slot in range(MAX_OBJECTS):
            # An unused slot floats below the floor, touching nothing.
            park_slot(self.model, slot)
            self.set_slot(slot, present=False, pose=np.array([0.2 * slot, 0.0, FLOOR_Z - 2, 0.0]))
        for thing, pose in zip(objects, poses, strict=True):
            shape_slot(self.model, thing.slot, thing.shape, thing.half, thing.mass, thing.rgb)
            self.set_slot(thing.slot, present=True, pose=pose)
        if furnish is not None:
            furnish()
        mujoco.mj_setConst(self.model, mujoco.MjData(self.model))
        mujoco.mj_forward(self.model, self.data)
        motion.settle(self.data, start)

    def set_slot(self, slot: int, present: bool, pose: np.ndarray) -> None:
        """Put a slot's object at a pose (4,) or (7,), to be met by others if it is present."""
        geom, body = self.model.geom(f"object{slot}").id, self.model.body(f"object{slot}").id
        self.model.geom_contype[geom] = OBJECT if present else 0
        self.model.geom_conaffinity[geom] = 7 if present else 0
        self.model.body_gravcomp[body] = 0 if present else 1
        upright = (*pose[:3], np.cos(pose[3] / 2), 0, 0, np.sin(pose[3] / 2))
        self.poses[slot] = pose if len(pose) == 7 else upright
