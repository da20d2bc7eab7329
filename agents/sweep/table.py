"""What a sweep found: a row for each group of seeds, as JSON, as Markdown and as a picture."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from agents.evaluation.protocol import Interval, wilson
from agents.evaluation.scores import CEILING, FLOOR
from agents.sweep.trial import OURS, Result
from worldmodel.train.files import dump_json, write_atomic

COLUMNS = {
    "loss": ("loss", "{:.3f}"),
    "error_over_copy": ("error / copy", "{:.2f}"),
    "effective_rank": ("rank", "{:.1f}"),
    "probe_cm_0": ("seen cm", "{:.1f}"),
    "probe_cm_1": ("+1 cm", "{:.1f}"),
    "probe_cm_2": ("+2 cm", "{:.1f}"),
    "updates": ("updates", "{:.0f}"),
    "samples_per_cpu_s": ("samples / CPU s", "{:.0f}"),
}
"""Metric -> its heading, and how a mean is written."""

HEADINGS = ("", "runs", "success", "95 %", *(heading for heading, _ in COLUMNS.values()), "CPU s train", "CPU s all")
"""Of the cells of a row."""


@dataclass(frozen=True)
class Row:
    """One group: trials that differ in their seed alone."""

    group: str
    """What it is."""
    num_runs: int
    """Finished trials."""
    metrics: dict[str, float | None]
    """Means over them; null where one of them has none."""
    success: Interval
    """Of all their episodes together, with Wilson's 95 % interval."""
    num_episodes: int
    """How many those are."""
    cpu_seconds: dict[str, float]
    """Stage -> mean processor time of a run [s]."""


def rows_of(results: Sequence[Result]) -> list[Row]:
    """A row for each group, in the order in which they come."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(result.group, []).append(result)
    return [_row(group, members) for group, members in groups.items()]


def _row(group: str, members: Sequence[Result]) -> Row:
    count = sum(member.num_episodes for member in members)
    return Row(
        group=group,
        num_runs=len(members),
        metrics={name: _mean([member.metrics.get(name) for member in members]) for name in members[0].metrics},
        success=wilson(sum(member.successes[OURS] for member in members), count),
        num_episodes=count,
        cpu_seconds={
            stage: sum(member.cpu_seconds.get(stage, 0.0) for member in members) / len(members)
            for stage in members[0].cpu_seconds
        },
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None


def to_json(name: str, source: Path, results: Sequence[Result], missing: Mapping[str, str]) -> dict[str, Any]:
    """Everything that is needed to trust the table. `missing`: trial -> why it is not in it."""
    return {
        "sweep": name,
        "file": str(source),
        "rows": [dataclasses.asdict(row) for row in rows_of(results)],
        "bounds": {agent: dataclasses.asdict(bound) for agent, bound in _bounds(results).items()},
        "protocols": sorted({result.protocol for result in results}),
        "missing": dict(missing),
        "runs": [dataclasses.asdict(result) for result in results],
    }


def _bounds(results: Sequence[Result]) -> dict[str, Interval]:
    """Floor, and ceiling where the world has one: they do not learn, so one run's episodes are all there is to know."""
    return {
        agent: wilson(one.successes[agent], one.num_episodes)
        for one in results[:1]
        for agent in (FLOOR, CEILING)
        if agent in one.successes
    }


def to_markdown(name: str, results: Sequence[Result], missing: Mapping[str, str]) -> str:
    """The table for people."""
    lines = [f"# {name}", "", f"| {' | '.join(HEADINGS)} |", f"|{'---|' * len(HEADINGS)}"]
    lines += [f"| {' | '.join(cells(row))} |" for row in rows_of(results)]
    if results:
        bounds = [f"{agent} {100 * bound.rate:.0f} %" for agent, bound in _bounds(results).items()]
        lines += ["", f"On the same starts: {', '.join(bounds)}."]
        lines += ["Means over seeds; the interval is Wilson's, of all episodes of a row together."]
        if len({result.protocol for result in results}) > 1:
            lines += ["The rows were NOT evaluated on the same protocol: their successes do not compare."]
    lines += [f"Missing: {trial} ({why})." for trial, why in missing.items()]
    return "\n".join(lines) + "\n"


def cells(row: Row) -> list[str]:
    """A row's cells, as in `to_markdown`."""
    measured = [
        "" if (value := row.metrics.get(name)) is None else written.format(value) for name, (_, written) in COLUMNS.items()
    ]
    interval = f"{100 * row.success.low:.0f} to {100 * row.success.high:.0f}"
    spent = [f"{row.cpu_seconds.get('train', 0.0):.0f}", f"{sum(row.cpu_seconds.values()):.0f}"]
    return [row.group, str(row.num_runs), f"{100 * row.success.rate:.0f} %", interval, *measured, *spent]


SHOWN = ("", "runs", "success", "95 %", "seen, +1, +2 cm", "rank", "updates", "CPU s")
"""Headings of what fits a terminal."""


def brief(row: Row) -> list[str]:
    """The cells for a terminal."""
    whole = dict(zip(HEADINGS, cells(row), strict=True))
    errors = " ".join(whole[COLUMNS[f"probe_cm_{ahead}"][0]] or "-" for ahead in range(3))
    first, last = ("runs", "success", "95 %"), ("rank", "updates", "CPU s all")
    return [row.group, *(whole[name] for name in first), errors, *(whole[name] for name in last)]


def save(out: Path, name: str, source: Path, results: Sequence[Result], missing: Mapping[str, str]) -> None:
    """Write OUT/results.json, results.md and results.png, each the old one or the new one."""
    write_atomic(out / "results.json", (dump_json(to_json(name, source, results, missing)) + "\n").encode())
    write_atomic(out / "results.md", to_markdown(name, results, missing).encode())
    if results:
        write_atomic(out / "results.png", picture(name, results))


def picture(name: str, results: Sequence[Result]) -> bytes:
    """Success with its interval, each seed a dot, beside the probe's error; a PNG."""
    rows = rows_of(results)
    figure = Figure(figsize=(9, 1.2 + 0.45 * len(rows)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for place, row in enumerate(rows):
        low, high = 100 * row.success.low, 100 * row.success.high
        left.plot([low, high], [place, place], color="0.6", linewidth=5, solid_capstyle="butt")
        left.plot(100 * row.success.rate, place, "k|", markersize=14)
        seeds = [100 * r.successes[OURS] / r.num_episodes for r in results if r.group == row.group]
        left.plot(seeds, [place] * len(seeds), "o", color="tab:blue", markersize=4)
        for ahead, marker in enumerate(("o", "s", "^")):
            if (error := row.metrics.get(f"probe_cm_{ahead}")) is not None:
                label = ("as seen", "one action ahead", "two")[ahead] if place == 0 else None
                right.plot(error, place, marker, color=f"C{ahead + 1}", label=label)
    for agent, bound in _bounds(results).items():
        left.axvline(100 * bound.rate, color="0.3", linestyle=":" if agent == FLOOR else "--", linewidth=1)
    left.set(xlim=(0, 100), xlabel="success [%] (dotted: random, dashed: expert)", title=name)
    left.set_yticks(range(len(rows)), [row.group for row in rows])
    left.invert_yaxis()
    right.set(xlabel="probe error [cm]")
    right.set_xlim(left=0)
    if right.get_legend_handles_labels()[0]:
        right.legend(fontsize="small")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()
