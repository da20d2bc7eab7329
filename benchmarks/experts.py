"""How often scripted experts and random actions solve each task, in each control mode, and how fast that runs.

    python -m benchmarks.experts --task pick --control ee_delta [--robot arm] [--episodes 200] [--random 50] [--first-seed 0]
        [--json benchmarks/results/experts.json]

Each pair of task, control mode and robot is a row of the JSON file, replaced when it is measured again. Seeds of episodes count
up from `--first-seed`; frames a second include the expert, physics and an observation of 64 px, on one core.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("LP_NUM_THREADS", "1")  # the software renderer too keeps to one core

import numpy as np

from envs.controls import CONTROLS
from envs.tabletop import TabletopEnv, mujoco  # from there: envs chooses the GL backend before mujoco is imported
from envs.tasks import TASKS

Z95 = 1.959964
"""Two-sided 95 % quantile of the normal distribution."""


def wilson(successes: int, num: int) -> tuple[float, float]:
    """The Wilson 95 % interval of a success rate (Wilson 1927)."""
    rate, scale = successes / num, 1 + Z95**2 / num
    middle = (rate + Z95**2 / (2 * num)) / scale
    half = Z95 * np.sqrt(rate * (1 - rate) / num + Z95**2 / (4 * num**2)) / scale
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def play(env: TabletopEnv, policy: str, num_episodes: int, first_seed: int, verbose: bool = False) -> dict[str, Any]:
    """Success, steps and rates of one policy, `expert` or `random`, over episodes of consecutive seeds."""
    rng = np.random.default_rng(first_seed)
    env.action_space.seed(first_seed)
    steps, forces, failed, dropped, violations, seconds = [], [], [], 0, 0, 0.0
    for seed in range(first_seed, first_seed + num_episodes):
        _, info = env.reset(seed=seed)
        over, peak = bool(info["success"]), 0.0
        while not over:
            began = time.perf_counter()
            action = env.expert_action(rng) if policy == "expert" else env.action_space.sample()
            _, _, terminated, truncated, info = env.step(action)
            seconds += time.perf_counter() - began
            peak, over = max(peak, info["peak_force"]), terminated or truncated
        steps.append(env.steps)
        forces.append(peak)
        dropped += info["num_dropped"]
        violations += info["workspace_violations"]
        if not info["success"]:
            failed.append(seed)
            if verbose:
                print(f"seed {seed}: {env.steps} steps, {info['num_dropped']} dropped, {info['objects']}", flush=True)
    wins = num_episodes - len(failed)
    return {
        "episodes": num_episodes,
        "success": wins / num_episodes,
        "wilson95": wilson(wins, num_episodes),
        "steps_p50": statistics.median(steps),
        "steps_max": max(steps),
        "peak_force_p50_n": round(statistics.median(forces), 1),
        "dropped_objects": dropped,
        "workspace_violations": violations,
        "frames_per_s": round(sum(steps) / max(seconds, 1e-9), 1),
        "failed_seeds": failed[:20],
    }


def processor() -> str:
    """The processor's name."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown"


def main() -> None:
    """Measure one pair and keep the row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=sorted(TASKS), required=True)
    parser.add_argument("--control", choices=sorted(CONTROLS), required=True)
    parser.add_argument("--robot", default="arm")
    parser.add_argument("--episodes", type=int, default=200)
    parser.add_argument("--random", type=int, default=50)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--verbose", action="store_true", help="name the seeds in which the expert fails")
    arguments = parser.parse_args()
    env = TabletopEnv(arguments.robot, task=arguments.task, control_mode=arguments.control)
    row: dict[str, Any] = {"task": arguments.task, "control": arguments.control, "robot": arguments.robot}
    row |= {"first_seed": arguments.first_seed, "num_objects": list(env.object_range), "budget": env.max_steps}
    row["expert"] = play(env, "expert", arguments.episodes, arguments.first_seed, arguments.verbose)
    if arguments.random:
        row["random"] = play(env, "random", arguments.random, arguments.first_seed)
    row["hardware"] = {"processor": processor(), "load": round(os.getloadavg()[0], 1), "mujoco": mujoco.__version__}
    env.close()
    print(json.dumps(row, indent=2))
    if arguments.json is not None:
        keep(arguments.json, row)


def keep(path: Path, row: dict[str, Any]) -> None:
    """Put a row into the file, in place of an older one of the same task, control mode and robot."""
    key = ("task", "control", "robot")
    rows = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    rows = [old for old in rows if any(old[name] != row[name] for name in key)]
    rows = sorted([*rows, row], key=lambda old: [old[name] for name in key])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
