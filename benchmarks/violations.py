"""How well a trained model's surprise tells what cannot happen from what did, for each kind of violation.

    python -m benchmarks.violations checkpoints/table-clear [--pairs 300] [--seed 0] [--json benchmarks/results/violations.json]

Pairs of one transition of the run's own world, at starts that were never recorded: as it went, and with one object edited.
Surprise is that of one action ahead, on the scale in RUN/diagnostics.json. AUROC is the chance that a violated event surprises
more than a natural one; its interval is the percentile bootstrap over pairs. Nothing of it depends on the machine's speed.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("LP_NUM_THREADS", "1")  # the software renderer too keeps to one core

import gymnasium
import numpy as np

import envs  # noqa: F401, registers the worlds
from agents.evaluation.violations import KINDS, expectation
from agents.training.runs import load_run
from worldmodel.train.provenance import code_commit


def measure(run_dir: Path, num_pairs: int, seed: int) -> dict[str, Any]:
    """Kind of violation -> its ExpectationReport as plain values, in the world that the run was recorded in."""
    run = load_run(run_dir)
    config = run.experiment().env
    env = gymnasium.make(config.id, **config.kwargs)
    try:
        found = expectation(run, env, num_pairs, np.random.default_rng(seed))
    finally:
        env.close()
    return {kind: dataclasses.asdict(found[kind]) for kind in KINDS}


def lines_of(kinds: dict[str, Any]) -> list[str]:
    """The table, as Markdown."""
    lines = ["| event | n | AUROC: 95 % | within its pair % | z natural | z violated |", "|---|---|---|---|---|---|"]
    for kind, found in kinds.items():
        chance = f"{found['auroc']:.3f}: {found['low']:.3f} to {found['high']:.3f}"
        z = f"{found['natural_z']:.1f} | {found['violated_z']:.1f}"
        lines.append(f"| {kind.replace('_', ' ')} | {found['num_pairs']} | {chance} | {100 * found['paired']:.1f} | {z} |")
    return lines


def main() -> None:
    """Measure, print the table, and keep the numbers with the code's commit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--pairs", type=int, default=300, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/violations.json"))
    given = parser.parse_args()
    about = {"run": given.run.name, "pairs": given.pairs, "seed": given.seed, "commit": code_commit()}
    kinds = measure(given.run, given.pairs, given.seed)
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps({**about, "kinds": kinds}, indent=2) + "\n", encoding="utf-8")
    print("\n".join(lines_of(kinds)))


if __name__ == "__main__":
    main()
