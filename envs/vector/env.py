"""Many environments at once as a Gymnasium vector environment: what `gymnasium.make_vec` makes of this package's ids.

Each worker process owns some of the simulations and their renderers; one message a step goes to each worker and one comes
back, and observations lie in shared memory. An environment in a worker is the single environment itself, so the same seeds give
the same bits. Stepping all of them tick by tick through `mujoco.batch` instead, with as many threads, takes longer: one thread
computes everybody's commands, and each of a sweep's 120 ticks waits for the slowest simulation (`benchmarks/vector.py`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.error import ClosedEnvironmentError, InvalidAction, ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from gymnasium.wrappers import TimeLimit

from envs.vector.infos import Columns, gather, spread
from envs.vector.pool import Pool, WorkerLost
from envs.vector.worker import Share, array_over, shared_memory, together

Observations = dict[str, np.ndarray]
Info = dict[str, Any]


@dataclass(frozen=True)
class EnvMaker:
    """Makes one of the environments, in whichever process."""

    env_class: Callable[..., gym.Env[Any, Any]]
    kwargs: dict[str, Any]
    max_episode_steps: int | None

    def __call__(self) -> gym.Env[Any, Any]:
        """A new environment."""
        env = self.env_class(**self.kwargs)
        return env if self.max_episode_steps is None else TimeLimit(env, self.max_episode_steps)


class PooledVectorEnv(VectorEnv[Observations, np.ndarray, np.ndarray]):
    """Environments of one class with observations in a Dict of Boxes and actions in a Box, in a pool of processes.

    Autoreset modes, seeds (an int seeds simulation i with seed + i) and `options["reset_mask"]` are those of Gymnasium's own
    vector environments. A simulation that raises, whose state is not finite, or of which MuJoCo warns does not stop
    the others: its episode is cut short (truncated, reward 0, the last good observation) and reset as the mode has it;
    `infos["failure"]` says what happened, and `num_failures` counts. So are all simulations of a worker process that dies or
    gives no answer in time; they go on in a new process, with other random numbers.
    """

    def __init__(
        self,
        env_class: Callable[..., gym.Env[Any, Any]],
        num_envs: int = 1,
        *,
        num_workers: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        patience: float = 60.0,
        max_episode_steps: int | None = None,
        **env_kwargs: Any,
    ) -> None:
        """Start the processes: `num_workers`, or two for each core that this process may use; one where steps are even.

        Two, because sweeps differ in length: with one, a core idles for a tenth of the time until the slower half is done. An
        environment whose metadata say "even_steps" gains nothing from a second one.
        A worker that needs longer than `patience` [s] for a step is ended and replaced. `env_kwargs` go to `env_class`.
        ValueError names a wrong argument.
        """
        if num_envs < 1 or (num_workers is not None and num_workers < 1):
            raise ValueError(f"num_envs and num_workers must be at least 1, got {num_envs} and {num_workers}")
        if patience <= 0:
            raise ValueError(f"patience must be above 0 s, got {patience}")
        mode = AutoresetMode(autoreset_mode)
        make_env = EnvMaker(env_class, env_kwargs, max_episode_steps)
        probe = make_env()  # answers for the spaces, and refuses wrong arguments here rather than in a worker
        self.metadata = {**probe.metadata, "autoreset_mode": mode}
        self.render_mode = probe.render_mode
        space, action_space = probe.observation_space, probe.action_space
        probe.close()
        if not isinstance(space, gym.spaces.Dict) or not all(isinstance(box, gym.spaces.Box) for box in space.values()):
            raise ValueError(f"observations must be a Dict of Boxes, got {space}")

        self.num_envs, self.mode = num_envs, mode
        self.single_observation_space, self.single_action_space = space, action_space
        self.observation_space, self.action_space = batch_space(space, num_envs), batch_space(action_space, num_envs)
        self.num_failures = np.zeros(num_envs, np.int64)
        """(N,) how often each simulation has failed so far."""
        self._over = np.ones(num_envs, np.bool_)  # until the first reset
        self._ready = False
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        workers = num_workers or (cores if self.metadata.get("even_steps") else 2 * cores)
        parts = np.array_split(np.arange(num_envs), min(workers, num_envs))
        self._parts = [slice(int(part[0]), int(part[-1]) + 1) for part in parts]
        memory = shared_memory(space, num_envs)
        self._views = {key: array_over(memory[key], box, num_envs) for key, box in space.items()}
        self._pool = Pool([Share(make_env, p.start, p.stop - p.start, mode, memory, num_envs) for p in self._parts], patience)

    # ---- Gymnasium ----

    def reset(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, Info]:
        """Reset all simulations, or those in the boolean array `options["reset_mask"]`; other options go to each of them."""
        self._require_open()
        options = dict(options or {})
        mask = self._mask(options.pop("reset_mask", None))
        seeds = self._seeds(seed)
        if not self._ready and not mask.all():
            raise ResetNeeded("reset all simulations once before resetting some of them")
        asked = {w: (seeds[p], options or None, mask[p].tolist()) for w, p in enumerate(self._parts) if mask[p].any()}
        told = self._insist("reset", asked)
        self._over[mask], self._ready = False, True
        columns = [(self._parts[w], gather([info or {} for info in infos])) for w, infos in told.items()]
        return self._observations(), spread(columns, self.num_envs)

    def step(self, actions: np.ndarray) -> tuple[Observations, np.ndarray, np.ndarray, np.ndarray, Info]:
        """Step every simulation; one whose episode is over is reset instead in mode NEXT_STEP, whatever its action."""
        self._require_open()
        actions = np.asarray(actions)
        if actions.shape != self.action_space.shape or not np.isfinite(actions).all():
            raise InvalidAction(f"actions must be finite numbers of shape {self.action_space.shape}, got {actions!r}")
        if not self._ready:
            raise ResetNeeded("reset the environments before stepping them")
        if self.mode == AutoresetMode.DISABLED and self._over.any():
            over = np.flatnonzero(self._over).tolist()
            raise ResetNeeded(f"the episodes of simulations {over} are over; reset them with options={{'reset_mask': ...}}")
        rewards = np.zeros(self.num_envs)
        terminated, truncated = np.zeros((2, self.num_envs), np.bool_)
        shares: list[tuple[slice, Columns]] = []
        for worker, played in self._pool.ask("play", {w: (actions[p],) for w, p in enumerate(self._parts)}).items():
            part = self._parts[worker]
            if isinstance(played, WorkerLost):
                played = together(self._adopt(worker, played))
            rewards[part], terminated[part], truncated[part], columns = played
            shares.append((part, columns))
        infos = spread(shares, self.num_envs)
        self.num_failures += infos.get("_failure", 0)
        self._over = terminated | truncated
        return self._observations(), rewards, terminated, truncated, infos

    def render(self) -> tuple[Any, ...] | None:
        """A picture of each simulation, or None without a render mode."""
        return None if self.render_mode is None else self.call("render")

    def close_extras(self, **kwargs: Any) -> None:
        """End the processes."""
        if hasattr(self, "_pool"):
            self._pool.close()

    def __del__(self) -> None:
        """End the processes of an environment that was forgotten."""
        self.close()

    # ---- the single environments ----

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """The results of a method, or the values of an attribute, of each simulation."""
        return self.call_each(name, [args] * self.num_envs, **kwargs)

    def call_each(self, name: str, arguments: Sequence[tuple[Any, ...]], **kwargs: Any) -> tuple[Any, ...]:
        """As `call`, with arguments of its own for each simulation."""
        self._require_open()
        results = self._insist("call", {w: (name, arguments[p], kwargs) for w, p in enumerate(self._parts)})
        return tuple(value for worker in sorted(results) for value in results[worker])

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """The values of an attribute of each simulation."""
        return self.call(name)

    def set_attr(self, name: str, values: Any) -> None:
        """Set an attribute in each simulation: to the value, or each to its own from a list or tuple."""
        self._require_open()
        values = list(values) if isinstance(values, (list, tuple)) else [values] * self.num_envs
        if len(values) != self.num_envs:
            raise ValueError(f"expected {self.num_envs} values, one for each simulation, got {len(values)}")
        self._insist("set_attr", {w: (name, values[p]) for w, p in enumerate(self._parts)})

    @property
    def np_random(self) -> tuple[np.random.Generator, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Copies of the simulations' random number generators."""
        return self.call("np_random")

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The simulations' seeds."""
        return self.call("np_random_seed")

    # ---- inside ----

    def _observations(self) -> Observations:
        return {key: view.copy() for key, view in self._views.items()}

    def _insist(self, method: str, asked: dict[int, tuple[Any, ...]]) -> dict[int, Any]:
        """Ask the workers; one that is lost is asked again once, in its new process, where every episode is a new one."""
        results = self._pool.ask(method, asked)
        lost = {worker: result for worker, result in results.items() if isinstance(result, WorkerLost)}
        for worker, why in lost.items():
            self.num_failures[self._parts[worker]] += 1
            if method not in ("reset", "adopt"):
                self._adopt(worker, why)
                self._over[self._parts[worker]] = self.mode != AutoresetMode.SAME_STEP
        again = self._pool.ask(method, {worker: asked[worker] for worker in lost})
        for worker, result in again.items():
            if isinstance(result, WorkerLost):
                raise RuntimeError(f"the worker of {self._names(worker)} {result}, twice, in {method}")
        return results | again

    def _adopt(self, worker: int, why: WorkerLost) -> list[tuple[float, bool, bool, Info]]:
        """Begin new episodes in the process that replaces a lost one: what each simulation's step comes to."""
        part = self._parts[worker]
        last = [{key: view[i].copy() for key, view in self._views.items()} for i in range(part.start, part.stop)]
        failure = {"failure": f"the worker of {self._names(worker)} {why}"}
        count = int(self.num_failures.sum())
        seeds = np.random.SeedSequence([count, part.start]).generate_state(len(last)).tolist()
        fresh = self._insist("adopt", {worker: (seeds,)})[worker]
        if self.mode == AutoresetMode.SAME_STEP:
            return [
                (0.0, False, True, {"final_info": failure, "final_obs": seen, **failure, **info})
                for seen, info in zip(last, fresh, strict=True)
            ]
        for i, seen in enumerate(last, start=part.start):  # shown once more, as the end of the episode that was lost
            for key, view in self._views.items():
                view[i] = seen[key]
        return [(0.0, False, True, failure)] * len(last)

    def _mask(self, mask: Any) -> np.ndarray:
        if mask is None:
            return np.ones(self.num_envs, np.bool_)
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != (self.num_envs,) or not mask.any():
            raise ValueError(f"reset_mask must be a boolean array of shape ({self.num_envs},) with a True in it, got {mask!r}")
        return mask

    def _seeds(self, seed: int | Sequence[int | None] | None) -> list[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, (int, np.integer)):
            return [int(seed) + i for i in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise ValueError(f"expected {self.num_envs} seeds, one for each simulation, got {len(seed)}")
        return list(seed)

    def _names(self, worker: int) -> str:
        part = self._parts[worker]
        return f"simulations {part.start} to {part.stop - 1}"

    def _require_open(self) -> None:
        if self.closed:
            raise ClosedEnvironmentError("the environments are closed")


def tabletop(num_envs: int = 1, **kwargs: Any) -> PooledVectorEnv:
    """`envs.tabletop.TabletopEnv`, many at once: the vector entry point of its ids."""
    from envs.tabletop import TabletopEnv

    return PooledVectorEnv(TabletopEnv, num_envs, **kwargs)
