"""The scores of any other world than the table that is cleared, such as one of rewards without a scripted expert."""

from __future__ import annotations

from agents.evaluation.scores import CEILING, FLOOR
from agents.report import page
from agents.report.scores import episode_table, interval_bar, main_score, milliseconds, percent, span
from agents.report.types import Evaluation


def why_not_printed(evaluation: Evaluation) -> str:
    """Why these scores may not be printed, in one line, or nothing: a score is read between the bounds that there can be."""
    there = {score.name for score in evaluation.scores} | evaluation.absent.keys()
    absent = [name for name in (FLOOR, CEILING) if name not in there]
    if absent or main_score(evaluation) is None:
        return f"Scores are not printed: {' and '.join(absent) or 'a planning agent'} was not evaluated beside."
    return ""


def headline(title: str, evaluation: Evaluation) -> str:
    """What was learned, in one sentence with n and the interval."""
    reason, score = why_not_printed(evaluation), main_score(evaluation)
    world, top = page.text(evaluation.protocol.get("env_id", "")), f'<p class="run">{page.text(title)}</p>\n'
    if reason or score is None:
        return f"{top}<h1>A world model of {world}</h1>\n{page.missing(reason)}"
    sentence = (
        f"Success in {round(score.success.rate * score.n)} of {score.n} held\u2011out episodes of {world}: "
        f"{percent(score.success.rate)} (95\u00a0% interval\u00a0{span(score.success)})"
    )
    context = [f"{other.name}: {percent(other.success.rate)} (n = {other.n})" for other in evaluation.scores if other != score]
    reasons = [f"No {name}: {reason}." for name, reason in evaluation.absent.items()]
    return f"{top}<h1>{sentence}</h1>\n{page.lead(' '.join(['; '.join(context) + '.', *reasons]))}"


def score_table(evaluation: Evaluation) -> str:
    """Every agent: success, return and time of a decision."""
    reason = why_not_printed(evaluation)
    if reason:
        return page.section("Scores", page.missing(reason))
    rows = []
    for score in evaluation.scores:
        told = f"{score.returns.mean:.4g}" if score.returns is not None else "–"
        ends = f"{score.returns.low:.4g} to {score.returns.high:.4g}" if score.returns is not None else ""
        rate = f'{percent(score.success.rate)}<span class="note">{span(score.success)}</span>'
        times = [milliseconds(value) for value in score.plan_ms] if score.plan_ms is not None else ["–", "–"]
        mean = f'{told}<span class="note">{ends}</span>'
        rows.append((page.text(score.name), str(score.n), interval_bar(score.success), rate, mean, *times))
    heads = ("agent", "n", "success", "", "return", "decision p50 [ms]", "p95 [ms]")
    caption = "Below the rate: Wilson 95 % interval; below the return: mean plus and minus 1.96 standard errors. "
    caption += f"Same held-out starts for all. Protocol {evaluation.protocol.get('hash', 'without a hash')}."
    table = page.table(heads, rows, numeric=(1, 3, 4, 5, 6))
    return page.section("Scores", f'<div class="scores">{table}<p class="caption">{page.text(caption)}</p></div>')


def evaluation_details(evaluation: Evaluation) -> str:
    """Every episode on a click."""
    kept = [score for score in evaluation.scores if score.episodes]
    parts = [page.details(f"{score.name}: every episode ({len(score.episodes)})", episode_table(score)) for score in kept]
    return page.section("Evaluation details", *(parts or [page.missing("The episodes are missing: not kept.")]))
