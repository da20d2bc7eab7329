"""The strips and planner views as pictures: used by the page, and to save figures for a README.

H height, W width, N candidates, A action dim
"""

from __future__ import annotations

import matplotlib
import numpy as np

from agents.report.draw import WHITE, can_draw, contact_sheet, draw_arrow, draw_arrows, enlarge
from agents.report.types import PlannerView, Strip
from worldmodel.types import ActionSpec

SHOWN = 40
"""Candidates drawn of one decision: more of them only hide the picture."""
LOW_PERCENTILE, HIGH_PERCENTILE = 0.0, 95.0
"""Costs between which the colours run; a few very bad candidates would flatten the rest."""


def strip_rows(strip: Strip, action: ActionSpec | None, width: int = 192) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Real and imagined pictures about `width` wide, each with the arrow of the action that follows it."""
    scale = max(1, width // strip.real.shape[2])

    def row(pictures: np.ndarray) -> list[np.ndarray]:
        frames = [enlarge(picture, scale) for picture in pictures]
        if action is not None and can_draw(action):
            for t, sweep in enumerate(strip.actions):
                frames[t] = draw_arrow(pictures[t], action, sweep, scale=scale)
        return frames

    return row(strip.real), row(strip.imagined)


def strip_heads(strip: Strip) -> list[str]:
    """What each column of a strip shows."""
    return ["start"] + [f"after {t} sweep{'s' if t > 1 else ''}" for t in range(1, len(strip.real))]


def strip_sheet(strip: Strip, action: ActionSpec | None, width: int = 192) -> np.ndarray:
    """The strip as one picture with labels."""
    return contact_sheet(strip_rows(strip, action, width), ("real", "imagined"), strip_heads(strip))


def planner_picture(view: PlannerView, action: ActionSpec, width: int = 384) -> np.ndarray:
    """The candidates over the picture, cheap ones brighter and on top, the chosen one in white: about (width, width, 3)."""
    scale = max(1, width // view.picture.shape[1])
    finite = np.flatnonzero(np.isfinite(view.costs))
    by_cost = finite[np.argsort(-view.costs[finite], kind="stable")]  # dearest first, so that the cheapest are on top
    keep = by_cost[np.unique(np.linspace(0, len(by_cost) - 1, min(SHOWN, len(by_cost))).round().astype(int))]
    low, high = cost_range(view)
    shares = np.clip((view.costs[keep] - low) / max(high - low, 1e-12), 0, 1)
    colours = [_rgb(share) for share in shares]
    picture = draw_arrows(view.picture, action, view.candidates[keep], colours, scale=scale, thickness=0.007, rim=0.25)
    return draw_arrows(picture, action, view.chosen[None], (WHITE,), thickness=0.013)


def cost_range(view: PlannerView) -> tuple[float, float]:
    """The costs at the two ends of the colours."""
    low, high = np.percentile(view.costs[np.isfinite(view.costs)], (LOW_PERCENTILE, HIGH_PERCENTILE))
    return float(low), float(high)


def colour_gradient() -> str:
    """The colours from cheap to dear, as a CSS gradient."""
    stops = (f"rgb{_rgb(share)}" for share in np.linspace(0, 1, 7))
    return f"linear-gradient(to right, {', '.join(stops)})"


def _rgb(share: float) -> tuple[int, int, int]:
    """Bright for cheap (0), dark for dear (1): a scale that stays ordered for colour-blind eyes and on paper."""
    red, green, blue, _ = (round(255 * channel) for channel in matplotlib.colormaps["plasma"](1 - share))
    return red, green, blue
