"""Writes RUN/report.html: one file that any browser opens without a network."""

from __future__ import annotations

from pathlib import Path

from agents.report import page, returns, scores, sections
from agents.report.collect import collect
from agents.report.health import health
from agents.report.provenance import provenance
from agents.report.training import curves_section
from agents.report.types import ReportData
from worldmodel.train.files import write_atomic


def write_report(
    run_dir: Path, data: ReportData | None = None, *, path: Path | None = None, max_video_bytes: int = 16_000_000
) -> Path:
    """Path of the page about a run: RUN/report.html, or `path`.

    `data` is what `collect(run_dir)` reads when it is not given. Raises DataError for a damaged file in the run folder.
    """
    run_dir = Path(run_dir)
    data = collect(run_dir) if data is None else data
    path = run_dir / "report.html" if path is None else path
    write_atomic(path, render(data, max_video_bytes).encode("utf-8"))
    return path


def render(data: ReportData, max_video_bytes: int) -> str:
    """The page as HTML, in the order in which a person asks: does it work, what does it look like, why, how was it made."""
    evaluation = data.evaluation
    if evaluation is not None and evaluation.absent:  # a world of rewards, without an expert
        head, table = returns.headline(data.title, evaluation), returns.score_table(evaluation)
        details = returns.evaluation_details(evaluation)
    else:
        head, table = scores.headline(data.title, evaluation), scores.score_table(evaluation)
        details = scores.evaluation_details(evaluation, data.others)
    return page.document(
        f"{data.title}: world model report",
        (
            f"<header>{head}</header>",
            table,
            sections.videos(data, max_video_bytes),
            sections.imagination(data),
            sections.planner(data),
            curves_section(data.curves),
            details,
            health(data),
            sections.prediction(data),
            provenance(data),
        ),
    )
