"""Which episodes of a damaged dataset read back as they were written, and where they are."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from worldmodel.data.dataset import Dataset
from worldmodel.data.format.frame_reader import Layout
from worldmodel.data.upkeep.recheck_file import FileCheck, PatchedFolder, Verdict
from worldmodel.data.upkeep.salvage import Remains
from worldmodel.progress import NoProgress, Progress


def recheck(remains: Remains, trusted: dict[str, str], scratch: Path, progress: Progress | None = None) -> Verdict:
    """Look at every episode of which there is a row.

    Args:
        remains: what is left of `meta`.
        trusted: file -> SHA-256, of files that may be believed when it is theirs.
        scratch: a folder for new files.
        progress: told the number of episodes done.
    """
    info, folder = remains.info, PatchedFolder(remains.root)
    layout = Layout(remains.spec, remains.fps, info["features"], {n: (n, f) for n, f in info["features"].items()})
    dataset = Dataset(folder, info, layout, remains.rows)
    dataset.data_files = {}  # filled below, by what the files themselves say
    verdict = Verdict()
    tables = [str(path.relative_to(remains.root)) for path in remains.root.glob("meta/episodes/chunk-*/file-*.parquet")]
    if any(trusted.get(name) != verdict.sum_of(remains.root, name) for name in tables):
        trusted = {}  # the rows may be wrong, and then only the digests tell
    videos = _videos(dataset, trusted, verdict)
    told, total = progress or NoProgress(), len(remains.rows)
    for file, group in groupby(range(total), key=lambda place: remains.rows[place].file):
        places = list(group)
        told.update(places[0], total)
        check = FileCheck(dataset, folder, file, places, scratch)
        check.check(trusted, videos, verdict, lambda done, first=places[0]: told.update(first + done, total))
    told.update(total, total)
    return verdict


def _videos(dataset: Dataset, trusted: dict[str, str], verdict: Verdict) -> dict[str, bool]:
    """Video file -> whether it may be believed."""
    sound = {}
    for name in dataset.video_files:
        found = verdict.sum_of(dataset.root, name)
        sound[name] = bool(found) and found == trusted.get(name)
        if not found:
            verdict.notes.append(f"{name} is missing, or cannot be read")
            verdict.damaged.append(dataset.root / name)
    return sound
