"""What the robot lives in: MuJoCo scenes as Gymnasium environments. Importing this package registers their ids."""

from __future__ import annotations

import os
import sys

if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
    os.environ.setdefault("MUJOCO_GL", "egl")  # read by mujoco when it is imported

import gymnasium

TABLE_CLEAR = "worldmodel/TableClear-v0"

if TABLE_CLEAR not in gymnasium.registry:
    gymnasium.register(id=TABLE_CLEAR, entry_point="envs.tabletop:TabletopEnv", vector_entry_point="envs.vector:tabletop")
