"""The training on the page: one small figure a quantity, training beside validation; how far one has come that goes on."""

from __future__ import annotations

import numpy as np

from agents.report import page
from agents.report.figures import Line, line_figure
from agents.report.types import Curve

POINTS = 240
"""Points drawn of one curve; longer ones are averaged over equal stretches."""
LABELS = {"lr": "learning rate", "effective_rank": "effective rank [directions]"}
MEASURED = "measure"
"""Group of what was measured of the finished model."""
FIRST = ("loss", "lr", "rank")
"""What is shown before anything is clicked: quantities with one of these in their name, and all that validation measures."""


def curves_section(curves: dict[str, Curve]) -> str:
    """Loss terms, learning rate and rank; the other metrics on a click."""
    if not curves:
        return page.section("Training", page.missing("Training curves are missing: there is no metrics.jsonl in this run."))
    panels: dict[str, dict[str, Curve]] = {}
    for name, curve in curves.items():
        group, _, quantity = name.partition("/")
        if group == MEASURED:
            continue  # one point each, which the page has in its tables
        panels.setdefault(quantity or group, {})[group] = curve
    first = sorted((name for name in panels if is_first(name, panels[name])), key=order)
    rest = sorted(name for name in panels if name not in first)
    parts = [page.grid(panel(name, panels[name]) for name in first)]
    if rest:
        parts.append(page.details(f"Other logged metrics ({len(rest)})", page.grid(panel(name, panels[name]) for name in rest)))
    bad = sorted(name for name, curve in curves.items() if not np.isfinite(curve.values).all())
    if bad:
        parts.append(page.missing(f"Not finite at some steps, which leaves gaps: {', '.join(bad)}."))
    return page.section("Training", *parts)


def headline(title: str, curves: dict[str, Curve]) -> str:
    """In place of what was learned: that this is not known yet."""
    updates = max(int(curve.steps[-1]) for curve in curves.values())
    line = f"The run is not finished: it has no manifest.json after {updates:,} updates. It is in training, or was interrupted."
    return f'<p class="run">{page.text(title)}</p>\n<h1>A world model in training</h1>\n{page.missing(line)}'


def last_terms(curves: dict[str, Curve], group: str) -> tuple[dict[str, float], int]:
    """The last loss and its terms that a group (train, val) told, and after how many updates; none of a group that told none.

    Terms are what both groups tell; as long as nothing is validated, everything that training tells.
    """
    train, val = ({k.removeprefix(f"{g}/"): c for k, c in curves.items() if k.startswith(f"{g}/")} for g in ("train", "val"))
    own = train if group == "train" else val
    terms = {name: curve for name, curve in own.items() if name in train and (name in val or not val)}
    step = max((int(curve.steps[-1]) for curve in terms.values()), default=0)
    return {name: float(curve.values[-1]) for name, curve in terms.items()}, step


def panel(quantity: str, lines: dict[str, Curve]) -> str:
    """One figure: the quantity over training steps, a line for each group (train, val) that logged it."""
    label = LABELS.get(quantity, quantity.replace("_", " "))
    thinned = {group: thin(curve) for group, curve in lines.items()}
    stretch = max(len(curve.steps) // max(len(thinned[group].steps), 1) for group, curve in lines.items())
    drawn = [Line(group, curve.steps, curve.values, len(curve.steps) < 12) for group, curve in thinned.items()]
    groups = " and ".join(lines)
    note = f"; mean of {stretch} logged values a point" if stretch > 1 else ""
    return page.figure(line_figure(drawn, "training step", label, name=f"{label} over training"), f"{label} ({groups}{note})")


def thin(curve: Curve) -> Curve:
    """The curve averaged over equal stretches, at most `POINTS` points."""
    stretch = -(-len(curve.steps) // POINTS)
    if stretch <= 1:
        return curve
    cuts = np.arange(0, len(curve.steps), stretch)
    sizes = np.diff(np.append(cuts, len(curve.steps)))
    return Curve(np.add.reduceat(curve.steps, cuts) // sizes, np.add.reduceat(curve.values, cuts) / sizes)


def is_first(quantity: str, lines: dict[str, Curve]) -> bool:
    """Whether a quantity is shown without a click."""
    return "val" in lines or any(word in quantity.replace("/", "_").split("_") for word in FIRST)


def order(quantity: str) -> tuple[int, str]:
    """The loss, its terms, everything else, learning rate and rank last."""
    ranks = {"loss": 0, "lr": 3, "rank": 4}
    return ranks.get(quantity, 1 if "loss" in quantity else 2), quantity
