"""One file a control mode: what the numbers of an action mean, and how the robot carries them out."""

from __future__ import annotations

from collections.abc import Callable

from envs.controls.base import Control
from envs.controls.pick_place import PickPlaceControl
from envs.controls.sweep import SweepControl
from envs.gripper import Gripper
from envs.pick_place import Surface
from envs.tools import Paddle, Tool
from envs.world import World

CONTROLS: dict[str, tuple[Callable[[], Tool], Callable[[World, Surface], Control]]] = {
    "sweep": (Paddle, SweepControl),
    "pick_place": (Gripper, PickPlaceControl),
}
"""Control mode -> the tool that it needs, and how it is made from a world and the height of what things are put down on."""
