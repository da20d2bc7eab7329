"""One file a control mode: what the numbers of an action mean, and how the robot carries them out."""

from __future__ import annotations

from collections.abc import Callable

from envs.controls.base import Control
from envs.controls.sweep import SweepControl
from envs.world import World

CONTROLS: dict[str, tuple[str, Callable[[World], Control]]] = {"sweep": ("paddle", SweepControl)}
"""Control mode -> the tool that it needs, and how it is made."""
