"""Cameras: a fast one for observations and a handsome one for films.

Without a GPU, MuJoCo's default quality is a hundred times slower than what is set here: shadows and reflections are switched
off for observations, and edges are smoothed by drawing at twice the size and averaging.
"""

from __future__ import annotations

import ctypes

import mujoco
import numpy as np

SUPERSAMPLE = 2
"""An observation is drawn at twice its size and averaged, so that an object shows where it is within a pixel."""
FILM_SIZE = (480, 640)
"""Height and width of a film picture."""


class Camera:
    """A camera that returns uint8 pictures."""

    def __init__(
        self, model: mujoco.MjModel, camera: str, size: int | tuple[int, int], renderers: Renderers | None = None
    ) -> None:
        """`size` is the side of a square, or (height, width) [px]; `renderers` are those of other cameras of the scene."""
        self.camera = camera
        self.size = (size, size) if isinstance(size, int) else size
        self._renderer = (renderers or Renderers(model)).of(self.size[0] * SUPERSAMPLE, self.size[1] * SUPERSAMPLE)
        self.renderer_name = gl_renderer_name()

    def render(self, data: mujoco.MjData) -> np.ndarray:
        """A picture (height, width, 3) uint8 of the scene."""
        self._renderer.update_scene(data, self.camera)
        fine = self._renderer.render()
        rows = fine[0::2].astype(np.uint16) + fine[1::2]
        return ((rows[:, 0::2] + rows[:, 1::2] + 2) >> 2).astype(np.uint8)

    def close(self) -> None:
        """Free the GL context; closing twice is harmless."""
        self._renderer.close()


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
            for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION, mujoco.mjtRndFlag.mjRND_SKYBOX):
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
