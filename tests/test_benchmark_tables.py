"""Tables that benchmarks write: seeds are pooled, intervals are of all episodes, docs get them between their marks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agents.evaluation.protocol import wilson
from benchmarks.ablations import BEGIN, END, to_markdown, written_into
from benchmarks.evaluations import pooled
from benchmarks.violations import lines_of

ROOT = Path(__file__).parents[1]


def row(run: str, seed: int, successes: int, protocol: str = "a") -> dict[str, Any]:
    return {
        "run": f"{run}{seed}", "train_seed": seed, "robot": "arm", "agent": "worldmodel",
        "n": 10, "successes": successes, "protocol": protocol,
    }  # fmt: skip


def test_seeds_of_a_run_are_pooled_and_other_protocols_are_not() -> None:
    both, other, alone = pooled([row("arm", 0, 4), row("arm", 1, 8), row("arm", 0, 5, "b"), row("both", 0, 9)])
    interval = wilson(12, 20)
    assert (both["run"], both["train_seeds"], both["n"], both["success"]) == ("arm", 2, 20, 0.6)
    assert (both["low"], both["high"]) == (interval.low, interval.high)
    assert (other["n"], other["success"], alone["run"], alone["success"]) == (10, 0.5, "both", 0.9)


def test_the_best_row_is_bold_and_what_is_missing_is_said() -> None:
    metrics = dict.fromkeys(("probe_cm_0", "probe_cm_1", "probe_cm_2", "effective_rank", "loss", "updates"), 2.0)
    metrics |= {"objects_cleared": 0.9, "error_over_copy": None, "samples_per_cpu_s": 220.4}
    rows = [
        {"group": name, "num_runs": 2, "metrics": metrics, "success": {"rate": rate, "low": 0.1, "high": 0.9}}
        for name, rate in (("ours", 0.75), ("other", 0.5))
    ]
    text = to_markdown(
        {"sweeps": {"presets": {"rows": rows, "bounds": {"random": {"rate": 0.01}}, "missing": {"third": "why"}}}}
    )
    assert "| `ours` | 2 | **75.0**: 10 to 90 | 90.0 | 2.0 / 2.0 / 2.0 | - | 2.0 | 2.000 | 2 | 220 |" in text
    assert "| 50.0: 10 to 90 |" in text and "random 1 %. 1 run is missing." in text


def test_the_docs_have_the_marks_and_nothing_else_of_them_changes() -> None:
    page = (ROOT / "docs/model.md").read_text(encoding="utf-8")
    before, after = page.split(BEGIN)[0], page.split(END)[-1]
    assert written_into(page, "TABLE\n") == f"{before}{BEGIN}\nTABLE\n{END}{after}"
    with pytest.raises(ValueError, match="expected both"):
        written_into("no marks", "TABLE\n")


def test_the_docs_tell_what_was_measured_of_violations() -> None:
    measured = json.loads((ROOT / "benchmarks/results/violations.json").read_text(encoding="utf-8"))
    page = (ROOT / "docs/model.md").read_text(encoding="utf-8")
    assert "\n".join(lines_of(measured["kinds"])) in page
    assert f"seed {measured['seed']}, commit {measured['commit'][:7]}:" in page
