"""Rollouts from elsewhere into a dataset: what was imported, what was left out, and what could not be held.

worldmodel import SOURCE --out DATA [--map map.yaml]
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agents.console import Screen, format_seconds
from agents.strict import load
from worldmodel.data.importers import ImportedWorld, ImportMap, Kind, MappedImporter, import_into, open_source
from worldmodel.train.interrupt import Interrupts

MANY = 12
"""Lines of one kind that are shown before the rest is only counted."""


def run(source: Path, out: Path, map_file: Path | None, kind: Kind | None, screen: Screen) -> int:
    """Import the source and say what became of it; the exit code is 0."""
    mapping = load(ImportMap, map_file) if map_file is not None else ImportMap()
    where = str(map_file) if map_file is not None else "without a map"
    opened = open_source(source, kind)
    with screen.stage("read") as progress:
        importer = MappedImporter(opened, mapping, where=where, progress=progress)
    world = importer.describe()
    with Interrupts() as interrupts:
        with screen.stage("import") as progress:
            done = import_into(importer, out, progress, stopped=lambda: interrupts.signal is not None)
        if not done.complete:
            interrupts.leave(f"{done.num_episodes} of {world.num_episodes} episodes are in {out}; run it again to go on")
    tell(world, screen)
    screen.say(f"{done.num_new} episodes imported in {format_seconds(done.seconds)}, {done.num_frames} frames")
    screen.say(f"data: {out}, {done.num_episodes} episodes at {world.fps:g} frames a second")
    return 0


def tell(world: ImportedWorld, screen: Screen) -> None:
    """Print what became of each field, what was left out and what could not be held."""
    for title, lines in (("imported", world.taken), ("left out", world.dropped), ("note", world.notes)):
        for line in _first(lines):
            screen.say(f"{title:<10}{line}")


def _first(lines: Sequence[str]) -> list[str]:
    more = [f"and {len(lines) - MANY} more"] if len(lines) > MANY else []
    return [*lines[:MANY], *more]
