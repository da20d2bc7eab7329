"""A worker of `envs.vector.env`: a process with some of the simulations and a renderer for each, one after another."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import pickle
import signal
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import RawArray
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
from gymnasium.vector import AutoresetMode

from envs.table.faults import fault_of
from envs.vector.cores import waiting_at
from envs.vector.infos import Columns, gather

log = logging.getLogger(__name__)

MakeEnv = Callable[[], gym.Env[Any, Any]]
Info = dict[str, Any]
Stepped = tuple[float, bool, bool, Info]
"""Reward, terminated, truncated, info; the observation lies in shared memory."""
Played = tuple[tuple[float, ...], tuple[bool, ...], tuple[bool, ...], Columns]
"""The same of several simulations."""


@dataclass(frozen=True)
class Share:
    """What a worker answers for."""

    make_env: MakeEnv
    first: int
    """Its first simulation; the others follow."""
    num: int
    mode: AutoresetMode
    memory: dict[str, Any]
    """Modality -> shared memory with the observations of all simulations."""
    num_envs: int

    def views(self, space: gym.spaces.Dict) -> dict[str, np.ndarray]:
        """The observations (num_envs, ...) as arrays over the shared memory."""
        return {key: array_over(self.memory[key], box, self.num_envs) for key, box in space.spaces.items()}


def shared_memory(space: gym.spaces.Dict, num: int) -> dict[str, Any]:
    """Modality -> memory for `num` observations, that processes share."""
    sizes = {key: num * int(np.prod(box.shape or ())) * np.dtype(box.dtype).itemsize for key, box in space.spaces.items()}
    return {key: RawArray("b", size) for key, size in sizes.items()}


def array_over(memory: Any, box: gym.Space[Any], num: int) -> np.ndarray:
    """Memory as an array (num, ...)."""
    return np.frombuffer(memory, dtype=box.dtype).reshape(num, *(box.shape or ()))


class Simulations:
    """Some environments that are stepped one after another, each with what is needed to survive a fault of its own."""

    def __init__(self, share: Share) -> None:
        self.make_env, self.mode = share.make_env, share.mode
        self.envs = [share.make_env() for _ in range(share.num)]
        self.over = [False] * share.num
        space = self.envs[0].observation_space
        assert isinstance(space, gym.spaces.Dict)
        mine = slice(share.first, share.first + share.num)
        self.views = {key: array[mine] for key, array in share.views(space).items()}

    def reset(self, seeds: Sequence[int | None], options: dict[str, Any] | None, mask: Sequence[bool]) -> list[Info | None]:
        """Reset the simulations in the mask; an exception is the caller's to see."""
        infos: list[Info | None] = []
        for i, (env, seed, wanted) in enumerate(zip(self.envs, seeds, mask, strict=True)):
            if wanted:
                observation, info = env.reset(seed=seed, options=options)
                self._show(i, observation)
                self.over[i] = False
            infos.append(info if wanted else None)
        return infos

    def step(self, actions: np.ndarray) -> list[Stepped]:
        """Step every simulation, or reset it, as the autoreset mode has it."""
        return [self._step(i, action) for i, action in enumerate(actions)]

    def play(self, actions: np.ndarray) -> Played:
        """`step`, in one piece."""
        return together(self.step(actions))

    def adopt(self, seeds: Sequence[int]) -> list[Info]:
        """Take over from a worker that is gone: fresh episodes, which only SAME_STEP shows at once."""
        infos = self.reset(seeds, None, [True] * len(self.envs))
        self.over = [self.mode != AutoresetMode.SAME_STEP] * len(self.envs)
        return [info for info in infos if info is not None]

    def call(self, name: str, arguments: Sequence[tuple[Any, ...]], keywords: dict[str, Any]) -> list[Any]:
        """The attribute `name` of each environment, called with its arguments where it can be."""
        found = [env.get_wrapper_attr(name) for env in self.envs]
        return [f(*args, **keywords) if callable(f) else f for f, args in zip(found, arguments, strict=True)]

    def set_attr(self, name: str, values: Sequence[Any]) -> None:
        """Set an attribute of each environment."""
        for env, value in zip(self.envs, values, strict=True):
            env.set_wrapper_attr(name, value)

    def close(self) -> None:
        """Free every renderer."""
        for env in self.envs:
            env.close()

    def _step(self, i: int, action: np.ndarray) -> Stepped:
        if self.over[i]:
            assert self.mode == AutoresetMode.NEXT_STEP  # what is over is not stepped in DISABLED, and reset in SAME_STEP
            info = self._restart(i)
            self.over[i] = False
            return 0.0, False, False, info
        observation, reward, terminated, truncated, info = self._try(i, action)
        self.over[i] = terminated or truncated
        if observation is not None:
            if self.over[i] and self.mode == AutoresetMode.SAME_STEP:
                info = {"final_info": info, "final_obs": observation}
            else:
                self._show(i, observation)
        elif self.mode == AutoresetMode.SAME_STEP:
            info = {"final_info": info, "final_obs": {key: view[i].copy() for key, view in self.views.items()}, **info}
        if self.over[i] and self.mode == AutoresetMode.SAME_STEP:
            info |= self._restart(i)
            self.over[i] = False
        return reward, terminated, truncated, info

    def _try(self, i: int, action: np.ndarray) -> tuple[Any, float, bool, bool, Info]:
        """A step; a simulation at fault has no observation, and its episode is cut short where it was last seen well."""
        env = self.envs[i]
        try:
            observation, reward, terminated, truncated, info = env.step(action)
            fault = fault_of(env)
        except Exception as error:  # of whatever kind: the other simulations go on
            log.warning("a simulation failed", exc_info=True)
            fault = f"{type(error).__name__}: {error}"
        else:
            if fault is None:
                return observation, float(reward), bool(terminated), bool(truncated), info
        return None, 0.0, False, True, {"failure": fault}

    def _restart(self, i: int) -> Info:
        """Begin the next episode from the environment's own random numbers; one that cannot is built anew."""
        try:
            observation, info = self.envs[i].reset()
            fault = fault_of(self.envs[i])
        except Exception as error:  # of whatever kind: a new environment may do better
            log.warning("a reset failed", exc_info=True)
            fault = f"{type(error).__name__}: {error}"
        else:
            if fault is None:
                self._show(i, observation)
                return info
        random = self.envs[i].unwrapped.np_random
        with contextlib.suppress(Exception):  # it is beyond repair, and so may be its renderer
            self.envs[i].close()
        self.envs[i] = self.make_env()
        self.envs[i].unwrapped.np_random = random
        observation, info = self.envs[i].reset()
        self._show(i, observation)
        return {**info, "failure": f"could not be reset ({fault}) and was built anew"}

    def _show(self, i: int, observation: dict[str, np.ndarray]) -> None:
        for key, view in self.views.items():
            view[i] = observation[key]


