"""New files into a dataset in one step that a kill cannot break: a journal, moves that can be repeated, info.json last.

While files are moved there is no info.json, so that no reader believes what it sees; whoever repairs next finishes the moves.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from worldmodel.atomic import sync
from worldmodel.data.format.features import INFO
from worldmodel.data.format.files import PART, one_line, part_path, publish_json, read_json
from worldmodel.data.format.locks import lock
from worldmodel.errors import DataError

STAGE = ".repair"
"""Folder in the dataset in which the new files wait."""
_NEW, _JOURNAL = "new", "journal.json"


def stage(root: Path) -> Path:
    """An empty folder for the new files, under the names that they shall have; what a killed repair left there goes."""
    shutil.rmtree(root / STAGE, ignore_errors=True)
    (root / STAGE / _NEW).mkdir(parents=True)
    return root / STAGE / _NEW


def interrupted(root: Path) -> bool:
    """Whether a swap has begun and not ended."""
    return (root / STAGE / _JOURNAL).exists()


def require_settled(root: Path) -> None:
    """Raise DataError when a repair was killed while it moved files: what is there now is neither the old nor the new."""
    if interrupted(root):
        raise DataError(f"a repair of {root} was interrupted; run 'worldmodel repair {root}' once to finish it")


def swap(root: Path, aside: list[str], to: str, remove: list[str]) -> None:
    """Move the staged files in, the `aside` ones into the folder `to`, and delete the `remove` ones; paths are relative."""
    for path in (root / STAGE / _NEW).rglob("*"):
        sync(path)
    remove = [name for name in remove if not (root / STAGE / _NEW / name).exists()]
    publish_json(root / STAGE / _JOURNAL, {"aside": aside, "to": to, "remove": remove, "moved": False})
    finish(root)


def finish(root: Path) -> None:
    """Do what is left of a swap that has begun."""
    journal = read_json(root / STAGE / _JOURNAL)
    new = root / STAGE / _NEW
    if not journal["moved"]:  # the old files go first: after this no new file can be taken for one of them
        (root / INFO).unlink(missing_ok=True)
        for name in journal["aside"]:
            put_aside(root, name, journal["to"])
        publish_json(root / STAGE / _JOURNAL, journal | {"moved": True})
    for path in sorted(new.rglob("*"), key=lambda path: (str(path.relative_to(new)) == INFO, path)):
        if path.is_dir():
            continue
        if str(path.relative_to(new)) == INFO:
            for name in journal["remove"]:
                (root / name).unlink(missing_ok=True)
        target = root / path.relative_to(new)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, target)
        sync(target.parent)
    shutil.rmtree(root / STAGE)


def put_aside(root: Path, name: str, to: str) -> None:
    """Move a file of the dataset into the folder `to`, where it keeps its name."""
    source, target = root / name, root / to / name
    if not os.path.lexists(source):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(source, target)


@contextlib.contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `out` when the block ends well, whole and on the disk; otherwise it is gone.

    Raises:
        DataError: `out` is there already and not empty, or cannot be written.
    """
    if os.path.lexists(out) and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out} is there already; choose another folder, or delete it")
    hidden = out.with_name(f".{out.name}.lock")
    busy = f"{out} is being made by another process; run again when it has finished"
    with lock(hidden, exclusive=True, wait=1.0, busy=busy):
        for leftover in out.parent.glob(f".{out.name}.*{PART}"):  # of a killed process: we hold the lock
            shutil.rmtree(leftover)
        part = part_path(out)
        try:
            part.mkdir(parents=True)
            yield part
            for path in part.rglob("*"):
                sync(path)
            os.rename(part, out)
            sync(out.parent)
        except OSError as error:
            raise DataError(f"cannot write {out}: {one_line(error)}; free space or choose another folder") from error
        finally:
            shutil.rmtree(part, ignore_errors=True)
            hidden.unlink(missing_ok=True)
