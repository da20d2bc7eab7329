"""What stands about that no task asks for: distractors, which a tool should not come down on."""

from __future__ import annotations

import mujoco
import numpy as np

from envs.experts.sweeping import Placed
from envs.table.scene import CYLINDER
from envs.table.world import World
from envs.variations.factors import MAX_DISTRACTORS

DISCS = 5
"""Discs by which a long thing is covered."""


def obstacles(world: World) -> list[Placed]:
    """Discs (x, y) [m], radius [m] that cover the distractors on the table; none where there are no distractors."""
    model, data, found = world.model, world.data, []
    for i in range(MAX_DISTRACTORS):
        geom = mujoco.mj_name2id(model, int(mujoco.mjtObj.mjOBJ_GEOM), f"distractor{i}")
        if geom < 0 or not model.geom_contype[geom] or data.geom_xpos[geom, 2] < 0:
            continue
        size, middle, turned = model.geom_size[geom], data.geom_xpos[geom, :2], data.geom_xmat[geom].reshape(3, 3)
        if model.geom_type[geom] == int(CYLINDER):
            found.append((middle.copy(), float(size[0])))
            continue
        room = float(size[0] - size[1])  # of the middle of a disc, along the longer side
        found += [(middle + turned[:2, 0] * room * share, float(1.2 * size[1])) for share in np.linspace(-1, 1, DISCS)]
    return found
