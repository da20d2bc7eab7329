"""One file a control mode: what the numbers of an action mean, and how the robot carries them out."""

from __future__ import annotations

from collections.abc import Callable

from envs.controls.base import Control
from envs.controls.ee_delta import EndEffectorDelta
from envs.controls.joint import JointVelocity
from envs.controls.pick_place import PickPlaceControl
from envs.controls.sweep import SweepControl
from envs.robots.gripper import Gripper
from envs.robots.tools import Paddle, Tool

CONTROLS: dict[str, tuple[Callable[[], Tool], type[Control]]] = {
    "sweep": (Paddle, SweepControl),
    "pick_place": (Gripper, PickPlaceControl),
    "ee_delta": (Gripper, EndEffectorDelta),
    "joint": (Gripper, JointVelocity),
}
"""Control mode -> the tool that it needs, and its class."""
