"""Writes RUN/report.html: one file that any browser opens without a network."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from agents.report import page, returns, scores, sections
from agents.report.collect import collect
from agents.report.health import health
from agents.report.provenance import provenance
from agents.report.training import curves_section
from agents.report.training import headline as unfinished_headline
from agents.report.types import ReportData
from worldmodel.progress import NoProgress, Progress
from worldmodel.train.files import write_atomic


def write_report(
    run_dir: Path,
    data: ReportData | None = None,
    *,
    path: Path | None = None,
    max_video_bytes: int = 16_000_000,
    progress: Progress | None = None,
) -> Path:
    """Path of the page about a run: RUN/report.html, or `path`; `progress` is told of its parts.

    `data` is what `collect(run_dir)` reads when it is not given. Raises DataError for a damaged file in the run folder.
    """
    run_dir = Path(run_dir)
    data = collect(run_dir) if data is None else data
    path = run_dir / "report.html" if path is None else path
    write_atomic(path, render(data, max_video_bytes, progress or NoProgress()).encode("utf-8"))
    return path


def render(data: ReportData, max_video_bytes: int, progress: Progress) -> str:
    """The page as HTML, in the order in which a person asks: does it work, what does it look like, why, how was it made."""
    evaluation = data.evaluation
    world = str(((data.manifest or {}).get("spec") or {}).get("env_id") or scores.CLEARING)
    head, table, details = (
        lambda: scores.headline(data.title, evaluation, world),
        lambda: scores.score_table(evaluation),
        lambda: scores.evaluation_details(evaluation, data.others),
    )
    if evaluation is not None and (evaluation.absent or not scores.clears(evaluation)):
        head = functools.partial(returns.headline, data.title, evaluation)
    if evaluation is not None and evaluation.absent:  # a world of rewards, without an expert
        table = functools.partial(returns.score_table, evaluation)
        details = functools.partial(returns.evaluation_details, evaluation)
    if data.manifest is None and data.curves and evaluation is None:
        head = functools.partial(unfinished_headline, data.title, data.curves)
    parts: list[Callable[[], str]] = [
        lambda: f"<header>{head()}</header>",
        table,
        lambda: sections.videos(data, max_video_bytes),
        lambda: sections.imagination(data),
        lambda: sections.planner(data),
        lambda: curves_section(data.curves),
        details,
        lambda: health(data),
        lambda: sections.prediction(data),
        lambda: provenance(data),
    ]
    drawn = []
    for number, part in enumerate(parts, start=1):
        drawn.append(part())
        progress.update(number, len(parts))
    return page.document(f"{data.title}: world model report", drawn)
