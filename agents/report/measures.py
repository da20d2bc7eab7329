"""What was measured on the model itself, kept beside it as diagnostics.json.

{"horizon": {"predicted": [...], "copied": [...], "num_windows": n, "predicted_cm": [...], "copied_cm": [...], "seen_cm": ...},
 "probe": {"position_cm_0": x, "status_accuracy_0": x, "position_cm_1": ..., "num_frames": n},
 "measures": {NAME: number or text}, "alarms": [LINE, ...], "surprise": {"mean": [...], ...}}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agents.report.types import HorizonCurve, ProbeRow
from worldmodel.diagnostics.horizon import HorizonReport
from worldmodel.diagnostics.surprise import SurpriseScale
from worldmodel.train.files import dump_json, write_atomic

IN_CM = ("predicted_cm", "copied_cm", "seen_cm")
"""Errors over the horizon that a head and labels are needed for."""
POSITION, STATUS = "position_cm_", "status_accuracy_"
"""Names of what `worldmodel.diagnostics.probe` finds; the number of predicted actions follows."""


def save_diagnostics(
    run_dir: Path,
    *,
    horizon: HorizonReport,
    num_windows: int,
    probe: Mapping[str, float],
    num_frames: int,
    measures: Mapping[str, float | str] | None = None,
    surprise: SurpriseScale | None = None,
    alarms: Sequence[str] = (),
) -> Path:
    """Path of RUN/diagnostics.json, from `horizon_errors` on so many windows, `probe` on so many frames, and more by name."""
    curves: dict[str, Any] = {"predicted": horizon.predicted, "copied": horizon.copied}
    for name in IN_CM:
        if values_cm := getattr(horizon, name):
            curves[name] = tuple(value if value == value else None for value in values_cm)
    values: dict[str, Any] = {
        "horizon": {**curves, "num_windows": num_windows},
        # not a number (no object on the table so far ahead) has no place in JSON
        "probe": {**{name: value for name, value in probe.items() if value == value}, "num_frames": num_frames},
        "measures": {name: value for name, value in (measures or {}).items() if value == value},
        "alarms": list(alarms),
    }
    if surprise is not None:
        values["surprise"] = surprise.to_json()
    path = run_dir / "diagnostics.json"
    write_atomic(path, (dump_json(values) + "\n").encode())
    return path


def parse_diagnostics(
    values: Mapping[str, Any],
) -> tuple[HorizonCurve | None, tuple[ProbeRow, ...], dict[str, float | str]]:
    """The typed form of a diagnostics.json; each part is optional, a part that is there is whole."""
    horizon, probe = values.get("horizon"), values.get("probe")
    return _horizon(horizon) if horizon else None, _probe(probe) if probe else (), dict(values.get("measures") or {})


def _horizon(values: Mapping[str, Any]) -> HorizonCurve:
    predicted, copied = (tuple(float(value) for value in values[name]) for name in ("predicted", "copied"))
    if len(predicted) != len(copied):
        raise ValueError(f"horizon: {len(predicted)} predicted errors and {len(copied)} copied ones; expected equally many")
    nan = float("nan")
    in_cm = {name: tuple(nan if value is None else float(value) for value in values.get(name, ())) for name in IN_CM}
    for name, found in in_cm.items():
        if found and len(found) != len(predicted):
            raise ValueError(f"horizon: {len(found)} of {name} and {len(predicted)} predicted errors; expected equally many")
    return HorizonCurve(predicted, copied, int(values["num_windows"]), **in_cm)


def parse_alarms(values: Mapping[str, Any]) -> tuple[str, ...]:
    """The alarms in a diagnostics.json."""
    return tuple(str(line) for line in values.get("alarms") or ())


def parse_surprise(values: Mapping[str, Any]) -> SurpriseScale | None:
    """The scale of surprise in a diagnostics.json; None where there is none."""
    return SurpriseScale.from_json(values["surprise"]) if "surprise" in values else None


def _probe(values: Mapping[str, Any]) -> tuple[ProbeRow, ...]:
    ahead = sorted(int(name.removeprefix(POSITION)) for name in values if name.startswith(POSITION))
    return tuple(
        ProbeRow(
            k,
            float(values[f"{POSITION}{k}"]),
            float(values[f"{STATUS}{k}"]),
            int(values.get(f"num_frames_{k}", values["num_frames"])),  # the first frames of an episode are not imagined
        )
        for k in ahead
    )
