"""What a latent and a predictor are worth: collapse, error over the horizon, and what a probe finds."""

from __future__ import annotations

from worldmodel.diagnostics.collapse import CollapseReport, collapse
from worldmodel.diagnostics.horizon import HorizonReport, horizon_errors
from worldmodel.diagnostics.probe import probe

__all__ = ["CollapseReport", "HorizonReport", "collapse", "horizon_errors", "probe"]
