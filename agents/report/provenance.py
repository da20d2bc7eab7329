"""Where the numbers come from: configuration, seeds, data, code, protocol, versions, hardware."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from agents.evaluation.protocol import versions
from agents.evaluation.scores import this_machine
from agents.report import page
from agents.report.types import ReportData


def provenance(data: ReportData) -> str:
    """What it takes to get the same numbers again; the files themselves open on a click."""
    manifest = data.manifest or {}
    protocol, machine = (data.evaluation.protocol, data.evaluation.machine) if data.evaluation is not None else ({}, {})
    trained_on, experiment = entry(manifest, "data"), entry(manifest, "experiment")
    facts = {
        "seeds": dict(seeds(experiment)) or None,
        "data fingerprint": trained_on.get("fingerprint"),
        "data": {key: trained_on[f"num_{key}"] for key in ("episodes", "frames") if f"num_{key}" in trained_on} or None,
        "updates": manifest.get("step"),
        "code commit": manifest.get("commit"),
        "trained with": manifest.get("packages"),
        "manifest schema": manifest.get("schema_version"),
        "protocol hash": protocol.get("hash"),
        "evaluation seed": protocol.get("seed"),
        "evaluated with": protocol.get("versions"),
        "renderer": protocol.get("renderer"),
        "timed on": machine or None,
        "page written with": versions(),
        "page written on": this_machine()["cpu"],
    }
    body = "\n".join(f'<tr><td class="key">{page.text(key)}</td><td>{plain(value)}</td></tr>' for key, value in facts.items())
    files = {
        "config.yaml": data.config,
        "manifest.json": json.dumps(manifest, indent=2) if manifest else None,
        "evaluation protocol": json.dumps(protocol, indent=2) if protocol else None,
    }
    shown = [
        page.details(name, f"<pre>{page.text(content)}</pre>") if content else page.missing(f"The {name} is missing.")
        for name, content in files.items()
    ]
    return page.section("Provenance", f'<div class="facts"><table>{body}</table></div>', *shown)


def seeds(values: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Every entry of a configuration that is called seed, by the dotted name of the part it belongs to."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from seeds(value, f"{path}.{key}" if path else key)
        elif key == "seed":
            yield path or "run", value


def entry(values: dict[str, Any], key: str) -> dict[str, Any]:
    """The part of a JSON object under a key, empty when there is none."""
    part = values.get(key)
    return part if isinstance(part, dict) else {}


def plain(value: Any) -> str:
    """A JSON value on one line, as HTML."""
    if value is None or value == "":
        return "not recorded"
    if isinstance(value, dict):
        return page.text(", ".join(f"{key} {inner}" for key, inner in value.items()))
    return page.text(value)
