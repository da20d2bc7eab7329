"""How often the scripted expert and random actions solve the small classics, and how fast that runs.

    python -m benchmarks.classics [--only pusht] [--episodes 200] [--json benchmarks/results/classics.json]

`ahead` rows have LeWM's protocol: a goal 25 steps ahead of the start, 50 steps to reach it. Starts that are solved already are
redrawn by the worlds themselves. Steps a second include policy, physics and an observation of 64 px, in one process.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("LP_NUM_THREADS", "1")  # the software renderer too keeps to one core

import numpy as np

import envs
from agents.evaluation.protocol import wilson

AHEAD: dict[str, Any] = {"goal_steps": 25, "max_steps": 50}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "tworooms": (envs.TWO_ROOMS, {}),
    "tworooms random": (envs.TWO_ROOMS, {"layout": "random"}),
    "tworooms ahead": (envs.TWO_ROOMS, AHEAD),
    "reacher qpos_match": (envs.REACHER, {}),
    "reacher easy": (envs.REACHER, {"task": "easy"}),
    "reacher hard": (envs.REACHER, {"task": "hard"}),
    "reacher ahead": (envs.REACHER, AHEAD),
    "pusht pose": (envs.PUSH_T, {}),
    "pusht coverage": (envs.PUSH_T, {"control": "absolute", "success": "coverage"}),
    "pusht ahead": (envs.PUSH_T, AHEAD),
}
POLICIES = ("random", "expert")


def play(name: str, policy: str, num_episodes: int) -> dict[str, Any]:
    """What a policy comes to from the starts of seeds 0, 1, 2, ..."""
    env_id, kwargs = VARIANTS[name]
    env = envs.make(env_id, **kwargs)
    world: Any = env.unwrapped
    won, steps, total, seconds = 0, [], 0, 0.0
    for seed in range(num_episodes):
        rng = np.random.default_rng(seed)
        _, info = env.reset(seed=seed)
        over, count, began = False, 0, time.perf_counter()
        while not over:
            action = world.expert_action(rng) if policy == "expert" else rng.uniform(-1, 1, 2)
            *_, terminated, truncated, info = env.step(action)
            over, count = terminated or truncated, count + 1
        seconds, total = seconds + time.perf_counter() - began, total + count
        won += info["success"]
        steps += [count] if info["success"] else []
    env.close()
    rate = wilson(won, num_episodes)
    shown = {"rate": rate.rate, "low": round(rate.low, 4), "high": round(rate.high, 4)}
    median = float(np.median(steps)) if steps else None
    return {"n": num_episodes, "won": won, **shown, "median_steps": median, "steps_per_s": round(total / seconds)}


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="variants whose name begins so")
    parser.add_argument("--episodes", type=int, default=200)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = json.loads(options.json.read_text())["rows"] if options.json is not None and options.json.exists() else {}
    for name in (name for name in VARIANTS if name.startswith(options.only)):
        rows[name] = {policy: play(name, policy, options.episodes) for policy in POLICIES}
        print(name, json.dumps(rows[name]), flush=True)
        if options.json is not None:
            machine = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}
            options.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
