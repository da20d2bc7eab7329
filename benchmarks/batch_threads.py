"""The other way to run many: every simulation in one process, stepped tick by tick on the threads of `mujoco.batch`.

Measured beside the pool of processes by `benchmarks/vector.py`. The sweeps are the environment's own generators; each tick
all that are under way command, and one call advances them. Pictures and resets are made by as many threads, in single
environments. It is spared what the pool does for faults and infos, so it is a bound rather than a replacement.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import mujoco
import numpy as np
from mujoco.batch import Batch

from envs.controls.sweep import to_table
from envs.robots.motion import STEPS_PER_TICK, Stage
from envs.skills.sweep import SweepResult, SweepSkill
from envs.tabletop import TabletopEnv

FIELDS = ("qpos", "qvel", "ctrl", "sensordata", "M")


class BatchSkill(SweepSkill):
    """A sweep over a row of the batch: the inertia matrix is copied to where `mj_mulM` finds it."""

    scratch: mujoco.MjData

    def command(self, data: Any, ahead: np.ndarray, acceleration: np.ndarray) -> None:
        self.scratch.M[:] = data.M
        self._robot_qacc[:] = acceleration
        mujoco.mj_mulM(self.model, self.scratch, self._force, self._qacc)
        data.ctrl[:] = ahead + self._robot_force / self.robot.stiffness


class BatchThreads:
    """`reset` and `step` of a vector environment in mode NEXT_STEP, as far as a measurement needs them."""

    def __init__(self, num_envs: int, num_threads: int, kwargs: dict[str, Any]) -> None:
        # A GL context belongs to one thread: each thread makes and draws the environments that are its own.
        self.painters = [ThreadPoolExecutor(1) for _ in range(num_threads)]
        self.envs = [self._painter(i).submit(TabletopEnv, **kwargs).result() for i in range(num_envs)]
        self.skills = [BatchSkill(env.robot, env.model, env.skill.config) for env in self.envs]
        for env, skill in zip(self.envs, self.skills, strict=True):
            skill.scratch = mujoco.MjData(env.model)
        self.batch = Batch(self.envs[0].model, num_envs, num_threads, persistent=True)
        fields = {name: self.batch.bind(name) for name in FIELDS}
        self.rows: list[Any] = [
            SimpleNamespace(time=0.0, **{name: field[i] for name, field in fields.items()}) for i in range(num_envs)
        ]
        self.over = [False] * num_envs

    def reset(self, seed: int) -> None:
        """Begin everywhere."""
        for i, env in enumerate(self.envs):
            self._painter(i).submit(env.reset, seed=seed + i).result()
        self._load(range(len(self.envs)))

    def step(self, actions: np.ndarray) -> list[dict[str, np.ndarray]]:
        """One sweep each, or a reset: the observations."""
        fresh = [i for i, over in enumerate(self.over) if over]
        for wait in [self._painter(i).submit(self.envs[i].reset) for i in fresh]:
            wait.result()
        self._load(fresh)
        under_way: dict[int, Generator[Stage, None, SweepResult]] = {}
        for i in sorted(set(range(len(self.envs))) - set(fresh)):
            start, end = to_table(actions[i].astype(np.float64).reshape(2, 2))
            under_way[i] = self.skills[i].sweep(self.rows[i], start, end)
        drawn = []
        while under_way:
            for i in list(under_way):
                if next(under_way[i], None) is None:
                    del under_way[i]
                    drawn.append(self._painter(i).submit(self._finish, i))
            if under_way:
                self.batch.step(np.fromiter(under_way, np.int32), STEPS_PER_TICK)
        self.over = [False if i in fresh else not env.on_table() for i, env in enumerate(self.envs)]
        self.over = [over or env.steps >= env.max_sweeps for over, env in zip(self.over, self.envs, strict=True)]
        return [wait.result() for wait in drawn]

    def close(self) -> None:
        """Free the renderers and the threads."""
        for i, env in enumerate(self.envs):
            self._painter(i).submit(env.close).result()
        for painter in self.painters:
            painter.shutdown()

    def _painter(self, i: int) -> ThreadPoolExecutor:
        return self.painters[i % len(self.painters)]

    def _load(self, ids: Sequence[int]) -> None:
        """The states and models of single environments into the batch."""
        if not len(ids):
            return
        self.batch.set_models([env.model for env in self.envs])
        self.batch.reset(np.array(ids), stage=int(mujoco.mjtStage.mjSTAGE_NONE))
        for i in ids:
            data = self.envs[i].data
            self.rows[i].qpos[:], self.rows[i].qvel[:], self.rows[i].ctrl[:] = data.qpos, data.qvel, data.ctrl
        self.batch.forward(np.array(ids))

    def _finish(self, i: int) -> dict[str, np.ndarray]:
        env = self.envs[i]
        self.batch.get_data(i, env.data)
        env.steps += 1
        return env.observe()
