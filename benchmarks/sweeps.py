"""Actions a second on one core, observation included, beside the limit: the same physics and as many pictures, bare.

    python -m benchmarks.sweeps [--repeats 3] [--json benchmarks/results/sweeps.json]

Every action is played twice from the same states: by the environment, and bare. Bare are MuJoCo's own calls: the commands that
were recorded at each tick, `mj_step`, and after each action one picture as `mujoco.Renderer` draws it, of the same size and
without what the environment's pictures are without (shadows, reflections, sky). It is of everything in the scene: the
environment leaves out what is out of sight. The two take turns action by action, and both end in the same state, to the bit.
Each number is the median of the repeats.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

os.environ.setdefault("LP_NUM_THREADS", "0")  # the software renderer too keeps to one core

import numpy as np

from envs.robots.motion import STEPS_PER_TICK
from envs.sensors.rendering import FANCY, SUPERSAMPLE
from envs.tabletop import TabletopEnv, mujoco  # from there: envs chooses the GL backend before mujoco is imported

CONTESTS = (("arm", "sweep", 8, 12), ("gantry", "sweep", 8, 12), ("arm", "ee_delta", 40, 8), ("arm", "joint", 40, 8))
"""Robot, control mode, most actions an episode, episodes a repeat."""


class Bare(mujoco.Renderer):
    """Pictures by three calls."""

    def picture(self, data: mujoco.MjData) -> np.ndarray:
        """The overhead camera's, twice as large as the observation and upside down."""
        assert self._gl_context is not None
        self._gl_context.make_current()
        self.update_scene(data, "overhead")
        pixels = np.empty((self.height, self.width, 3), np.uint8)
        mujoco.mjr_render(self._rect, self.scene, self._mjr_context)
        mujoco.mjr_readPixels(pixels, None, self._rect, self._mjr_context)
        return pixels


def record(env: TabletopEnv, seed: int, most: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """An episode's aimed actions, and the commands (ticks, U) of each."""
    act, rng, actions, tapes = env.control.act, np.random.default_rng(seed), [], []

    def taped(action: np.ndarray) -> Generator[Any, None, Any]:
        skill, tape = act(action), []
        while True:
            try:
                stage = next(skill)
            except StopIteration as done:
                tapes.append(np.array(tape))
                return done.value
            tape.append(env.data.ctrl.copy())
            yield stage

    env.control.act = taped
    env.reset(seed=seed)
    over = False
    while not over and len(actions) < most:
        actions.append(env.aimed_action(rng))
        over = any(env.step(actions[-1])[2:4])
    env.control.act = act
    return actions, tapes


def measure(robot: str, control: str, most: int, episodes: int) -> dict[str, float]:
    """Seconds of the environment and of the bare calls for the same actions, in one repeat."""
    env = TabletopEnv(robot=robot, control_mode=control)
    side = SUPERSAMPLE * env.image_size
    renderer, bare = Bare(env.model, side, side), mujoco.MjData(env.model)
    renderer.scene.flags[[int(flag) for flag in FANCY]] = 0
    played = stepping = drawing = 0.0
    num_actions = num_ticks = 0
    for seed in range(-1, episodes):  # the first one warms caches and GL contexts
        actions, tapes = record(env, abs(seed), most)
        env.reset(seed=abs(seed))
        mujoco.mj_copyData(bare, env.model, env.data)
        env_seconds, steps_seconds, draw_seconds = 0.0, 0.0, 0.0
        for action, tape in zip(actions, tapes, strict=True):
            began = time.perf_counter()
            env.step(action)
            env_seconds += time.perf_counter() - began
            began = time.perf_counter()
            for command in tape:
                bare.ctrl = command
                mujoco.mj_step(env.model, bare, STEPS_PER_TICK)
            steps_seconds += time.perf_counter() - began
            began = time.perf_counter()
            renderer.picture(bare)
            draw_seconds += time.perf_counter() - began
        if not np.array_equal(bare.qpos, env.data.qpos):
            raise RuntimeError("the bare physics went another way than the environment's")
        if seed >= 0:
            played, stepping, drawing = played + env_seconds, stepping + steps_seconds, drawing + draw_seconds
            num_actions, num_ticks = num_actions + len(actions), num_ticks + sum(map(len, tapes))
    renderer.close()
    env.close()
    return {
        "actions_per_s": num_actions / played,
        "bare_actions_per_s": num_actions / (stepping + drawing),
        "share_of_bare": (stepping + drawing) / played,
        "action_ms": 1e3 * played / num_actions,
        "bare_steps_ms": 1e3 * stepping / num_actions,
        "bare_picture_ms": 1e3 * drawing / num_actions,
        "steps_per_action": STEPS_PER_TICK * num_ticks / num_actions,
        "num_actions": num_actions,
    }


def main() -> None:
    """Measure every contest, print, and keep the numbers with the hardware's name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    runs = [{(robot, mode): measure(robot, mode, *size) for robot, mode, *size in CONTESTS} for _ in range(arguments.repeats)]
    results: dict[str, dict[str, Any]] = {}
    for robot, mode, *_ in CONTESTS:
        ours = [run[robot, mode] for run in runs]
        medians = {key: statistics.median(run[key] for run in ours) for key in ours[0]}
        shares = [run["share_of_bare"] for run in ours]
        results.setdefault(robot, {})[mode] = {**medians, "shares_of_bare": sorted(shares)}
    about = {"processor": _processor(), "mujoco": mujoco.__version__, "load": os.getloadavg()[0], "repeats": arguments.repeats}
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
