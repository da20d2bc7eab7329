"""What a camera cannot see need not be drawn: the same picture, to the bit, in less time.

A geom is left out when the ball around it lies outside of the camera's view. Where camera and geom both stand still, the geom's
box is looked at instead, once; it may also lie wholly in the shadow that the table's top casts from the camera's eye.
"""

from __future__ import annotations

import math

import mujoco
import numpy as np

MARGIN = 1e-3
"""By how much a geom must be out of sight, for rounding in the renderer [m]."""
HIDDEN = mujoco.mjNGROUP - 1
"""A group of geoms that is not drawn."""
_CORNERS = np.array([[1, 1, 1], [-1, 1, 1], [-1, -1, 1], [1, -1, 1]])


class Culling:
    """Tells which geoms one camera of a scene can see; a camera without perspective is taken to see everything."""

    def __init__(self, model: mujoco.MjModel, camera: int, aspect: float) -> None:
        """`aspect` is the width of the picture over its height."""
        self.model, self.camera = model, camera
        self.groups = model.geom_group.copy()
        """(geoms,) as the scene has them."""
        self._seen, self._key = self.groups.copy(), b""
        stands = int(model.cam_bodyid[camera]) == 0
        self._fixed = slice(0, int(model.body_geomnum[0]) if stands else 0)  # geoms of the world come first
        self._moving = slice(self._fixed.stop, model.ngeom)
        self._solid = model.geom_type != int(mujoco.mjtGeom.mjGEOM_PLANE)  # the others have no bounds
        self._table = mujoco.mj_name2id(model, int(mujoco.mjtObj.mjOBJ_GEOM), "table")
        self._near = 5 * float(model.vis.map.znear * model.stat.extent)  # nothing of what lies further is cut off
        down = math.tan(math.radians(float(model.cam_fovy[camera])) / 2)
        inward = np.array([[1, 0, -down * aspect], [-1, 0, -down * aspect], [0, 1, -down], [0, -1, -down]])
        self._inward = inward / np.linalg.norm(inward, axis=1, keepdims=True)  # normals of the view's sides in its frame
        perspective = int(model.cam_projection[camera]) == int(mujoco.mjtProjection.mjPROJ_PERSPECTIVE)
        self._sides = self._inward
        self._works = perspective and not model.cam_sensorsize[camera].any()

    def visible(self, data: mujoco.MjData) -> np.ndarray:
        """(geoms,) their groups, HIDDEN for those that the camera cannot see."""
        if not self._works:
            return self.groups
        eye, axes = data.cam_xpos[self.camera], data.cam_xmat[self.camera]
        fixed, moving = self._fixed, self._moving
        key = b"".join((eye.tobytes(), axes.tobytes(), data.geom_xpos[fixed].tobytes(), self.model.geom_aabb[fixed].tobytes()))
        if key != self._key:
            self._sides = self._inward @ axes.reshape(3, 3).T
            unseen = self._solid[fixed] & (self._outside(data, eye, self._sides) | self._in_shadow(data, eye))
            self._seen[fixed], self._key = np.where(unseen, HIDDEN, self.groups[fixed]), key
        inside = (self._sides @ (data.geom_xpos[moving] - eye).T).min(axis=0) + self.model.geom_rbound[moving]
        self._seen[moving] = np.where((inside < -MARGIN) & self._solid[moving], HIDDEN, self.groups[moving])
        return self._seen

    def _outside(self, data: mujoco.MjData, eye: np.ndarray, sides: np.ndarray) -> np.ndarray:
        """Which of the fixed geoms' boxes lie wholly outside of the view."""
        middle, reach = self._boxes(data, sides)
        return np.any((middle - eye) @ sides.T + reach < -MARGIN, axis=1)

    def _in_shadow(self, data: mujoco.MjData, eye: np.ndarray) -> np.ndarray:
        """Which of the fixed geoms' boxes lie wholly in the shadow of the table's top."""
        table, model = self._table, self.model
        if not 0 <= table < self._fixed.stop or model.geom_rgba[table, 3] < 1:
            return np.zeros(self._fixed.stop, np.bool_)
        turn = data.geom_xmat[table].reshape(3, 3)
        up, rim = turn[:, 2], data.geom_xpos[table] - eye + (_CORNERS * model.geom_size[table]) @ turn.T
        if rim[0] @ up > -self._near:  # from below, or from its own height, there is none
            return np.zeros(self._fixed.stop, np.bool_)
        walls = np.cross(rim, np.roll(rim, -1, axis=0))  # through the eye and each edge, facing the table's middle
        walls *= np.sign(walls @ rim.mean(axis=0))[:, None] / np.linalg.norm(walls, axis=1, keepdims=True)
        bounds = np.vstack([walls, -up])
        middle, reach = self._boxes(data, bounds)
        depth = (middle - eye) @ bounds.T - reach
        depth[:, -1] += rim[0] @ up
        return np.all(depth > MARGIN, axis=1)

    def _boxes(self, data: mujoco.MjData, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Middles (geoms, 3) of the fixed geoms' boxes, and how far they reach from there in each direction (geoms, N)."""
        box, turn = self.model.geom_aabb[self._fixed], data.geom_xmat[self._fixed].reshape(-1, 3, 3)
        middle = data.geom_xpos[self._fixed] + np.einsum("gij,gj->gi", turn, box[:, :3])
        return middle, np.einsum("gi,gin->gn", box[:, 3:], np.abs(np.einsum("gji,nj->gin", turn, directions)))