def together(stepped: Sequence[Stepped]) -> Played:
    """What several simulations' steps came to, in one piece."""
    rewards, terminated, truncated, infos = zip(*stepped, strict=True)
    return rewards, terminated, truncated, gather(infos)


def serve(pipe: Connection, share: Share, home: int | None) -> None:
    """A process: answers (number, method, arguments) with (number, well, result) until it is sent None.

    It waits at the core `home` (cores.py).
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is its parent's to answer
    os.environ.setdefault("LP_NUM_THREADS", "0")  # a worker a core: Mesa's software renderer needs no threads of its own
    mujoco.set_mju_user_warning(lambda text: log.info("MuJoCo: %s", text))  # told by `fault_of`, not by a file
    with contextlib.suppress(EOFError, ConnectionError):  # the parent is gone
        try:
            simulations = Simulations(share)
        except Exception as error:
            pipe.send((0, False, _portable(error)))
            return
        gc.collect()
        gc.freeze()  # what lives as long as the process is not looked through again: a twentieth of a small step's time
        pipe.send((0, True, None))
        try:
            while (asked := _next(pipe, home)) is not None:
                number, method, arguments = asked
                try:
                    answer = (number, True, getattr(simulations, method)(*arguments))
                except Exception as error:
                    answer = (number, False, _portable(error))
                pipe.send(answer)
        finally:
            simulations.close()


def _next(pipe: Connection, home: int | None) -> Any:
    with waiting_at(home):
        return pipe.recv()


def _portable(error: Exception) -> Exception:
    """The exception with its traceback as a note, or its text where it cannot be sent."""
    error.add_note(traceback.format_exc())
    try:
        return pickle.loads(pickle.dumps(error))
    except Exception:  # an exception may refuse both in its own way
        return RuntimeError(f"{type(error).__name__}: {error}")
