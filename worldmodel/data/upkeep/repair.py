"""Make a damaged dataset whole: `worldmodel repair DATA`.

What is damaged is dropped, episode by episode, and everything else stays to the bit. The remaining episodes are numbered anew
without holes, as LeRobot v3 asks. New files replace the old ones in a step that a kill cannot break (swap.py).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from worldmodel.data.format.features import CHECKSUMS, IMPORTED, POLICY, WORLD
from worldmodel.data.format.files import LocalFolder, read_json
from worldmodel.data.format.locks import lock
from worldmodel.data.format.meta import content_files, licence_of, write_meta
from worldmodel.data.format.world import LOCK
from worldmodel.data.recording.leftovers import finish_recording, leftovers, shards_waiting
from worldmodel.data.upkeep.derived import bad_derived, write_derived
from worldmodel.data.upkeep.gather import Part, gather
from worldmodel.data.upkeep.recheck import recheck
from worldmodel.data.upkeep.recheck_file import Verdict
from worldmodel.data.upkeep.salvage import Remains, read_remains
from worldmodel.data.upkeep.swap import finish, interrupted, new_folder, put_aside, require_settled, stage, swap
from worldmodel.errors import DataError
from worldmodel.progress import Progress

ASIDE = "damaged"
"""Folder in the dataset in which each repair keeps what it has replaced, in a folder of its own."""


@dataclass
class Repair:
    """What a repair did, or would do."""

    num_episodes: int = 0
    """Episodes that are kept."""
    dropped: list[tuple[int, str]] = field(default_factory=list)
    """Number that each lost episode had, and why it is lost."""
    notes: list[str] = field(default_factory=list)
    """A line for each other thing that was wrong."""
    aside: Path | None = None
    """Folder with the damaged files; None when there are none, or they were deleted."""

    @property
    def needed(self) -> bool:
        """Whether anything was wrong."""
        return bool(self.dropped or self.notes)


def repair(
    root: Path, *, out: Path | None = None, dry_run: bool = False, delete: bool = False, progress: Progress | None = None
) -> Repair:
    """Drop what is damaged of a dataset and keep the rest. A dataset that is whole is left exactly as it is.

    Args:
        root: the dataset.
        out: write the repaired dataset here and leave `root` alone; None repairs in place.
        dry_run: only say what would be done; nothing is written.
        delete: do not keep the damaged files.
        progress: told the number of episodes done.

    Raises:
        DataError: it cannot be repaired, somebody is writing to it, or the disk is full.
    """
    if not (root / "meta").is_dir():
        why = "is no dataset: it has no meta folder" if root.is_dir() else "is no folder; expected a dataset"
        raise DataError(f"{root} {why}")
    done = Repair()
    aloof = dry_run or out is not None  # nothing in `root` is written
    if aloof:
        require_settled(root)
    busy = f"{root} is being recorded or finalized by another process; repair it when it has finished"
    with contextlib.nullcontext() if aloof else lock(root / LOCK, exclusive=True, wait=2.0, busy=busy):
        if not aloof and interrupted(root):
            finish(root)
            done.notes.append("a repair that was interrupted is finished")
    trusted = _trusted(root)
    if shards_waiting(root):
        done.notes += [f"{shards_waiting(root)} shards of a recording wait"] if aloof else finish_recording(root, _aside(root))
    with contextlib.ExitStack() as exit:
        if not aloof:
            exit.enter_context(lock(root / LOCK, exclusive=True, wait=2.0, busy=busy))
        scratch = Path(exit.enter_context(tempfile.TemporaryDirectory(prefix=".repair-", dir=None if aloof else root)))
        remains = read_remains(root)
        verdict = recheck(remains, trusted, scratch, progress)
        done.num_episodes = len(verdict.places)
        done.dropped = sorted([*remains.lost, *verdict.dropped])
        done.notes += [*remains.notes, *verdict.notes]
        if not verdict.places:
            raise DataError(f"{root} cannot be repaired: none of its episodes can be read; {done.dropped[0][1]}")
        if out is not None:
            with new_folder(out) as part:
                _write(remains, verdict, part, link=False)
        elif _renumbers(remains, verdict):
            _replace(remains, verdict, done, dry_run, delete)
        else:
            _mend(remains, verdict, done, dry_run, delete)
        if out is None:
            _sweep(root, done, dry_run, scratch)
    if not aloof and shards_waiting(root) and not done.dropped:
        finish_recording(root, _aside(root))
    return done


def _renumbers(remains: Remains, verdict: Verdict) -> bool:
    """Whether anything but derived files changes."""
    old = {remains.root / row.file for row in remains.rows}
    ends = [row.first_frame + row.length for row in remains.rows]
    in_order = [row.first_frame for row in remains.rows] == [0, *ends[:-1]]
    rows = any(path.match("meta/episodes/*/*") for path in remains.damaged)
    return bool(remains.lost or verdict.dropped or rows or not in_order or set(verdict.files) - old)


def _write(remains: Remains, verdict: Verdict, target: Path, *, link: bool) -> None:
    """A whole new dataset of the good episodes in an empty folder."""
    part = Part(remains.root, remains.table.take(verdict.places), verdict.files, verdict.offsets)
    rows, tasks = gather([part], target, _link if link else shutil.copyfile)
    shutil.copyfile(remains.root / WORLD, target / WORLD)
    num_frames = sum(rows.column("length").to_pylist())
    write_meta(target, remains.info, len(rows), num_frames, tasks, licence_of(LocalFolder(remains.root)))


def _replace(remains: Remains, verdict: Verdict, done: Repair, dry_run: bool, delete: bool) -> None:
    """Put new files in the place of the old ones."""
    root = remains.root
    for name, going_on in ((POLICY, "recording"), (IMPORTED, "the import")):
        if (remains.lost or verdict.dropped) and (root / name).exists():
            done.notes.append(f"{name} is set aside: {going_on} cannot go on, as the episodes get new numbers")
            verdict.damaged.append(root / name)
    damaged = sorted({str(path.relative_to(root)) for path in (*remains.damaged, *verdict.damaged)})
    if dry_run:
        return
    new = stage(root)
    _write(remains, verdict, new, link=True)
    to = _aside(root)
    replaced = sorted(str(path.relative_to(root)) for path in content_files(root))
    swap(root, [] if delete else damaged, to, replaced + (damaged if delete else []))
    if (root / to).exists():
        done.aside = root / to


def _mend(remains: Remains, verdict: Verdict, done: Repair, dry_run: bool, delete: bool) -> None:
    """Make those derived files anew that are not what follows from the episodes."""
    root = remains.root
    bad = bad_derived(remains, verdict.sums)
    done.notes += [note for _, note in bad]
    names = [name for name, _ in bad] + [str(path.relative_to(root)) for path in remains.damaged]
    if dry_run or not (names or remains.notes):
        return
    to = _aside(root)
    for name in names:
        if not delete:
            put_aside(root, name, to)
    if (root / to).exists():
        done.aside = root / to
    write_derived(remains, set(names))


def _sweep(root: Path, done: Repair, dry_run: bool, scratch: Path) -> None:
    """Delete what killed processes left."""
    for path in leftovers(root, scratch):
        done.notes.append(f"{path.relative_to(root)} is deleted: a killed process left it unfinished")
        if dry_run:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _trusted(root: Path) -> dict[str, str]:
    try:
        return {name: value for name, value in read_json(root / CHECKSUMS).items() if isinstance(value, str)}
    except DataError:
        return {}


def _aside(root: Path) -> str:
    """A folder for what is set aside, which is not there yet."""
    number = 1
    while (root / ASIDE / str(number)).exists():
        number += 1
    return f"{ASIDE}/{number}"


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
