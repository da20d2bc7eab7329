"""A world for a moment other than it is: what cannot happen, for a model to be surprised at."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator

import mujoco
import numpy as np

from envs.table.scene import FLOOR_Z, paint_slot
from envs.table.world import World


@contextlib.contextmanager
def edited(world: World, slot: int, pose: np.ndarray | None, rgb: np.ndarray | None, present: bool) -> Iterator[None]:
    """One object at another pose (7,) [m, unit quaternion], in another colour (3,), or gone, until the block ends.

    Nothing else changes. ValueError for a slot without an object.
    """
    if slot not in [thing.slot for thing in world.objects]:
        raise ValueError(f"there is no object in slot {slot}; slots in use: {[thing.slot for thing in world.objects]}")
    model = world.model
    data, objects, colours, flags = world.data, world.objects, model.geom_rgba.copy(), model.opt.enableflags
    world.data = copy.copy(data)
    try:
        model.opt.enableflags &= ~int(mujoco.mjtEnableBit.mjENBL_SLEEP)  # what sleeps is not moved
        if pose is not None:
            world.poses[slot] = pose
        if rgb is not None:
            paint_slot(model, slot, np.asarray(rgb))
        if not present:
            world.poses[slot, 2] = FLOOR_Z - 2
            world.objects = [thing for thing in objects if thing.slot != slot]
        mujoco.mj_kinematics(model, world.data)
        mujoco.mj_camlight(model, world.data)
        yield
    finally:
        world.data, world.objects, model.opt.enableflags = data, objects, flags
        model.geom_rgba[:] = colours
