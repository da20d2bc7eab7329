"""The arguments of a tabletop, checked and completed: which task, robot and control mode, how many objects, how long."""

from __future__ import annotations

from dataclasses import dataclass

from envs.names import require_known
from envs.robots import require_robot
from envs.table.scene import MAX_OBJECTS
from envs.tasks import TASKS
from envs.tasks.base import Task


@dataclass(frozen=True)
class Setup:
    """What `TabletopEnv` is asked to be."""

    robot: str
    task: Task
    control_mode: str
    object_range: tuple[int, int]
    """Fewest and most objects."""
    budget: int
    """Actions an episode has."""

    @classmethod
    def of(
        cls,
        robot: str,
        task: str,
        control_mode: str | None,
        num_objects: int | tuple[int, int] | None,
        budgets: dict[str, int | None],
        instruction: str,
        paraphrases: str,
    ) -> Setup:
        """From keyword values, those that are None being the task's own; `budgets` are names of one number, a last one wins.

        ValueError names a wrong one.
        """
        require_robot(robot)
        require_known("task", task, TASKS)
        rules = TASKS[task]()
        if rules.asking is not None:
            rules.asking.configure(instruction, paraphrases)
        elif (instruction, paraphrases) != ("all", "train"):
            raise ValueError(f"task {task!r} asks for the same in every episode: leave out instruction and paraphrases")
        control_mode = next(iter(rules.budgets)) if control_mode is None else control_mode
        require_known(f"control_mode of task {task!r}", control_mode, rules.budgets)
        num_objects = rules.num_objects if num_objects is None else num_objects
        low, high = (num_objects, num_objects) if isinstance(num_objects, int) else tuple(num_objects)
        fewest = min(1, rules.num_objects[0])
        if not fewest <= low <= high <= MAX_OBJECTS:
            raise ValueError(f"num_objects must lie in {fewest}..{MAX_OBJECTS}, got {num_objects}")
        return cls(robot, rules, control_mode, (low, high), _budget(budgets, rules.budgets[control_mode]))


def _budget(given: dict[str, int | None], default: int) -> int:
    """The one number among those that were given by their names, or the default."""
    budget, named = default, {name: value for name, value in given.items() if value is not None}
    for name, value in named.items():
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
        budget = value
    if len(set(named.values())) > 1:
        raise ValueError(f"{' and '.join(named)} are two names of one number, got {' and '.join(map(str, named.values()))}")
    return budget
