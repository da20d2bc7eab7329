"""Actions a second of many environments at once, in the same run as Gymnasium's AsyncVectorEnv and `mujoco.batch` with threads.

    python -m benchmarks.vector [--num-envs 8] [--num-steps 40] [--repeats 3] [--json benchmarks/results/vector.json]
    python -m benchmarks.vector --control ee_delta --num-steps 400 --json benchmarks/results/vector_ee_delta.json

Everybody plays the same aimed actions (sweeps, or those of another control mode) from the same seeds, observations of 64 px
included, in mode NEXT_STEP; a step in which a simulation is reset takes its time and counts as no action. The contestants take
turns, and each one's median counts. The threads of `mujoco.batch` compete in sweeps only. The limit is as many processes as
cores, each of which plays its share of the environments one after another, and that never wait for each other.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

import envs
from benchmarks.batch_threads import BatchThreads
from envs.tabletop import TabletopEnv, mujoco

FIRST_SEED = 0


def script(num_envs: int, num_steps: int, kwargs: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, float]:
    """Aimed actions (steps, N, A), whether each is one (steps, N), and the seconds that one single environment took."""
    env, seconds = TabletopEnv(**kwargs), 0.0
    actions = np.zeros((num_steps, num_envs, len(env.control.names)), np.float32)
    sweeps = np.ones((num_steps, num_envs), np.bool_)
    for i in range(num_envs):
        rng, over = np.random.default_rng(i), False
        env.reset(seed=FIRST_SEED + i)
        for step in range(num_steps):
            actions[step, i], sweeps[step, i] = env.aimed_action(rng), not over
            began = time.perf_counter()
            over = any(env.step(actions[step, i])[2:4]) if sweeps[step, i] else env.reset() is None
            seconds += time.perf_counter() - began
    env.close()
    return actions, sweeps, seconds


def play(world: Any, actions: np.ndarray) -> float:
    """Seconds for all steps."""
    world.reset(seed=FIRST_SEED)
    began = time.perf_counter()
    for action in actions:
        world.step(action)
    return time.perf_counter() - began


def independent(actions: np.ndarray, sweeps: np.ndarray, kwargs: dict[str, Any], cores: int) -> float:
    """Seconds for all steps in processes that never wait for each other once they have begun: those of the slowest one."""
    context = multiprocessing.get_context("spawn")
    ready, taken = context.Barrier(cores), context.Queue()
    shares = np.array_split(np.arange(actions.shape[1]), cores)
    processes = [
        context.Process(target=_alone, args=(share.tolist(), actions, sweeps, kwargs, ready, taken), daemon=True)
        for share in shares
    ]
    for process in processes:
        process.start()
    seconds = max(taken.get(timeout=600) for _ in processes)
    for process in processes:
        process.join()
    return seconds


def _alone(
    share: list[int], actions: np.ndarray, sweeps: np.ndarray, kwargs: dict[str, Any], ready: Barrier, taken: Queue[float]
) -> None:
    os.environ["LP_NUM_THREADS"] = "0"
    env, seconds = TabletopEnv(**kwargs), 0.0
    env.reset(seed=FIRST_SEED)
    env.step(actions[0, 0])
    ready.wait(120)
    for i in share:
        env.reset(seed=FIRST_SEED + i)
        began = time.perf_counter()
        for action, sweep in zip(actions[:, i], sweeps[:, i], strict=True):
            env.step(action) if sweep else env.reset()
        seconds += time.perf_counter() - began
    taken.put(seconds)
    env.close()


def plain_async(num_envs: int, kwargs: Any, lp_num_threads: str | None) -> gym.vector.VectorEnv:
    """Gymnasium's own, as it comes, or with the software renderer told to start no threads in its processes."""
    before = os.environ.pop("LP_NUM_THREADS", None)
    if lp_num_threads is not None:
        os.environ["LP_NUM_THREADS"] = lp_num_threads
    try:
        kwargs = {**kwargs, "vector_kwargs": {"context": "spawn"}}  # a fork of a process with a GL context may hang
        return gym.make_vec(envs.TABLE_CLEAR, num_envs, "async", **kwargs)
    finally:
        os.environ.pop("LP_NUM_THREADS", None)
        if before is not None:
            os.environ["LP_NUM_THREADS"] = before


def measure(num_envs: int, num_steps: int, repeats: int, robot: str, control: str) -> dict[str, Any]:
    """Median actions a second of each contestant."""
    kwargs: Any = {"robot": robot} | ({"control_mode": control} if control != "sweep" else {})
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    actions, sweeps, _ = script(num_envs, num_steps, kwargs)
    contestants: dict[str, Callable[[], Any]] = {
        "make_vec": lambda: gym.make_vec(envs.TABLE_CLEAR, num_envs, **kwargs),
        "AsyncVectorEnv": lambda: plain_async(num_envs, kwargs, None),
        "AsyncVectorEnv, LP_NUM_THREADS=0": lambda: plain_async(num_envs, kwargs, "0"),
        "mujoco.batch with threads": lambda: BatchThreads(num_envs, cores, kwargs),
    }
    if control != "sweep":
        del contestants["mujoco.batch with threads"]
    limit = "limit: independent processes"
    seconds: dict[str, list[float]] = {name: [] for name in ("one environment on one core", limit, *contestants)}
    for _ in range(repeats):
        seconds[limit].append(independent(actions, sweeps, kwargs, cores))
        seconds["one environment on one core"].append(_on_one_core(lambda: script(num_envs, num_steps, kwargs)[2]))
        for name, make in contestants.items():  # made anew each time, so that nobody's processes stand beside another's
            world = make()
            play(world, actions[:1])
            seconds[name].append(play(world, actions))
            world.close()
    unit = "sweeps" if control == "sweep" else "actions"
    rates = {name: int(sweeps.sum()) / statistics.median(values) for name, values in seconds.items()}
    return {
        "num_envs": num_envs,
        "num_steps": num_steps,
        f"num_{unit}": int(sweeps.sum()),
        "repeats": repeats,
        f"{unit}_per_s": rates,
        "make_vec_over_AsyncVectorEnv": rates["make_vec"] / rates["AsyncVectorEnv"],
        "make_vec_over_one_environment": rates["make_vec"] / rates["one environment on one core"],
        "make_vec_over_limit": rates["make_vec"] / rates[limit],
        "each_make_vec_over_AsyncVectorEnv": [
            theirs / ours for theirs, ours in zip(seconds["AsyncVectorEnv"], seconds["make_vec"], strict=True)
        ],
    }


def _on_one_core(what: Callable[[], float]) -> float:
    if not hasattr(os, "sched_setaffinity"):
        return what()
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        return what()
    finally:
        os.sched_setaffinity(0, cores)


def main() -> None:
    """Measure, print, and keep the numbers with the hardware's name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num-envs", type=int, default=8)
    parser.add_argument("--num-steps", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--robot", default="arm")
    parser.add_argument("--control", default="sweep", help="control mode: sweep, pick_place, ee_delta or joint")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results = measure(arguments.num_envs, arguments.num_steps, arguments.repeats, arguments.robot, arguments.control)
    from benchmarks.sweeps import _processor  # here, since it tells the software renderer of this process to keep to one core

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    about = {"processor": _processor(), "cores": cores, "load": os.getloadavg()[0], "mujoco": mujoco.__version__}
    text = json.dumps({"hardware": about, "robot": arguments.robot, "control": arguments.control, **results}, indent=2)
    print(text)
    if arguments.json is not None:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
