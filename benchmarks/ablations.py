"""Gather the tables of finished sweeps into one file, with what they were measured on and what is missing of them.

worldmodel sweep configs/sweeps/presets.yaml --data data/full --out runs/sweeps/presets      # and the others, for hours
python benchmarks/ablations.py runs/sweeps [--json benchmarks/results/ablations.json]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

DROPPED = ("machine", "commit", "dataset", "protocol")
"""What all runs of a file share, told once."""


def gathered(folder: Path) -> dict[str, Any]:
    """The results.json of every sweep in a folder, by name. ValueError when there is none, or when they do not compare."""
    found = {path.parent.name: json.loads(path.read_text()) for path in sorted(folder.glob("*/results.json"))}
    runs = [run for sweep in found.values() for run in sweep["runs"]]
    if not runs:
        raise ValueError(f"no finished run of any sweep in {folder}; expected {folder}/SWEEP/results.json")
    shared = {name: sorted({json.dumps(run[name], sort_keys=True) for run in runs}) for name in DROPPED}
    for name in ("dataset", "protocol"):
        if len(shared[name]) > 1:
            raise ValueError(f"runs of {len(shared[name])} different {name}s in {folder}; they do not compare")
    sweeps = {
        name: {
            **{key: sweep[key] for key in ("rows", "bounds", "missing")},
            "runs": [{key: value for key, value in run.items() if key not in DROPPED} for run in sweep["runs"]],
        }
        for name, sweep in found.items()
        if sweep["runs"]
    }
    return {
        "hardware": [json.loads(text) for text in shared["machine"]],
        "commits": [json.loads(text) for text in shared["commit"]],
        "dataset": json.loads(shared["dataset"][0]),
        "protocol": json.loads(shared["protocol"][0]),
        "sweeps": sweeps,
    }


def main() -> None:
    """Write the file, and say what is in it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/ablations.json"))
    given = parser.parse_args()
    found = gathered(given.folder)
    given.json.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n")
    for name, sweep in found["sweeps"].items():
        for row in sweep["rows"]:
            success = row["success"]
            print(
                f"{name}: {row['group']}  {row['num_runs']} runs  success {100 * success['rate']:.0f} % "
                f"({100 * success['low']:.0f} to {100 * success['high']:.0f}, n {row['num_episodes']})"
            )
        if sweep["missing"]:
            print(f"{name}: {len(sweep['missing'])} runs are missing")


if __name__ == "__main__":
    main()
