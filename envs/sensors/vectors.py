"""The vectors of a tabletop: the robot's sense of its own body, and the privileged state of everything."""

from __future__ import annotations

import numpy as np

from envs.controls.base import Control
from envs.table.scene import MAX_OBJECTS
from envs.table.world import World
from envs.tasks.base import Task

PROPRIO_NAMES = ("tool_x [m]", "tool_y [m]", "tool_z [m]", "cos_yaw", "sin_yaw", "peak_force [100 N]")
STATE_PER_SLOT = ("present", "x [m]", "y [m]", "z [m]", "qw", "qx", "qy", "qz")


class Readings:
    """What a task and a control mode let be read off their world, true and unbounded."""

    def __init__(self, world: World, task: Task, control: Control) -> None:
        self.world, self.task, self.control = world, task, control
        self.peak_force = 0.0
        """The largest force that the tool felt during the last action [N]."""

    @property
    def names(self) -> dict[str, list[str]]:
        """Observation key -> the names of its elements."""
        slots = [f"object{slot}/{name}" for slot in range(MAX_OBJECTS) for name in STATE_PER_SLOT]
        return {
            "proprio": [*PROPRIO_NAMES, *self.control.proprio_names],
            "state": [*slots, *self.task.state_names],
        }

    def proprio(self) -> np.ndarray:
        """Pose of the tool, the largest force, and what the control mode adds: (6 or more,) float32."""
        position, rotation = self.world.tool_position, self.world.data.site_xmat[self.world.tool]
        return np.array([*position, rotation[0], rotation[3], self.peak_force / 100, *self.control.proprio()], np.float32)

    def state(self) -> np.ndarray:
        """Presence and pose of every object, and what the task adds: (40 or more,) float32."""
        slots = np.zeros((MAX_OBJECTS, len(STATE_PER_SLOT)), np.float32)
        poses = self.world.poses
        for thing in self.world.objects:
            slots[thing.slot, 0] = 1
            slots[thing.slot, 1:] = poses[thing.slot]
        return np.concatenate([slots.reshape(-1), self.task.state(self.world)], dtype=np.float32)
