"""OpenGL without a window: which backend MuJoCo is told to use, and a clear line when there is none.

`choose_backend` must run before mujoco is imported: MuJoCo reads MUJOCO_GL once, at its import.
"""

from __future__ import annotations

import ctypes
import os
import sys

from worldmodel.errors import WorldModelError

REMEDY = "install Mesa (Debian, Ubuntu: apt-get install -y libegl1 libgl1-mesa-dri) or set MUJOCO_GL to glfw or osmesa"


def choose_backend() -> str:
    """The backend in MUJOCO_GL, set to egl first when nobody chose one on Linux: no window is ever opened here."""
    if sys.platform == "linux":
        os.environ.setdefault("MUJOCO_GL", "egl")
    return os.environ.get("MUJOCO_GL", "")


def require_context() -> str:
    """Name of the GL renderer of a fresh small context; WorldModelError in one line when there is none."""
    backend = choose_backend()
    try:
        if backend == "egl":
            ctypes.CDLL("libEGL.so.1")  # without it mujoco's import fails with an AttributeError that helps nobody
        import mujoco
        from OpenGL import GL

        context = mujoco.GLContext(16, 16)
        context.make_current()
        name = GL.glGetString(GL.GL_RENDERER)
        context.free()
        if name is None:
            raise OSError("the context names no renderer")
    # Whatever goes wrong inside a driver means the same thing to the user: pictures cannot be drawn here.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise WorldModelError(f"no OpenGL context with MUJOCO_GL={backend or 'unset'} ({reason}); {REMEDY}") from error
    return name.decode()
