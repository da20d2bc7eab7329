"""The part of the page that says how well the robot does: headline, score table, success by number of objects, episodes."""

from __future__ import annotations

import numpy as np

from agents.evaluation.protocol import Interval
from agents.evaluation.scores import CEILING, FLOOR
from agents.report import page
from agents.report.figures import bar_figure
from agents.report.types import Evaluation, GroupScore, Score
from agents.worldspec import budget_of

MISSING = "The evaluation is missing: there is no evaluation.json in this run (worldmodel evaluate writes it)."
NOTES = {
    FLOOR: "floor: actions anywhere",
    CEILING: "ceiling: scripted, told where everything is",
    "worldmodel:goal": "cost: distance to a goal picture",
    "worldmodel:progress": "cost: the progress head",
}
"""What an agent is, where its name does not say it."""
OF_CLEARING = NOTES | {FLOOR: "floor: sweeps anywhere", "worldmodel:goal": "cost: distance to a picture of an empty table"}
"""The same at the table that is cleared."""
CLEARING = "worldmodel/TableClear-v0"
"""The world whose words these are; of any other one, what is said holds for every task."""


def main_score(evaluation: Evaluation) -> Score | None:
    """The agent that the headline is about: "worldmodel", else the best of those that are neither floor nor ceiling."""
    learned = [
        score for score in evaluation.scores if score.name not in (FLOOR, CEILING) and not score.name.startswith("oracle")
    ]
    return next((s for s in learned if s.name == "worldmodel"), max(learned, key=lambda s: s.success.rate, default=None))


def why_not_printed(evaluation: Evaluation | None) -> str:
    """Why these scores may not be printed, in one line, or nothing: a score is read between a floor and a ceiling."""
    if evaluation is None:
        return MISSING
    absent = [name for name in (FLOOR, CEILING) if name not in {score.name for score in evaluation.scores}]
    if absent or main_score(evaluation) is None:
        names = ",".join((FLOOR, "worldmodel", CEILING))
        return (
            f"Scores are not printed: {' and '.join(absent) or 'a planning agent'} was not evaluated beside (--agents {names})."
        )
    return ""


def clears(evaluation: Evaluation) -> bool:
    """Whether the task is to clear the table."""
    return evaluation.protocol.get("env_id", CLEARING) == CLEARING


def headline(title: str, evaluation: Evaluation | None, world: str = CLEARING) -> str:
    """What was learned, in one sentence with n and the interval; `world` is what was learned of, where nobody played."""
    reason = why_not_printed(evaluation)
    score = main_score(evaluation) if evaluation is not None else None
    if reason or evaluation is None or score is None:
        what = "for clearing a table" if world == CLEARING else f"of {world}"
        return f'<p class="run">{page.text(title)}</p>\n<h1>{page.text(f"A world model {what}")}</h1>\n{page.missing(reason)}'
    by_name = {other.name: other for other in evaluation.scores}
    floor, ceiling = by_name[FLOOR], by_name[CEILING]
    sentence = (
        f"The robot cleared the table in {round(score.success.rate * score.n)} of {score.n} held\u2011out episodes: "
        f"{percent(score.success.rate)} (95\u00a0% interval\u00a0{span(score.success)})"
    )
    context = (
        "It plans each sweep in a latent world model that was learned from recorded sweeps. "
        f"It put {percent(score.objects_cleared)} of the objects into the bin and dropped {percent(score.dropped)}. "
        f"Random sweeps cleared {percent(floor.success.rate)} of the episodes (n = {floor.n}), the scripted expert, "
        f"which is told where every object is, {percent(ceiling.success.rate)} (n = {ceiling.n})."
    )
    return f'<p class="run">{page.text(title)}</p>\n<h1>{page.text(sentence)}</h1>\n{page.lead(context)}'


def score_table(evaluation: Evaluation | None) -> str:
    """Every agent between the random floor and the scripted ceiling."""
    reason = why_not_printed(evaluation)
    if reason or evaluation is None:
        return page.section("Scores", page.missing(reason))
    return page.section("Scores", table(evaluation))


def table(evaluation: Evaluation) -> str:
    """The table itself, with the agents in the order in which they were evaluated."""
    best, cleared = main_score(evaluation), clears(evaluation)
    notes = OF_CLEARING if cleared else NOTES
    rows = []
    for score in evaluation.scores:
        name = f"<b>{page.text(score.name)}</b>" if score is best else page.text(score.name)
        note = notes.get(score.name, "")
        p50, p95 = (milliseconds(value) for value in score.plan_ms) if score.plan_ms is not None else ("–", "–")
        rows.append(
            (
                name + (f'<span class="note">{page.text(note)}</span>' if note else ""),
                str(score.n),
                interval_bar(score.success),
                f'{percent(score.success.rate)}<span class="note">{span(score.success)}</span>',
                percent(score.objects_cleared),
                percent(score.dropped),
                p50,
                p95,
            )
        )
    what = ("episodes cleared", "", "objects in bin") if cleared else ("success", "", "objects done")
    heads = ("agent", "n", *what, "dropped", "decision p50 [ms]", "p95 [ms]")
    bars = "in which every object ended in the bin" if cleared else "with success"
    caption = (
        f"Bars: episodes {bars}. Whiskers, and below the rate: Wilson 95 % interval. "
        f"Same held-out starts for all. {rules(evaluation)}"
    )
    rows_html = page.table(heads, rows, numeric=(1, 3, 4, 5, 6, 7))
    return f'<div class="scores">{rows_html}<p class="caption">{page.text(caption)}</p></div>'


