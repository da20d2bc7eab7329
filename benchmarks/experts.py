"""How often scripted experts and random actions solve each task, in each control mode, and how fast that runs.

    python -m benchmarks.experts --task pick --control ee_delta [--policy expert] [--robot arm]
        [--episodes 200] [--first-seed 0] [--json benchmarks/results/experts.json]

Each of task, control mode and robot is a row of the JSON file, with what each policy comes to. Episodes whose seeds follow on
those that are there are added to them, so that a row can be measured in pieces; others replace them. Frames a second include
policy, physics and an observation of 64 px, in one process.
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
KEY = ("task", "control", "robot")


def wilson(successes: int, num: int) -> tuple[float, float]:
    """The Wilson 95 % interval of a success rate (Wilson 1927)."""
    rate, scale = successes / num, 1 + Z95**2 / num
    middle = (rate + Z95**2 / (2 * num)) / scale
    half = Z95 * float(np.sqrt(rate * (1 - rate) / num + Z95**2 / (4 * num**2))) / scale
    return round(max(0.0, middle - half), 4), round(min(1.0, middle + half), 4)


def play(env: TabletopEnv, policy: str, seeds: range) -> dict[str, Any]:
    """What a policy, `expert` or `random`, comes to in the episodes of some seeds: a value for each of them."""
    episodes: dict[str, Any] = {"won": [], "steps": [], "peak_force_n": [], "dropped": [], "violations": []}
    seconds = 0.0
    for seed in seeds:
        rng = np.random.default_rng(seed)
        env.action_space.seed(seed)
        _, info = env.reset(seed=seed)
        over, peak = bool(info["success"]), 0.0
        while not over:
            began = time.perf_counter()
            action = env.expert_action(rng) if policy == "expert" else env.action_space.sample()
            _, _, terminated, truncated, info = env.step(action)
            seconds += time.perf_counter() - began
            peak, over = max(peak, info["peak_force"]), terminated or truncated
        values = (int(info["success"]), env.steps, round(peak, 1), info["num_dropped"], info["workspace_violations"])
        for kept, value in zip(episodes.values(), values, strict=True):
            kept.append(value)
    return episodes | {"seconds": seconds}


def summary(row: dict[str, Any]) -> dict[str, Any]:
    """What the table shows of the episodes of one policy."""
    num, wins = len(row["won"]), sum(row["won"])
    return {
        "episodes": num,
        "success": wins / num,
        "wilson95": wilson(wins, num),
        "steps_p50": statistics.median(row["steps"]),
        "steps_max": max(row["steps"]),
        "peak_force_n_p50": statistics.median(row["peak_force_n"]),
        "dropped_objects": sum(row["dropped"]),
        "workspace_violations": sum(row["violations"]),
        "frames_per_s": round(sum(row["steps"]) / max(row["seconds"], 1e-9), 1),
        "failed_seeds": [row["first_seed"] + i for i, won in enumerate(row["won"]) if not won][:20],
    }


def joined(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The episodes of both, where the new ones follow on the old ones; the new ones otherwise."""
    about = ("num_objects", "budget", "hardware")
    if new["first_seed"] != old["first_seed"] + len(old["won"]) or any(old[name] != new[name] for name in about):
        return new
    added = {name: old[name] + new[name] for name in ("won", "steps", "peak_force_n", "dropped", "violations")}
    return new | added | {"first_seed": old["first_seed"], "seconds": old["seconds"] + new["seconds"]}


def keep(path: Path, key: dict[str, str], policy: str, played: dict[str, Any]) -> dict[str, Any]:
    """Put what a policy came to into the file, a row a line; returns it with what was there of it before."""
    rows = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    row: dict[str, Any] = next((old for old in rows if all(old[name] == key[name] for name in KEY)), dict(key))
    played = joined(row[policy], played) if policy in row else played
    row[policy] = summary(played) | played | summary(played)
    rows = [old for old in rows if any(old[name] != key[name] for name in KEY)]
    rows = sorted([*rows, row], key=lambda kept: [kept[name] for name in KEY])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("[\n" + ",\n".join(json.dumps(kept) for kept in rows) + "\n]\n", encoding="utf-8")
    return played


def processor() -> str:
    """The processor's name."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown"


def main() -> None:
    """Measure one row, or a piece of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=sorted(TASKS), required=True)
    parser.add_argument("--control", choices=sorted(CONTROLS), required=True)
    parser.add_argument("--policy", choices=("expert", "random"), default="expert")
    parser.add_argument("--robot", default="arm")
    parser.add_argument("--episodes", type=int, default=200)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    env = TabletopEnv(arguments.robot, task=arguments.task, control_mode=arguments.control)
    key = {name: getattr(arguments, name) for name in KEY}
    played: dict[str, Any] = {"first_seed": arguments.first_seed, "num_objects": list(env.object_range)}
    played |= {"budget": env.max_steps, "hardware": {"processor": processor(), "mujoco": mujoco.__version__}}
    played["load"] = round(os.getloadavg()[0], 1)  # of the machine: far above its cores, the rate says little
    played |= play(env, arguments.policy, range(arguments.first_seed, arguments.first_seed + arguments.episodes))
    env.close()
    if arguments.json is not None:
        played = keep(arguments.json, key, arguments.policy, played)
    print(json.dumps(key | {"policy": arguments.policy} | summary(played)), flush=True)


if __name__ == "__main__":
    main()
