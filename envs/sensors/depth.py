"""What a camera's picture does not tell: how far away each pixel is, and which thing it shows."""

from __future__ import annotations

import mujoco
import numpy as np

from envs.sensors.rendering import Renderers, gl_renderer_name
from envs.table.scene import MAX_OBJECTS

MAX_DEPTH = 5.0
"""What is further away, the empty background too, reads as this [m]."""

_FIXED = {"table": "table", "leg": "table", "bin": "bin", "rack": "rack", "stand": "rack", "mark": "mark", "robot": "robot"}
"""Beginning of the name of what does not move by itself -> its segment; the floor and everything else is background."""


def segment_names(model: mujoco.MjModel) -> tuple[str, ...]:
    """Names of the numbers in a segmentation: 0 is the background, k + 1 the object of slot k, then the other things."""
    names = {_segment(model, geom) for geom in range(model.ngeom)}
    rest = [name for name in ("robot", "table", "bin", "rack", "mark", "distractor") if name in names]
    return ("background", *(f"object{slot}" for slot in range(MAX_OBJECTS)), *rest)


def _segment(model: mujoco.MjModel, geom: int) -> str:
    """Name of the thing that a geom belongs to."""
    body = model.body(int(model.geom_bodyid[geom]))
    if model.body_weldid[body.id] == 0 or body.mocapid[0] >= 0:
        name = model.geom(geom).name or body.name
        return next((segment for start, segment in _FIXED.items() if name.startswith(start)), "background")
    if body.name.startswith("object"):
        return body.name
    return "distractor" if body.name.startswith("distractor") else "robot"


class GeometryCamera:
    """A camera that measures depth and tells things apart; a pixel is one ray, so that no two things mix in it."""

    def __init__(self, model: mujoco.MjModel, camera: str, size: tuple[int, int], renderers: Renderers) -> None:
        """`size` is (height, width) [px]; `renderers` are those of other such cameras of the scene."""
        self.camera = camera
        self._renderer = renderers.of(*size)
        self.renderer_name = gl_renderer_name()
        names = segment_names(model)
        segments = [names.index(_segment(model, geom)) for geom in range(model.ngeom)]
        self._segment_of = np.array([*segments, 0], np.uint8)  # the last is of what is no geom, -1

    def render(self, data: mujoco.MjData, depth: bool, segmentation: bool) -> tuple[np.ndarray, np.ndarray]:
        """Depth float32 (height, width) [m] and segment numbers uint8 (height, width); empty where not asked for."""
        renderer = self._renderer
        renderer.update_scene(data, self.camera)
        metres, segments = np.empty(0, np.float32), np.empty(0, np.uint8)
        if depth:  # a pass of its own
            renderer.enable_depth_rendering()
            metres = np.minimum(renderer.render(), np.float32(MAX_DEPTH))
        if segmentation:
            renderer.enable_segmentation_rendering()
            ids = renderer.render()
            geoms = np.where(ids[..., 1] == int(mujoco.mjtObj.mjOBJ_GEOM), ids[..., 0], -1)
            segments = self._segment_of[geoms]
        return metres, segments

    def close(self) -> None:
        """Free the GL context; closing twice is harmless."""
        self._renderer.close()
