"""The parts of the page below the scores: films, imagination, planning, prediction error."""

from __future__ import annotations

import numpy as np

from agents.report import page
from agents.report.draw import can_draw
from agents.report.figures import Line, line_figure
from agents.report.health import HEALTH
from agents.report.render import SHOWN, colour_gradient, cost_range, planner_picture, strip_heads, strip_rows
from agents.report.scores import cell
from agents.report.types import ReportData

SHOWN_DECISIONS = 4
"""Decisions shown before a click."""


def videos(data: ReportData, max_bytes: int) -> str:
    """The robot at work; films beyond `max_bytes` in all are named rather than carried."""
    shown, named, total = [], [], 0
    for path in data.videos:
        total += path.stat().st_size
        if total <= max_bytes:
            shown.append(page.figure(page.video(path), path.stem.replace("_", " ").replace("-", " ")))
        else:
            named.append(path.name)
    if not data.videos:
        shown = [
            page.missing("Videos are missing: there is no mp4 in videos/ of this run (worldmodel play --video writes one).")
        ]
    more = [page.missing(f"Left out because of their size, see videos/ of this run: {', '.join(named)}.")] if named else []
    return page.section("The robot at work", f'<div class="films">{"".join(shown)}</div>' if data.videos else shown[0], *more)


def imagination(data: ReportData) -> str:
    """Imagined beside real."""
    heading = "Imagined versus real"
    if not data.strips:
        return page.section(heading, page.missing("Imagined pictures are missing: there is no figures/strips.npz in this run."))
    lead = page.lead(
        "From the first picture alone, the model predicts the latents after each of the same sweeps. A small decoder, which "
        "took no part in the learning, turns them into pictures; at the start it shows the observed picture encoded and "
        "decoded. The arrow is the sweep that comes next."
    )
    parts = [lead]
    if data.action is None or not can_draw(data.action):
        parts.append(page.missing("Arrows are missing: the camera calibration of the actions was not recorded."))
    for strip in data.strips:
        heads = strip_heads(strip)
        cells = ['<span class="corner"></span>', *(f'<span class="head">{page.text(head)}</span>' for head in heads)]
        for label, pictures in zip(("real", "imagined"), strip_rows(strip, data.action), strict=True):
            cells.append(f'<span class="row">{label}</span>')
            cells += [page.image(picture, f"{label}, {head}") for picture, head in zip(pictures, heads, strict=True)]
        parts.append(f'<div class="strip" style="--columns: {len(heads)}">{"".join(cells)}</div>')
    return page.section(heading, *parts)


def planner(data: ReportData) -> str:
    """What one decision weighed."""
    heading = "What the planner weighed"
    if not data.planner_views:
        return page.section(heading, page.missing("Planner views are missing: there is no figures/planner.npz in this run."))
    if data.action is None or not can_draw(data.action):
        return page.section(
            heading, page.missing("Planner views are missing: the actions' camera calibration was not recorded.")
        )
    figures = []
    for index, view in enumerate(data.planner_views, start=1):
        low, high = cost_range(view)
        scale = f'<span class="scale" style="background: {colour_gradient()}"></span>'
        ends = f'<span class="ends"><span>cheapest {low:.3g}</span><span>{high:.3g} and dearer</span></span>'
        picture = page.image(planner_picture(view, data.action), f"candidates of decision {index} over the observed picture")
        count = int(np.isfinite(view.costs).sum())
        shown = f"{count} candidates" if count <= SHOWN else f"{SHOWN} of {count} candidates, evenly by rank"
        figures.append(page.figure(picture + scale + ends, f"Decision {index}: {shown}."))
    lead = page.lead(
        "Each arrow is the first sweep of a candidate, coloured by the cost of its imagined outcome. White: the sweep chosen."
    )
    more = figures[SHOWN_DECISIONS:]
    rest = [page.details(f"{len(more)} more decisions", page.grid(more))] if more else []
    return page.section(heading, lead, page.grid(figures[:SHOWN_DECISIONS]), *rest)


def prediction(data: ReportData) -> str:
    """How prediction fades with the horizon, in the latent's own units and in centimetres."""
    figures, notes = [], []
    if data.horizon is not None:
        curve = data.horizon
        ahead = range(1, len(curve.predicted) + 1)
        lines = [Line("model", ahead, curve.predicted, True), Line("copy of the present", ahead, curve.copied, True)]
        svg = line_figure(
            lines, "sweeps ahead", "mean squared latent error", name="prediction error by horizon", from_zero=True
        )
        counted = f"{curve.num_windows:,} windows of {len(curve.predicted)} actions, as many as the episodes allow"
        caption = f"Error of the predicted latent beside repeating the present one ({counted})."
        figures.append(page.figure(svg, caption))
        if curve.predicted_cm:
            found = (("model", curve.predicted_cm), ("copy of the present", curve.copied_cm), ("frame itself", curve.seen_cm))
            lines = [Line(label, ahead, values, True) for label, values in found]
            svg = line_figure(lines, "sweeps ahead", "position error [cm]", name="drift in centimetres", from_zero=True)
            figures.append(page.figure(svg, f"Objects' places read off those latents by the head ({counted})."))
    else:
        notes.append(page.missing("Prediction error by horizon is missing: there is none in diagnostics.json of this run."))
    if data.probe:
        sweeps, errors = [row.sweeps for row in data.probe], [row.position_cm for row in data.probe]
        line = Line("mean", sweeps, errors, True)
        svg = line_figure([line], "predicted sweeps", "mean position error [cm]", name="probe error", from_zero=True)
        caption = f"Object places read off the latent by the head ({data.probe[0].num_frames:,} frames)."
        figures.append(page.figure(svg, caption))
        rows = [
            (str(row.sweeps), f"{row.position_cm:.2f}", f"{100 * row.status_accuracy:.1f}", f"{row.num_frames:,}")
            for row in data.probe
        ]
        columns = ("predicted sweeps", "position error [cm]", "status right [%]", "frames")
        notes.append(page.table(columns, rows, numeric=range(4)))
    else:
        notes.append(page.missing("Probe error is missing: there is none in diagnostics.json of this run."))
    measures = [
        (page.text(name.replace("_", " ")), cell(value)) for name, value in data.diagnostics.items() if name not in HEALTH
    ]
    others = [page.table(("other measures", ""), measures, numeric=(1,))] if measures else []
    return page.section("Prediction error", *([page.grid(figures)] if figures else []), *notes, *others)
