"""What the robot lives in: MuJoCo scenes as Gymnasium environments. Importing this package registers their ids."""

from __future__ import annotations

import os
import sys
from typing import Any

if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
    os.environ.setdefault("MUJOCO_GL", "egl")  # read by mujoco when it is imported

import gymnasium

OURS = "worldmodel/"
"""Namespace of the ids that are registered here."""
TABLE_CLEAR = "worldmodel/TableClear-v0"
TABLE_TASKS = {
    "worldmodel/TableReach-v0": "reach",
    "worldmodel/TablePush-v0": "push",
    "worldmodel/TablePick-v0": "pick",
    "worldmodel/LoadRack-v0": "load_rack",
}
"""Other tasks at the same table: Gymnasium id -> task of `envs.tabletop.TabletopEnv`."""
TWO_ROOMS, REACHER, PUSH_T = "worldmodel/TwoRooms-v0", "worldmodel/Reacher-v0", "worldmodel/PushT-v0"
CLASSICS = {
    TWO_ROOMS: "envs.classics.two_rooms:TwoRoomsEnv",
    REACHER: "envs.classics.reacher:ReacherEnv",
    PUSH_T: "envs.classics.push_t:PushTEnv",
}
"""The field's small worlds: Gymnasium id -> class."""

if TABLE_CLEAR not in gymnasium.registry:
    gymnasium.register(id=TABLE_CLEAR, entry_point="envs.tabletop:TabletopEnv", vector_entry_point="envs.vector.env:tabletop")
for _id, _task in TABLE_TASKS.items():
    if _id not in gymnasium.registry:
        gymnasium.register(
            id=_id,
            entry_point="envs.tabletop:TabletopEnv",
            vector_entry_point="envs.vector.env:tabletop",
            kwargs={"task": _task},
        )
for _id, _entry in CLASSICS.items():
    if _id not in gymnasium.registry:
        gymnasium.register(id=_id, entry_point=_entry)


def make(env_id: str, **kwargs: Any) -> gymnasium.Env:
    """The environment of a Gymnasium id: this project's own as it is, anyone else's as envs/foreign adapts it.

    Raises TypeError for a keyword argument of ours that does not exist, with the nearest one.
    """
    if env_id.startswith(OURS):
        try:
            return gymnasium.make(env_id, disable_env_checker=True, **kwargs)
        except TypeError as error:
            from envs.naming import unknown_keyword

            raise TypeError(unknown_keyword(env_id, kwargs) or str(error)) from error
    from envs import foreign

    return foreign.make(env_id, **kwargs)


def counts_steps(env_id: str) -> bool:
    """Whether an environment's budget is called max_steps: those whose action is no whole sweep."""
    return env_id in CLASSICS or not env_id.startswith(OURS)
