"""Line figures as inline SVG that follows the page: its font, its text colour, its light or dark palette.

Matplotlib's object interface only; nothing here touches pyplot.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

SIZE = (4.4, 2.7)
"""Width and height of a figure [inch]; at phone width it is shown about one to one."""

# Stand-ins that no real figure uses; they become CSS variables, so that one SVG serves light and dark pages.
TEXT, GRID = "#010203", "#010204"
SERIES = ("#010205", "#010206", "#010207", "#010208")
CSS_OF = {TEXT: "var(--text)", GRID: "var(--line)", **{colour: f"var(--series{i})" for i, colour in enumerate(SERIES)}}
DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))
"""Series differ by dash as well as by colour."""


@dataclass(frozen=True)
class Line:
    """One series of a figure."""

    label: str
    """Its name in the legend."""
    x: Sequence[float] | np.ndarray
    """Places on the horizontal axis."""
    y: Sequence[float] | np.ndarray
    """Values; those that are not finite leave a gap."""
    markers: bool = False
    """Show each point: for few points."""


def line_figure(
    lines: Sequence[Line], xlabel: str, ylabel: str, *, name: str, whole_x: bool = True, from_zero: bool = False
) -> str:
    """One `<svg>` with the lines, labelled axes and a legend; the value axis is logarithmic when it spans two decades.

    `name` is read out by screen readers and keeps the ids of two figures on a page apart.
    """
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.add_subplot()
    for index, line in enumerate(lines):
        y = np.where(np.isfinite(line.y), line.y, np.nan)
        marker = "o" if line.markers or len(line.x) == 1 else ""
        look: dict[str, Any] = {"color": SERIES[index % 4], "linestyle": DASHES[index % 4], "linewidth": 1.8, "markersize": 4.5}
        axes.plot(line.x, y, label=line.label, marker=marker, **look)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    if _spans_decades(lines):
        axes.set_yscale("log")
    elif from_zero:
        axes.set_ylim(bottom=0)
    if whole_x:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    _plain(axes, legend=len(lines) > 1)
    return _svg(figure, name)


def bar_figure(labels: Sequence[str], values: np.ndarray, errors: np.ndarray, xlabel: str, ylabel: str, *, name: str) -> str:
    """One `<svg>` of points with whiskers, for shares in percent: values (M,), errors (2, M) below and above."""
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.add_subplot()
    places = np.arange(len(labels))
    axes.bar(places, values, width=0.55, color=SERIES[0], alpha=0.35)
    axes.errorbar(places, values, yerr=errors, fmt="o", color=SERIES[0], markersize=5, capsize=4, linewidth=1.6)
    axes.set_xticks(places, labels)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.set_ylim(0, 103)
    _plain(axes, legend=False)
    return _svg(figure, name)


def _spans_decades(lines: Sequence[Line]) -> bool:
    values = np.concatenate([np.asarray(line.y, dtype=np.float64) for line in lines])
    values = values[np.isfinite(values)]
    return values.size > 1 and bool(values.min() > 0) and bool(values.max() / values.min() > 100)


def _plain(axes: Axes, *, legend: bool) -> None:
    """Two thin spines, a faint grid, no box around the legend."""
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(GRID)
    axes.tick_params(which="both", colors=TEXT, labelsize=9, length=3)
    axes.xaxis.label.set(color=TEXT, size=10)
    axes.yaxis.label.set(color=TEXT, size=10)
    axes.xaxis.get_offset_text().set_color(TEXT)
    axes.yaxis.get_offset_text().set_color(TEXT)
    if legend:
        axes.legend(frameon=False, labelcolor=TEXT, fontsize=9)


def _svg(figure: Figure, name: str) -> str:
    """The figure as an `<svg>` element, the same bytes for the same figure."""
    buffer = io.StringIO()
    # text stays text; the salt makes ids differ between figures and not between runs
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font-family: [^;\"]+;? ?", "", svg)  # the page's own
    svg = re.sub(r'<g id="[^"]*">', "<g>", svg)  # figure_1, axes_1: the same in every figure
    for colour, css in CSS_OF.items():
        svg = svg.replace(colour, css)
    label = re.sub(r"[^\w ,./%()-]", " ", name)
    svg = re.sub(r'\b(width|height)="[\d.]+pt" ?', "", svg, count=2)
    return svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
