"""One file a task: where things start, what is asked, when it is done."""

from __future__ import annotations

from collections.abc import Callable

from envs.tasks.base import Task
from envs.tasks.clear import TableClear

TASKS: dict[str, Callable[[], Task]] = {"clear": TableClear}
"""Tasks by name; each has its Gymnasium id in `env_id`."""
