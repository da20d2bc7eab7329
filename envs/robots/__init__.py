"""Robots by name: those built here, and other people's arms where their files are on this machine.

arm, gantry                     primitive shapes, always there: `envs.robots.arm`
ogbench:ur5e_2f85               from the package ogbench
menagerie:NAME                  a folder of MuJoCo Menagerie, such as menagerie:franka_emika_panda
mjcf:PATH                       any file with a serial arm
"""

from __future__ import annotations

from envs.names import require_known
from envs.robots import files
from envs.robots.arm import ROBOTS, Robot
from envs.robots.mounted import MountedArm
from envs.robots.tools import Tool


def require_robot(name: str) -> None:
    """Raise ValueError in one line unless a robot of this name can be made on this machine."""
    if name in ROBOTS:
        return
    source, colon, _ = str(name).partition(":")
    if colon and source in files.SOURCES:
        files.find(name)
    else:
        require_known("robot", name, [*ROBOTS, *files.present()])


def available() -> str:
    """Names of the robots that can be made on this machine, and what to do for more, in one line."""
    found = files.present()
    more = "" if any(name.startswith("menagerie:") for name in found) else "; no MuJoCo Menagerie: set MUJOCO_MENAGERIE_PATH"
    return ", ".join([*ROBOTS, *found]) + more


def make_robot(name: str, tool: Tool | None = None) -> Robot:
    """The robot of a name, with its tool or with a paddle. ValueError in one line where that cannot be."""
    require_robot(name)
    if name in ROBOTS:
        return ROBOTS[name](tool)
    return MountedArm(name, files.find(name), tool)
