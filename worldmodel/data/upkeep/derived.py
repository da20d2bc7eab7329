"""Files that follow from the episodes and can be made anew: totals, tasks, statistics, checksums, the card."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq

from worldmodel.data.dataset import Dataset
from worldmodel.data.format.episodes_table import merged_stats
from worldmodel.data.format.features import CHECKSUMS, INFO, STATS, TASKS
from worldmodel.data.format.files import LocalFolder, inside, publish, publish_json, read_json, read_rows
from worldmodel.data.format.frame_reader import Layout
from worldmodel.data.format.meta import CARD, content_files, licence_of, write_card, write_checksums, write_stats, wrong_card
from worldmodel.data.format.tasks import read_tasks, tasks_table
from worldmodel.data.upkeep.salvage import Remains
from worldmodel.errors import DataError


def bad_derived(remains: Remains, sums: dict[str, str]) -> list[tuple[str, str]]:
    """(file, what is wrong with it) of every derived file that does not say what follows from the episodes.

    `sums` are the checksums of the files that hold them, all of whose episodes read back as they were written.
    """
    bad = []
    for name, why in (
        (TASKS, _wrong_tasks(remains)),
        (STATS, _wrong_stats(remains)),
        (CHECKSUMS, _wrong_checksums(remains, sums)),
        (INFO, _wrong_totals(remains)),
        (CARD, _wrong_card(remains)),
    ):
        if why:
            bad.append((name, f"{name} is made anew: {why}"))
    return bad


def write_derived(remains: Remains, names: set[str]) -> None:
    """Make these files anew, and info.json when it was damaged."""
    root = remains.root
    licence = licence_of(LocalFolder(root))
    tasks = _tasks(remains)
    if TASKS in names:
        publish(root / TASKS, lambda path: pq.write_table(tasks_table(tasks), path))
    if STATS in names:
        write_stats(root, len(remains.rows), remains.info["features"])
    if CHECKSUMS in names:
        write_checksums(root, {})
    if INFO in names or not (root / INFO).exists():
        publish_json(root / INFO, remains.info | _totals(remains))
    if CARD in names or not (root / CARD).exists():
        write_card(root, licence)


def _tasks(remains: Remains) -> dict[str, int]:
    """Task in words -> the number that its frames have."""
    files: dict[str, int] = {}
    tasks: dict[str, int] = {}
    for row in remains.rows:
        start = files.setdefault(row.file, row.first_frame)
        if row.instruction not in tasks:
            table = read_rows(inside(remains.root, row.file), row.first_frame - start, 1, ["task_index"])
            tasks[row.instruction] = table.column("task_index")[0].as_py()
    return tasks


def _wrong_tasks(remains: Remains) -> str:
    try:
        there = read_tasks(remains.root)
    except DataError as error:
        return _reason(error)
    wrong = {task for task, number in _tasks(remains).items() if there.get(task) != number}
    return f"it does not number the task {min(wrong)!r} as the frames do" if wrong else ""


def _wrong_stats(remains: Remains) -> str:
    try:
        there = read_json(remains.root / STATS)
    except DataError as error:
        return _reason(error)
    expected = merged_stats(remains.root, len(remains.rows), remains.info["features"])
    for name, stats in expected.items():
        for key, value in stats.items():
            try:
                same = np.allclose(np.array(there[name][key], np.float64), value, rtol=1e-6, atol=1e-9)
            except (KeyError, TypeError, ValueError):
                same = False
            if not same:
                return f"{key} of {name!r} does not follow from the episodes"
    return "it describes unknown columns" if set(there) - set(expected) else ""


def _wrong_checksums(remains: Remains, sums: dict[str, str]) -> str:
    try:
        there = read_json(remains.root / CHECKSUMS)
    except DataError as error:
        return _reason(error)
    names = {str(path.relative_to(remains.root)) for path in content_files(remains.root)}
    if set(there) != names:
        return f"{min(set(there) ^ names)} is {'not in it' if min(set(there) ^ names) in names else 'no file'}"
    wrong = sorted(name for name, value in sums.items() if there[name] != value)
    return f"the checksum of {wrong[0]} differs, but every episode reads back as it was written" if wrong else ""


def _totals(remains: Remains) -> dict[str, object]:
    return {
        "total_episodes": len(remains.rows),
        "total_frames": sum(row.length for row in remains.rows),
        "total_tasks": len({row.instruction for row in remains.rows}),
        "splits": {"train": f"0:{len(remains.rows)}"},
    }


def _wrong_totals(remains: Remains) -> str:
    if not remains.info["total_episodes"]:
        return ""  # it is damaged, which has been said
    wrong = [name for name, value in _totals(remains).items() if remains.info.get(name) != value]
    return f"{wrong[0]} is {remains.info.get(wrong[0])!r}; the episodes say {_totals(remains)[wrong[0]]!r}" if wrong else ""


def _wrong_card(remains: Remains) -> str:
    layout = Layout(remains.spec, remains.fps, remains.info["features"], {})
    return wrong_card(Dataset(LocalFolder(remains.root), remains.info, layout, remains.rows))


def _reason(error: DataError) -> str:
    return "it is missing" if "is missing" in str(error) else "it cannot be read"
