"""How often scripted experts and random actions solve each task, in each control mode, and how fast that runs.

    python -m benchmarks.experts [--task pick push] [--control ee_delta] [--policy expert random] [--robot arm]
        [--episodes 200] [--first-seed 0] [--json benchmarks/results/experts.json]
    python -m benchmarks.experts --rate 3 --json benchmarks/results/experts.json

Every task and control mode is measured unless told otherwise. Each of task, control mode and robot is a row of the JSON file,
with what each policy comes to. Episodes are written down in pieces: called again, a run goes on where the file ends, and other
seeds replace those that are there. `--rate` measures the expert's actions a second instead, for so many seconds a row: policy,
physics and an observation of 64 px, in one process, whose processor time is what counts: what one core does in a second.
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
PIECE = 20
"""Episodes after which they are written down."""


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
            began = time.process_time()
            action = env.expert_action(rng) if policy == "expert" else env.action_space.sample()
            _, _, terminated, truncated, info = env.step(action)
            seconds += time.process_time() - began
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
        "failed_seeds": [row["first_seed"] + i for i, won in enumerate(row["won"]) if not won][:20],
    }


def joined(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The episodes of both, where the new ones follow on the old ones; the new ones otherwise."""
    about = ("num_objects", "budget", "hardware")
    if new["first_seed"] != old["first_seed"] + len(old["won"]) or any(old[name] != new[name] for name in about):
        return new
    added = {name: old[name] + new[name] for name in ("won", "steps", "peak_force_n", "dropped", "violations")}
    return new | added | {"first_seed": old["first_seed"], "seconds": old["seconds"] + new["seconds"]}


def read(path: Path | None, key: dict[str, str]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The row of the file with this key, empty but for the key if there is none, and the other rows."""
    rows = json.loads(path.read_text(encoding="utf-8")) if path is not None and path.exists() else []
    row = next((old for old in rows if all(old[name] == key[name] for name in KEY)), dict(key))
    return row, [old for old in rows if old is not row]


def write(path: Path, row: dict[str, Any]) -> None:
    """Put a row in the place of that with its key, a row a line; whoever reads meanwhile finds the old file or the new one."""
    _, others = read(path, row)
    rows = sorted([*others, row], key=lambda kept: [kept[name] for name in KEY])
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text("[\n" + ",\n".join(json.dumps(kept) for kept in rows) + "\n]\n", encoding="utf-8")
    new.replace(path)


def keep(path: Path, key: dict[str, str], policy: str, played: dict[str, Any]) -> dict[str, Any]:
    """Put what a policy came to into the file; returns it with what was there of it before."""
    row, _ = read(path, key)
    played = joined(row[policy], played) if policy in row else played
    row[policy] = summary(played) | played | summary(played)
    write(path, row)
    return played


def measure(env: TabletopEnv, key: dict[str, str], policy: str, seeds: range, path: Path | None) -> dict[str, Any]:
    """What a policy comes to in the episodes of these seeds: those that the file has not, in pieces that are added to it."""
    about: dict[str, Any] = {"num_objects": list(env.object_range), "budget": env.max_steps}
    about["hardware"] = {"processor": processor(), "mujoco": mujoco.__version__}
    played: dict[str, Any] = read(path, key)[0].get(policy, {})
    had = len(played["won"]) if played.get("first_seed") == seeds.start and all(played[k] == about[k] for k in about) else 0
    for first in range(seeds.start + had, seeds.stop, PIECE):
        piece = {"first_seed": first, **about}
        piece |= play(env, policy, range(first, min(first + PIECE, seeds.stop)))
        played = keep(path, key, policy, piece) if path is not None else joined(played, piece) if played else piece
    return played


def rate(env: TabletopEnv, least: float) -> dict[str, Any]:
    """Actions of the expert in a second of processor time, in as many whole episodes as take `least` seconds of it."""
    steps, seconds, seed = 0, 0.0, 0
    while seconds < least:
        played = play(env, "expert", range(seed, seed + 1))
        steps, seconds, seed = steps + played["steps"][0], seconds + played["seconds"], seed + 1
    return {"actions_per_s": round(steps / seconds, 1), "actions": steps, "episodes": seed, "processor": processor()}


def processor() -> str:
    """The processor's name."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown"


def main() -> None:
    """Measure rows, or what is missing of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=sorted(TASKS), nargs="+", default=list(TASKS))
    parser.add_argument("--control", choices=sorted(CONTROLS), nargs="+", default=list(CONTROLS))
    parser.add_argument("--policy", choices=("expert", "random"), nargs="+", default=["expert"])
    parser.add_argument("--robot", default="arm")
    parser.add_argument("--episodes", type=int, default=200)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--rate", type=float, help="seconds a row")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    seeds = range(chosen.first_seed, chosen.first_seed + chosen.episodes)
    for task in chosen.task:
        for control in [mode for mode in TASKS[task]().budgets if mode in chosen.control]:
            seen = ["state"] if chosen.rate is None else None  # what is seen changes nothing but the time that it takes
            env = TabletopEnv(chosen.robot, task=task, control_mode=control, observations=seen)
            key = {"task": task, "control": control, "robot": chosen.robot}
            if chosen.rate is not None:
                found = {"rate": rate(env, chosen.rate)}
                if chosen.json is not None:
                    write(chosen.json, read(chosen.json, key)[0] | found)
                print(json.dumps(key | found), flush=True)
            for policy in chosen.policy if chosen.rate is None else ():
                played = measure(env, key, policy, seeds, chosen.json)
                print(json.dumps(key | {"policy": policy} | summary(played)), flush=True)
            env.close()


if __name__ == "__main__":
    main()
