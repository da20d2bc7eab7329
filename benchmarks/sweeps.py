"""Sweeps a second on one core, observation included, beside the limit: the same physics steps and pictures, bare.

python benchmarks/sweeps.py [--num-sweeps 200] [--json benchmarks/results/sweeps.json]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path

os.environ.setdefault("LP_NUM_THREADS", "1")  # the software renderer too keeps to one core

import numpy as np

from envs.arm import ROBOTS
from envs.rendering import Camera
from envs.tabletop import TabletopEnv, mujoco  # from there: envs chooses the GL backend before mujoco is imported


def measure(robot: str, num_sweeps: int) -> dict[str, float]:
    """Rates of aimed sweeps over tables of three objects."""
    env = TabletopEnv(robot=robot)
    rng = np.random.default_rng(0)
    env.reset(seed=0)
    env.step(env.aimed_action(rng))  # warm caches and the GL context
    seconds, simulated, seed = 0.0, 0.0, 0
    env.reset(seed=seed)
    for _ in range(num_sweeps):
        action = env.aimed_action(rng)
        began = time.perf_counter()
        _, _, terminated, truncated, info = env.step(action)
        seconds += time.perf_counter() - began
        simulated += info["duration"]
        if terminated or truncated:
            seed += 1
            env.reset(seed=seed)

    # The limit: as many physics steps with the objects at rest and the robot waiting, and as many pictures.
    num_steps = round(simulated / env.model.opt.timestep)
    began = time.perf_counter()
    mujoco.mj_step(env.model, env.data, num_steps)
    stepping = time.perf_counter() - began
    overhead = Camera(env.model, "overhead", env.image_size)
    overhead.render(env.data)
    began = time.perf_counter()
    for _ in range(num_sweeps):
        overhead.render(env.data)
    drawing = time.perf_counter() - began
    overhead.close()
    env.close()
    return {
        "sweeps_per_s": num_sweeps / seconds,
        "steps_per_sweep": num_steps / num_sweeps,
        "bare_step_us": 1e6 * stepping / num_steps,
        "picture_ms": 1e3 * drawing / num_sweeps,
        "limit_sweeps_per_s": num_sweeps / (stepping + drawing),
        "share_of_limit": (stepping + drawing) / seconds,
    }


def main() -> None:
    """Measure every robot, print, and keep the numbers with the hardware's name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num-sweeps", type=int, default=200)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    results = {robot: measure(robot, arguments.num_sweeps) for robot in sorted(ROBOTS)}
    about = {"processor": _processor(), "mujoco": mujoco.__version__, "num_sweeps": arguments.num_sweeps}
    text = json.dumps({"hardware": about, "robots": results}, indent=2)
    print(text)
    if arguments.json is not None:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(text + "\n", encoding="utf-8")


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
