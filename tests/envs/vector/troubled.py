"""Environments that fail when they are told to, importable by worker processes."""

from __future__ import annotations

import os
import time
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from envs.tabletop import TabletopEnv


class TroubledTable(TabletopEnv):
    """A table whose next step goes wrong as `expect` says."""

    trouble: str | None = None

    def expect(self, trouble: str | None) -> None:
        self.trouble = trouble

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        trouble, self.trouble = self.trouble, None
        if trouble == "explode":
            self.data.qpos[0] = np.nan
        elif trouble == "raise":
            raise RuntimeError("the cup broke")
        elif trouble == "die":
            os._exit(3)
        elif trouble == "hang":
            time.sleep(600)
        return super().step(action)


class Counter(gym.Env[dict[str, np.ndarray], np.ndarray]):
    """Counts its steps; `stuck` ones cannot be reset any more."""

    observation_space: gym.spaces.Dict = gym.spaces.Dict(count=gym.spaces.Box(0, 100, (1,), np.float32))
    action_space = gym.spaces.Box(-1, 1, (1,), np.float32)
    made: ClassVar[int] = 0

    def __init__(self, length: int = 2) -> None:
        Counter.made += 1
        self.length, self.count, self.stuck = length, 0, False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict, dict]:
        super().reset(seed=seed)
        if self.stuck:
            raise OSError("stuck")
        self.count = 0
        return self._observe(), {"draw": int(self.np_random.integers(1000))}

    def step(self, action: np.ndarray) -> tuple[dict, float, bool, bool, dict]:
        self.count += 1
        return self._observe(), 1.0, self.count >= self.length, False, {"at": self.count}

    def cores(self) -> set[int]:
        """Where its process may run."""
        return os.sched_getaffinity(0)

    def _observe(self) -> dict[str, np.ndarray]:
        return {"count": np.array([self.count], np.float32)}
