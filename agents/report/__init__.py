"""The report: one self-contained HTML page about a run, and the pictures and videos in it.

from agents.report import write_report
write_report(Path("runs/demo"))            # reads what the stages left there, writes runs/demo/report.html
"""

from __future__ import annotations

from agents.report.collect import collect
from agents.report.draw import caption_frame, contact_sheet, draw_arrow, draw_arrows
from agents.report.imagine import imagine_strips
from agents.report.measures import save_diagnostics
from agents.report.pictures import planner_view, save_planner_views, save_strips
from agents.report.render import planner_picture, strip_sheet
from agents.report.types import PlannerView, ReportData, Strip
from agents.report.video import VideoWriter, read_video
from agents.report.write import write_report

__all__ = [
    "PlannerView",
    "ReportData",
    "Strip",
    "VideoWriter",
    "caption_frame",
    "collect",
    "contact_sheet",
    "draw_arrow",
    "draw_arrows",
    "imagine_strips",
    "planner_picture",
    "planner_view",
    "read_video",
    "save_diagnostics",
    "save_planner_views",
    "save_strips",
    "strip_sheet",
    "write_report",
]
