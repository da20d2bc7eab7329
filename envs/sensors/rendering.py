"""Cameras: a fast one for observations and a handsome one for films.

Without a GPU, MuJoCo's default quality is a hundred times slower than what is set here: shadows and reflections are switched
off for observations, and edges are smoothed by drawing at twice the size and averaging.
"""

from __future__ import annotations

import ctypes

import mujoco
import numpy as np

from envs.sensors.culling import Culling

SUPERSAMPLE = 2
"""An observation is drawn at twice its size and averaged, so that an object shows where it is within a pixel."""
FILM_SIZE = (480, 640)
"""Height and width of a film picture."""
FANCY = (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION, mujoco.mjtRndFlag.mjRND_SKYBOX)
"""What an observation is drawn without."""
EVERYTHING = int(mujoco.mjtCatBit.mjCAT_ALL)


class Canvas(mujoco.Renderer):
    """Draws a scene without what is slow: only what a camera can see, into a buffer that is no larger than the picture."""

    def __init__(self, model: mujoco.MjModel, height: int, width: int) -> None:
        buffer = model.vis.global_
        before = buffer.offwidth, buffer.offheight
        buffer.offwidth, buffer.offheight = width, height  # read when the context is made
        super().__init__(model, height, width)
        buffer.offwidth, buffer.offheight = before
        for flag in FANCY:
            self.scene.flags[int(flag)] = 0
        self._pixels = np.empty((height, width, 3), np.uint8)

    def draw(self, data: mujoco.MjData, camera: mujoco.MjvCamera, culling: Culling) -> np.ndarray:
        """What a camera sees, (height, width, 3) uint8 from the bottom row to the top: a buffer that the next call fills."""
        if self._mjr_context is None or self._gl_context is None:
            raise RuntimeError("this camera is closed")
        groups = self.model.geom_group
        groups[:] = culling.visible(data)
        mujoco.mjv_updateScene(self.model, data, self._scene_option, None, camera, EVERYTHING, self.scene)
        groups[:] = culling.groups
        self._gl_context.make_current()
        mujoco.mjr_render(self._rect, self.scene, self._mjr_context)
        mujoco.mjr_readPixels(self._pixels, None, self._rect, self._mjr_context)
        return self._pixels


Canvases = dict[tuple[int, int], Canvas]
"""Height and width of the pictures [px] -> where cameras of that size draw."""


class Camera:
    """A camera that returns uint8 pictures."""

    def __init__(
        self,
        model: mujoco.MjModel,
        camera: str,
        size: int | tuple[int, int],
        canvases: Canvases | None = None,
    ) -> None:
        """`size` is the side of a square, or (height, width) [px]; cameras with the same `canvases` share GL contexts."""
        self.camera = camera
        self.size = height, width = (size, size) if isinstance(size, int) else size
        canvases = {} if canvases is None else canvases
        if self.size not in canvases:
            canvases[self.size] = Canvas(model, height * SUPERSAMPLE, width * SUPERSAMPLE)
        self._canvas = canvases[self.size]
        self._view = mujoco.MjvCamera()
        self._view.type, self._view.fixedcamid = int(mujoco.mjtCamera.mjCAMERA_FIXED), model.camera(camera).id
        self._culling = Culling(model, self._view.fixedcamid, width / height)
        self.renderer_name = gl_renderer_name()

    def render(self, data: mujoco.MjData) -> np.ndarray:
        """A picture (height, width, 3) uint8 of the scene."""
        fine = self._canvas.draw(data, self._view, self._culling).reshape(self.size[0] * SUPERSAMPLE, -1)
        rows = np.add(fine[-1::-2], fine[-2::-2], dtype=np.uint16).ravel()
        total = rows.copy()  # of 2 x 2 pixels, where they begin in the left one of a pair; the rest is not used
        total[:-3] += rows[3:]
        total += 2
        total >>= 2
        mean = total.astype(np.uint8).reshape(*self.size, 2, 3)[:, :, 0]
        picture = np.empty((*self.size, 3), np.uint8)
        for channel in range(3):  # thrice as fast as all in one
            picture[..., channel] = mean[..., channel]
        return picture

    def close(self) -> None:
        """Free the GL context; closing twice is harmless."""
        self._canvas.close()


class FilmCamera:
    """A perspective view with shadows and smooth edges; its GL context is made when the first picture is asked for."""

    def __init__(self, model: mujoco.MjModel) -> None:
        self.model = model
        self._renderer: mujoco.Renderer | None = None

    def render(self, data: mujoco.MjData) -> np.ndarray:
        """A picture (480, 640, 3) uint8 of the scene."""
        renderer = self._renderer or self._open()
        renderer.update_scene(data, "film")
        return renderer.render().copy()

    def _open(self) -> mujoco.Renderer:
        quality = self.model.vis.quality
        fast = quality.offsamples, quality.shadowsize, quality.numstacks
        quality.offsamples, quality.shadowsize, quality.numstacks = 4, 2048, 16  # read when the context is made
        self._renderer = mujoco.Renderer(self.model, *FILM_SIZE)
        quality.offsamples, quality.shadowsize, quality.numstacks = fast
        return self._renderer

    def close(self) -> None:
        """Free the GL context if there is one."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None


class Renderers:
    """Renderers without what is slow, one a size: cameras of one size share a GL context."""

    def __init__(self, model: mujoco.MjModel) -> None:
        self.model = model
        self._made: dict[tuple[int, int], mujoco.Renderer] = {}

    def of(self, height: int, width: int) -> mujoco.Renderer:
        """The renderer of a size [px]; any of its users may close it, and more than once."""
        if (height, width) not in self._made:
            renderer = self._made[height, width] = mujoco.Renderer(self.model, height, width)
            for flag in FANCY:
                renderer.scene.flags[int(flag)] = 0
        return self._made[height, width]


def gl_renderer_name() -> str:
    """The current context's GL_RENDERER, or the name of the GL backend where the GL library cannot be asked."""
    try:
        from OpenGL import GL
    except ImportError:
        return "unknown"
    name = GL.glGetString(GL.GL_RENDERER)
    if isinstance(name, bytes):
        return name.decode()
    return ctypes.string_at(name).decode() if name else "unknown"
