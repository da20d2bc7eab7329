"""Gather the tables of finished sweeps into one file, with what they were measured on and what is missing of them.

worldmodel sweep configs/sweeps/presets.yaml --data data/full --out runs/sweeps/presets      # and the others, for hours
python -m benchmarks.ablations runs/sweeps [--json benchmarks/results/ablations.json] [--docs docs/model.md]

With `--docs`, the tables are also written between the marks of that page. Sweeps of another dataset or with another evaluation
are gathered into a file of their own: such rows do not compare with these.
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


BEGIN, END = "<!-- ablations -->", "<!-- end -->"
"""Between them the tables stand."""
HEADINGS = (
    *("", "runs", "success %: 95 %", "objects %", "seen / +1 / +2 cm"),
    *("error / copy", "rank", "loss", "updates", "samples / CPU s"),
)
NUMBERS = {"error_over_copy": 2, "effective_rank": 1, "loss": 3, "updates": 0, "samples_per_cpu_s": 0}
"""Metric -> its digits after the point."""


def to_markdown(found: dict[str, Any]) -> str:
    """A table a sweep; rows are means over seeds, successes are of all their episodes together."""
    lines: list[str] = []
    for name, sweep in found["sweeps"].items():
        lines += [f"**{name}**", "", f"| {' | '.join(HEADINGS)} |", f"|{'---|' * len(HEADINGS)}"]
        best = max(row["success"]["rate"] for row in sweep["rows"])
        for row in sweep["rows"]:
            success, metrics = row["success"], row["metrics"]
            rate = f"{100 * success['rate']:.1f}"
            rate = f"**{rate}**" if success["rate"] == best else rate
            errors = " / ".join(_number(metrics[f"probe_cm_{ahead}"], 1) for ahead in range(3))
            cells = [
                f"`{row['group']}`",
                str(row["num_runs"]),
                f"{rate}: {100 * success['low']:.0f} to {100 * success['high']:.0f}",
                f"{100 * metrics['objects_cleared']:.1f}",
                errors,
                *(_number(metrics[name], digits) for name, digits in NUMBERS.items()),
            ]
            lines.append(f"| {' | '.join(cells)} |")
        bounds = ", ".join(f"{agent} {100 * bound['rate']:.0f} %" for agent, bound in sweep["bounds"].items())
        missing = f" {_runs(sweep['missing'])} missing." if sweep["missing"] else ""
        lines += ["", f"On the same starts: {bounds}.{missing}", ""]
    return "\n".join(lines)


def _runs(missing: list) -> str:
    return f"{len(missing)} runs are" if len(missing) > 1 else "1 run is"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def written_into(page: str, tables: str) -> str:
    """The page with the tables between its marks. ValueError when the marks are not there."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no {BEGIN} ... {END}; expected both, in this order")
    return f"{before}{BEGIN}\n{tables}{END}{after}"


def main() -> None:
    """Write the file, and say what is in it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/ablations.json"))
    parser.add_argument("--docs", type=Path, help="page that shows the tables")
    given = parser.parse_args()
    found = gathered(given.folder)
    given.json.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n")
    if given.docs is not None:
        given.docs.write_text(written_into(given.docs.read_text(encoding="utf-8"), to_markdown(found)), encoding="utf-8")
    for name, sweep in found["sweeps"].items():
        for row in sweep["rows"]:
            success = row["success"]
            print(
                f"{name}: {row['group']}  {row['num_runs']} runs  success {100 * success['rate']:.0f} % "
                f"({100 * success['low']:.0f} to {100 * success['high']:.0f}, n {row['num_episodes']})"
            )
        if sweep["missing"]:
            print(f"{name}: {_runs(sweep['missing'])} missing")


if __name__ == "__main__":
    main()
