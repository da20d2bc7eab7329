"""Reads what the stages left in a run folder into a `ReportData`; a missing file is a missing part, a damaged one an error.

RUN/metrics.jsonl         one JSON object a line: {"step": int, "time": float, NAME: number, ...}
RUN/manifest.json         any JSON object
RUN/config.yaml           text
RUN/evaluation.json       {"protocol": {..., "hash": H}, "agents": {NAME: {...}}} as `evaluate --json` writes it
RUN/diagnostics.json      {"horizon": {...}, "probe": {...}, "measures": {...}, "alarms": [...], "surprise": {...}}
RUN/figures/strips.npz    written by `save_strips`
RUN/figures/planner.npz   written by `save_planner_views`
RUN/videos/*.mp4
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from agents.evaluation.protocol import Interval
from agents.evaluation.scores import Returns
from agents.report.measures import parse_alarms, parse_diagnostics, parse_surprise
from agents.report.pictures import load_planner_views, load_strips
from agents.report.types import Curve, Evaluation, ReportData, Score
from worldmodel.errors import DataError

Value = TypeVar("Value")


def collect(run_dir: Path) -> ReportData:
    """Everything in the run folder that a report can show. Raises DataError for a damaged file, naming it."""
    run_dir = Path(run_dir)
    if not run_dir.is_dir():
        raise DataError(f"{run_dir} is no folder; expected a run folder, such as `worldmodel train --out` writes")
    strips, strips_action = load_strips(run_dir / "figures" / "strips.npz")
    views, views_action = load_planner_views(run_dir / "figures" / "planner.npz")
    diagnostics = run_dir / "diagnostics.json"
    found = _object(diagnostics) or {}
    horizon, probe, measures = _parse(diagnostics, parse_diagnostics, found)
    manifest, config = _object(run_dir / "manifest.json"), run_dir / "config.yaml"
    others = {path.stem.removeprefix("evaluation-"): read_evaluation(path) for path in run_dir.glob("evaluation-*.json")}
    return ReportData(
        title=run_dir.resolve().name,
        evaluation=read_evaluation(run_dir / "evaluation.json"),
        others={name: other for name, other in sorted(others.items()) if other is not None},
        curves=read_curves(run_dir / "metrics.jsonl"),
        strips=strips,
        action=strips_action or views_action,
        planner_views=views,
        horizon=horizon,
        probe=probe,
        diagnostics=measures,
        alarms=_parse(diagnostics, parse_alarms, found),
        surprise=_parse(diagnostics, parse_surprise, found),
        manifest=manifest,
        config=config.read_text(encoding="utf-8") if config.is_file() else None,
        videos=tuple(sorted((run_dir / "videos").glob("*.mp4"))),
    )


def read_curves(path: Path) -> dict[str, Curve]:
    """Every number logged in a metrics.jsonl, by name; empty when there is no such file.

    A step logged again after resuming replaces the earlier line. A last line without its line break was cut off by a
    kill and is left out.
    """
    if not path.is_file():
        return {}
    points: dict[str, dict[int, float]] = {}
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")  # what is no text is no JSON, and told by its line
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            step = int(row.pop("step"))
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            if number == len(lines):
                continue
            raise DataError(f'{path}, line {number}: expected a JSON object with a "step", got {line[:60]!r}') from error
        for name, value in row.items():
            if name == "time" or isinstance(value, bool | str | list | dict):
                continue
            # null stands for a value that was not finite
            points.setdefault(name, {})[step] = float("nan") if value is None else float(value)
    return {
        name: Curve(np.array(sorted(rows), dtype=np.int64), np.array([rows[step] for step in sorted(rows)]))
        for name, rows in points.items()
    }


def read_evaluation(path: Path) -> Evaluation | None:
    """The evaluation in a file, None when there is no such file."""
    values = _object(path)
    return None if values is None else _parse(path, parse_evaluation, values)


def parse_evaluation(values: Mapping[str, Any]) -> Evaluation:
    """The typed form of an evaluation.json; episodes, identities and machine are optional."""
    episodes = [dict(episode) for episode in values.get("episodes") or ()]
    identities = dict(values.get("identities") or {})
    scores = tuple(
        _score(name, score, tuple(episode for episode in episodes if episode["agent"] == name), identities.get(name, ""))
        for name, score in values["agents"].items()
    )
    absent = {str(name): str(reason) for name, reason in (values.get("absent") or {}).items()}
    return Evaluation(dict(values["protocol"]), scores, dict(values.get("machine") or {}), absent)


def _score(name: str, values: Mapping[str, Any], episodes: tuple[dict[str, Any], ...], identity: str) -> Score:
    times, returns = values.get("plan_ms"), values.get("returns")
    timed = times is not None and times.get("p50") is not None and times.get("p95") is not None
    return Score(
        name=name,
        n=int(values["n"]),
        success=_interval(values["success"]),
        objects_cleared=float(values["objects_cleared"]),
        dropped=float(values["dropped"]),
        plan_ms=(float(times["p50"]), float(times["p95"])) if times is not None and timed else None,
        episodes=episodes,
        identity=identity,
        returns=Returns(**{end: float(returns[end]) for end in ("mean", "low", "high")}) if returns else None,
    )


def _interval(values: Mapping[str, Any]) -> Interval:
    interval = Interval(float(values["rate"]), float(values["low"]), float(values["high"]))
    # the tolerance lets a Wilson end pass that differs from the rate by rounding
    if not -1e-9 <= interval.low <= interval.rate + 1e-9 <= interval.high + 2e-9 <= 1 + 1e-6:
        raise ValueError(f"expected 0 <= low <= rate <= high <= 1, got {interval}")
    return interval


def _object(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file, None when there is no such file."""
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise DataError(f"{path}: expected a JSON object, got {type(values).__name__}")
    return values


def _parse(path: Path, parse: Callable[[Any], Value], values: Any) -> Value:
    """What `parse` makes of the values; a missing or misshapen entry is an error that names the file."""
    try:
        return parse(values)
    except KeyError as error:
        raise DataError(f"{path}: entry {error} is missing") from error
    except (TypeError, AttributeError, ValueError) as error:
        raise DataError(f"{path}: {error}") from error
