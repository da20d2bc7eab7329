"""One file a task: where things start, what is asked, when it is done."""

from __future__ import annotations

from collections.abc import Callable

from envs.tasks.base import Task
from envs.tasks.clear import TableClear
from envs.tasks.load_rack import LoadRack
from envs.tasks.pick import TablePick
from envs.tasks.push import TablePush
from envs.tasks.reach import TableReach

TASKS: dict[str, Callable[[], Task]] = {
    "clear": TableClear,
    "reach": TableReach,
    "push": TablePush,
    "pick": TablePick,
    "load_rack": LoadRack,
}
"""Tasks by name; each has its Gymnasium id in `env_id`."""