def evaluation_details(evaluation: Evaluation | None, others: dict[str, Evaluation]) -> str:
    """Success by number of objects, the scores of other evaluations, and every episode on a click."""
    reason = why_not_printed(evaluation)
    if reason or evaluation is None:
        return page.section("Evaluation details", page.missing(reason))
    parts = [by_objects(evaluation, others)]
    for name, other in others.items():
        silence = why_not_printed(other)
        parts.append(f"<h3>{page.text(name)}</h3>" + (page.missing(silence) if silence else table(other)))
    kept = [score for score in evaluation.scores if score.episodes]
    parts += [page.details(f"{score.name}: every episode ({len(score.episodes)})", episode_table(score)) for score in kept]
    return page.section("Evaluation details", *parts, *([] if kept else [page.missing("The episodes are missing: not kept.")]))


def by_objects(evaluation: Evaluation, others: dict[str, Evaluation]) -> str:
    """Success of one agent for each number of objects, from all evaluations that differ in nothing else, or a line."""
    main = main_score(evaluation)
    groups: dict[int, GroupScore] = {}
    for each in (evaluation, *others.values()):
        score = next((s for s in each.scores if main is not None and same_agent(s, main)), None)
        if score is not None and comparable(each, evaluation) and not why_not_printed(each):
            groups = {group.num_objects: group for group in score.groups} | groups
    if main is None or len(groups) < 2:
        only = f"; every episode began with {next(iter(groups))}" if groups else ""
        return page.missing(f"Success by number of objects is missing: it was not evaluated{only}.")
    bars = [groups[key] for key in sorted(groups)]
    rate, low, high = (np.array([100 * getattr(group.success, end) for group in bars]) for end in ("rate", "low", "high"))
    labels = [f"{group.num_objects}\nn = {group.n}" for group in bars]
    errors = np.maximum(np.stack((rate - low, high - rate)), 0)
    name = f"{main.name}, episodes cleared by number of objects"
    svg = bar_figure(labels, rate, errors, "objects at the start", "episodes cleared [%]", name=name)
    return page.grid([page.figure(svg, name)])


def same_agent(one: Score, other: Score) -> bool:
    """Whether two scores are of one agent, made of the same weights, planner and cost."""
    return one is other or (one.name == other.name and one.identity == other.identity != "")


def comparable(one: Evaluation, other: Evaluation) -> bool:
    """Whether two protocols differ in the starts and the number of objects at most."""

    def kept(evaluation: Evaluation) -> dict[str, object]:
        rest = {key: value for key, value in evaluation.protocol.items() if key not in ("hash", "seed", "starts", "env_kwargs")}
        kwargs = evaluation.protocol.get("env_kwargs") or {}
        return {**rest, "env_kwargs": {key: value for key, value in kwargs.items() if key != "num_objects"}}

    return kept(one) == kept(other)


def rules(evaluation: Evaluation) -> str:
    """The protocol in one line: what was asked of which robot."""
    protocol = evaluation.protocol
    kwargs = protocol.get("env_kwargs") or {}
    count, budget = kwargs.get("num_objects"), protocol.get("budget") or budget_of(kwargs)
    ends = dict.fromkeys(count if isinstance(count, list) else [count])  # from 2 to 2 is 2
    asked = [" to ".join(map(str, ends)), "object" if [*ends] == [1] else "objects"] if count else []
    unit = "actions" if "max_steps" in kwargs or kwargs.get("control_mode", "sweep") != "sweep" else "sweeps"
    parts = [" ".join(asked), f"at most {budget} {unit}" if budget else "", str(protocol.get("robot") or "")]
    return f"Protocol {protocol.get('hash', 'without a hash')}: {', '.join(part for part in parts if part) or 'as configured'}."


def episode_table(score: Score) -> str:
    """One row an episode, one column a value that was kept; of the times of its decisions the longest."""
    rows = [{key: value for key, value in episode.items() if key != "agent"} for episode in score.episodes]
    for row in rows:
        times = row.pop("plan_ms", None)
        if times:
            row["slowest plan [ms]"] = float(max(times))
    heads = list(dict.fromkeys(key for row in rows for key in row))
    cells = [[cell(row.get(key)) for key in heads] for row in rows]
    return page.table([head.replace("_", " ") for head in heads], cells, numeric=range(len(heads)))


def interval_bar(interval: Interval) -> str:
    """A rate as a bar with whiskers from 0 to 100 %."""
    rate, low, high = (f"{100 * value:.2f}%" for value in (interval.rate, interval.low, interval.high))
    whisker = f'<line x1="{low}" x2="{high}" y1="50%" y2="50%"/>' + "".join(
        f'<line x1="{end}" x2="{end}" y1="28%" y2="72%"/>' for end in (low, high)
    )
    label = f"{percent(interval.rate)}, interval {span(interval)}"
    return (
        f'<svg class="rate" role="img" aria-label="{label}">'
        '<rect width="100%" height="100%" rx="3" style="fill: var(--bar-base)"/>'
        f'<rect width="{rate}" height="100%" rx="3" style="fill: var(--bar)"/>'
        f'<g style="stroke: var(--whisker); stroke-width: 1.6">{whisker}</g></svg>'
    )


def percent(share: float) -> str:
    """A share in [0, 1] as percent with one digit; the sign stays on the number's line."""
    return f"{100 * share:.1f}\u00a0%"


def milliseconds(value: float) -> str:
    """A duration [ms] in whole milliseconds."""
    return f"{value:,.0f}" if value >= 1 else "&lt; 1"


def span(interval: Interval) -> str:
    """The ends of an interval in percent."""
    return f"{100 * interval.low:.1f}–{100 * interval.high:.1f}"


def cell(value: object) -> str:
    """A plain value as the HTML of a table cell."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return page.text(f"{value:.4g}" if isinstance(value, float) else value)
