"""The training curves on the page: one small figure a quantity, training beside validation."""

from __future__ import annotations

import numpy as np

from agents.report import page
from agents.report.figures import Line, line_figure
from agents.report.types import Curve

POINTS = 240
"""Points drawn of one curve; longer ones are averaged over equal stretches."""
LABELS = {"lr": "learning rate", "effective_rank": "effective rank [directions]"}
FIRST = ("loss", "lr", "rank")
"""What is shown before anything is clicked: quantities with one of these in their name, and all that validation measures."""


def curves_section(curves: dict[str, Curve]) -> str:
    """Loss terms, learning rate and rank; the other metrics on a click."""
    if not curves:
        return page.section("Training", page.missing("Training curves are missing: there is no metrics.jsonl in this run."))
    panels: dict[str, dict[str, Curve]] = {}
    for name, curve in curves.items():
        group, _, quantity = name.partition("/")
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
