"""Gather every evaluation of some runs into one file: who was tried in which world, on how many updates, with what success.

worldmodel evaluate --run runs/arm ... (docs/pretraining.md has the commands)
python -m benchmarks.evaluations runs/arm runs/gantry runs/both --json benchmarks/results/embodiments.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from agents.evaluation.protocol import wilson
from worldmodel.errors import CheckpointError
from worldmodel.train.checkpoint import read_manifest

BASELINES = ("random", "expert")


def rows_of(run: Path) -> list[dict[str, Any]]:
    """One row an evaluation and agent of a run folder. CheckpointError when it holds no evaluation."""
    manifest, rows, measured = read_manifest(run), [], run / "diagnostics.json"
    probe = json.loads(measured.read_text(encoding="utf-8")).get("probe", {}) if measured.exists() else {}
    for path in sorted(run.glob("evaluation*.json")):
        found = json.loads(path.read_text(encoding="utf-8"))
        protocol, scores = found["protocol"], found["agents"]
        for agent in (name for name in scores if name not in BASELINES):
            rows.append(
                {
                    "run": run.name,
                    "train_seed": manifest.experiment["train"]["seed"],
                    "updates": manifest.step,
                    "cpu_seconds": manifest.experiment["train"].get("max_cpu_seconds"),
                    "robot": protocol["robot"],
                    "agent": agent,
                    "n": scores[agent]["n"],
                    "successes": round(scores[agent]["success"]["rate"] * scores[agent]["n"]),
                    "objects_cleared": scores[agent]["objects_cleared"],
                    "dropped": scores[agent]["dropped"],
                    "head_cm": [probe.get(f"position_cm_{ahead}") for ahead in range(3)],
                    "returns": {name: score["returns"] for name, score in scores.items() if name in (agent, *BASELINES)},
                    **{name: scores[name]["success"]["rate"] for name in BASELINES if name in scores},
                    "protocol": protocol["hash"],
                    "commit": manifest.commit,
                    "machine": found["machine"],
                }
            )
    if not rows:
        raise CheckpointError(f"{run} has no evaluation; run: worldmodel evaluate --run {run}")
    return rows


def pooled(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Training seeds together: one row for what differs in nothing else, with Wilson's interval of all its episodes."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        name = row["run"].removesuffix(str(row["train_seed"]))
        groups.setdefault((name, row["robot"], row["agent"], row["protocol"]), []).append(row)
    found = []
    for (name, robot, agent, _), members in groups.items():
        successes, n = sum(row["successes"] for row in members), sum(row["n"] for row in members)
        interval = wilson(successes, n)
        shown = {"run": name, "robot": robot, "agent": agent, "train_seeds": len(members), "n": n}
        found.append(shown | {"success": interval.rate, "low": interval.low, "high": interval.high})
    return found


def main() -> None:
    """Write the file, and say what is in it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="run folders; those of several seeds are named NAME0, NAME1")
    parser.add_argument("--json", type=Path, required=True)
    given = parser.parse_args()
    rows = [row for run in given.runs for row in rows_of(run)]
    table = pooled(rows)
    given.json.write_text(json.dumps({"pooled": table, "evaluations": rows}, indent=1, allow_nan=False) + "\n")
    for row in table:
        interval = f"{100 * row['low']:.1f} to {100 * row['high']:.1f}"
        print(f"{row['run']:12} {row['robot']:8} {row['agent']:24} {100 * row['success']:5.1f} % ({interval}, n {row['n']})")


if __name__ == "__main__":
    main()
