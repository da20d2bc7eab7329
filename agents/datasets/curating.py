"""Datasets mended, joined and chosen from.

worldmodel repair DATA [--dry-run] [--out DIR] [--delete]
worldmodel merge A B [C ...] --out DATA
worldmodel curate DATA --where "success and length >= 4" --out VIEW.json
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from agents.console import Screen
from worldmodel.data import Dataset
from worldmodel.data.curation.curate import choose
from worldmodel.data.curation.expression import Expression
from worldmodel.data.upkeep.merge import merge
from worldmodel.data.upkeep.repair import repair
from worldmodel.data.view import require_view_name, write_view
from worldmodel.errors import ConfigError, MismatchError

MANY = 40
"""Lines of one kind that are shown before the rest is only counted."""


def run_repair(data: Path, out: Path | None, dry_run: bool, delete: bool, screen: Screen) -> int:
    """Repair a dataset and say what became of it; the exit code is 0 when what is left is whole."""
    if dry_run and out is not None:
        raise ConfigError("--dry-run writes nothing, so --out does nothing; leave one of them out")
    with screen.stage("check") as progress:
        done = repair(data, out=out, dry_run=dry_run, delete=delete, progress=progress)
    for note in done.notes:
        screen.say(f"found     {note}")
    _say_first([f"{'would drop  ' if dry_run else 'dropped   '}{line}" for line in _runs(done.dropped)], screen)
    if done.aside is not None:
        screen.say(f"damaged files are kept in {done.aside}")
    if not done.needed:
        screen.say(f"{data} is whole, {done.num_episodes} episodes; nothing was changed")
    elif dry_run:
        screen.say(f"{done.num_episodes} episodes would be kept and {len(done.dropped)} dropped; nothing was changed")
    else:
        screen.say(f"{out or data} is whole: {done.num_episodes} episodes kept, {len(done.dropped)} dropped")
    if out is not None:
        screen.say(f"data: {out}")
    return 0


def run_merge(data: tuple[Path, ...], out: Path, screen: Screen) -> int:
    """Join datasets; each difference that forbids it has a line."""
    try:
        with screen.stage("merge") as progress:
            done = merge(data, out, progress)
    except MismatchError as error:
        first, *lines = str(error).splitlines()
        for line in lines:
            screen.say(line)
        raise MismatchError(first) from error
    _say_first([f"left out  episode {i} of {a}: it is episode {j} of {b}" for a, i, b, j in done.duplicates], screen)
    screen.say(f"data: {out}, {done.num_episodes} episodes, {len(done.duplicates)} duplicates left out")
    return 0


def run_curate(data: Path, where: str, out: Path, screen: Screen) -> int:
    """Write a view of the episodes of which a condition is true."""
    expression = Expression(where)
    require_view_name(out)
    dataset = Dataset.open(data)
    with screen.stage("choose") as progress:
        chosen = dataset.select(choose(dataset, expression, progress=progress))
    write_view(out, dataset.root, dataset.whole.fingerprint, chosen.indices, expression.text)
    shares = [sum(row.success for row in each.episodes) / each.num_episodes for each in (dataset, chosen)]
    screen.say(f"{chosen.num_episodes} of {dataset.num_episodes} episodes, {chosen.num_frames} frames")
    screen.say(f"success: {shares[1]:.1%}, of all {shares[0]:.1%}")
    screen.say(f"view: {out}; give it to --data, or to inspect")
    return 0


def _runs(dropped: list[tuple[int, str]]) -> list[str]:
    """One line for each run of neighbouring episodes that are lost for the same reason."""
    lines = []
    numbered = [(index - place, why, index) for place, (index, why) in enumerate(dropped)]
    for (_, why), group in groupby(numbered, key=lambda entry: entry[:2]):
        indices = [index for _, _, index in group]
        which = f"episode {indices[0]}" if len(indices) == 1 else f"episodes {indices[0]} to {indices[-1]}"
        lines.append(f"{which}: {why}")
    return lines


def _say_first(lines: list[str], screen: Screen) -> None:
    for line in lines[:MANY]:
        screen.say(line)
    if len(lines) > MANY:
        screen.say(f"and {len(lines) - MANY} lines more")
