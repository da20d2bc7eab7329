"""Is this machine ready? Python, torch and device, GL, video, W&B, disk: each `ok` or what to do.

worldmodel doctor
"""

from __future__ import annotations

import importlib
import io
import platform
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from agents import gl
from agents.console import Screen
from worldmodel.errors import WorldModelError

MIN_FREE_GB = 3.0
"""Room for the demo: its dataset, its frame cache and its run."""

SCENE = """
<mujoco>
  <visual><quality shadowsize="1024" offsamples="0"/></visual>
  <worldbody>
    <light pos="0 0 2"/><camera name="top" pos="0 0 1"/>
    <geom type="box" size=".1 .1 .1" rgba="0 1 0 1"/>
  </worldbody>
</mujoco>
"""


@dataclass(frozen=True)
class Check:
    """One line of the doctor's answer."""

    name: str
    """What was looked at."""
    ok: bool
    """Whether it is as it should be."""
    detail: str
    """What was found; when not ok, also what to do."""


def check_python() -> str:
    """Version of the interpreter."""
    # The installer refuses an older one: there is nothing left to check.
    return f"{platform.python_version()} on {platform.system()} {platform.machine()}"


def check_torch() -> str:
    """Version of torch and the device that it would use; a small product must come out right."""
    torch = _import("torch", "pip install torch==2.13.0")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    total = torch.ones(8, 8, device=device).matmul(torch.ones(8, 8, device=device)).sum().item()
    if total != 512.0:
        raise WorldModelError(f"{torch.__version__} on {device} multiplies wrongly ({total} instead of 512); reinstall torch")
    where = torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} threads"
    return f"{torch.__version__} on {device} ({where})"


def check_gl() -> str:
    """Renderer, backend and the time of one 64 px frame that shows what it should."""
    backend = gl.choose_backend()
    renderer_name = gl.require_context()
    import mujoco

    model = mujoco.MjModel.from_xml_string(SCENE)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    with mujoco.Renderer(model, 64, 64) as renderer:
        renderer.scene.flags[int(mujoco.mjtRndFlag.mjRND_SHADOW)] = False
        renderer.update_scene(data, camera="top")
        renderer.render()  # the first frame pays for uploads
        started = time.perf_counter()
        renderer.update_scene(data, camera="top")
        picture = renderer.render()
        seconds = time.perf_counter() - started
    red, green, _ = (int(c) for c in picture[32, 32])
    if green <= red:
        raise WorldModelError(f"{renderer_name} drew a green box as {picture[32, 32].tolist()}; update the driver or Mesa")
    return f"{renderer_name} by {backend or 'the default backend'}, one 64 px frame in {1000 * seconds:.1f} ms"


def check_video() -> str:
    """Codec of three frames that were really encoded."""
    av = _import("av", "pip install av")
    numpy = _import("numpy", "pip install numpy")
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(10))
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for i in range(3):
            frame = av.VideoFrame.from_ndarray(numpy.full((64, 64, 3), 80 * i, numpy.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return f"PyAV {av.__version__}, libx264, three frames in {len(buffer.getvalue())} bytes"


def check_wandb() -> str:
    """Version of W&B; whether anybody is logged in does not matter offline."""
    wandb = _import("wandb", "pip install wandb")
    return f"{wandb.__version__}, used when logging.wandb is offline or online"


def check_disk(folder: Path = Path()) -> str:
    """Free room where the runs are written."""
    free = shutil.disk_usage(folder).free / 1e9
    if free < MIN_FREE_GB:
        raise WorldModelError(f"{free:.1f} GB free in {folder.resolve()}; the demo needs {MIN_FREE_GB:g} GB, make room")
    return f"{free:.1f} GB free in {folder.resolve()}"


CHECKS: dict[str, Callable[[], str]] = {
    "python": check_python,
    "torch": check_torch,
    "gl": check_gl,
    "video": check_video,
    "wandb": check_wandb,
    "disk": check_disk,
}


def examine(checks: dict[str, Callable[[], str]] | None = None) -> list[Check]:
    """Every check's outcome; one that fails does not stop the others."""
    results = []
    for name, check in (CHECKS if checks is None else checks).items():
        try:
            results.append(Check(name, True, check()))
        # A doctor reports every illness: an unforeseen error of a driver is a finding, not a crash.
        except Exception as error:
            text = str(error) if isinstance(error, WorldModelError) else f"{type(error).__name__}: {error}"
            results.append(Check(name, False, " ".join(text.split())))
    return results


def show(checks: list[Check], screen: Screen) -> int:
    """One line a check; the exit code is 0 when all is well and 2 when there is something to do."""
    for check in checks:
        screen.say(f"{check.name:<8}{'ok' if check.ok else 'NOT OK':<8}{check.detail}")
    return 0 if all(check.ok for check in checks) else 2


def _import(name: str, remedy: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise WorldModelError(f"{name} cannot be imported ({error}); {remedy}") from error
