"""Recording: several processes play episodes and write them, each episode the same whoever plays it.

Episode k of recording seed s has its own environment seed and its own random stream, both computed from (s, k) alone. So
the number of workers, and any interruption, change nothing: the dataset is the same in every byte of its episodes.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import queue
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from agents.baselines import scripted
from agents.protocol import recording_seed
from agents.worldspec import spec_of
from worldmodel.checks import require_at_least, require_positive, require_seed
from worldmodel.data import DatasetWriter, finalize, recorded_episodes, require_free
from worldmodel.data.files import read_json
from worldmodel.errors import ConfigError, DataError, MismatchError, WorldModelError
from worldmodel.progress import NoProgress, Progress
from worldmodel.train.files import dump_json, write_atomic
from worldmodel.train.interrupt import Interrupts
from worldmodel.types import Episode

MakeEnv = Callable[[], gymnasium.Env]
"""Makes the environment; picklable, because each worker makes its own."""


POLICY = "meta/policy.json"
"""Which episodes a dataset's indices stand for: its seed and its shares of policies."""


@dataclass(frozen=True)
class RecordConfig:
    """What is recorded. The shares of the policies add up to 1; one policy is drawn for every action."""

    num_episodes: int = 2000
    """Episodes that the dataset shall have; more than it has now extends it."""
    seed: int = 0
    """Recording seed: another one gives other episodes."""
    workers: int = 2
    """Processes; 1 records in this one."""
    aimed: float = 0.7
    """Share of actions that are aimed at a random object, noisily."""
    random: float = 0.2
    """Share of actions that are uniform within the bounds."""
    expert: float = 0.1
    """Share of actions of the scripted expert."""
    episodes_per_shard: int = 64
    """Episodes of a file; a killed worker loses at most the file that it was filling."""
    labels: tuple[str, ...] = ("status", "position")
    """Entries of the environment's info that are stored beside the frames."""
    fps: float = 1.0
    """Frames a second that players of the dataset assume; a frame is a whole action here."""

    def __post_init__(self) -> None:
        """Raise ConfigError for shares that do not add up, or nothing to do."""
        shares = (self.aimed, self.random, self.expert)
        if not all(share >= 0 for share in shares) or not abs(sum(shares) - 1) < 1e-8:  # as near as numpy asks for
            raise ConfigError(f"aimed + random + expert = {sum(shares):.9g}; expected shares of at least 0 that add up to 1")
        require_at_least(self, 1, "num_episodes", "workers", "episodes_per_shard")
        require_positive(self, "fps")
        require_seed("the environment's last seed, which comes from seed,", recording_seed(self.seed, self.num_episodes - 1))


@dataclass(frozen=True)
class Recording:
    """What a call of `record` did."""

    num_episodes: int
    """Episodes that were asked for, all of which the dataset has now."""
    num_new: int
    """Those that this call added."""
    num_actions: int
    """Actions that this call recorded."""
    seconds: float
    """Duration of this call [s]."""


def record(make_env: MakeEnv, config: RecordConfig, root: Path, progress: Progress | None = None) -> Recording:
    """Record the episodes that `root` does not have yet, and finish the dataset there.

    A Ctrl-C or SIGTERM lets every worker finish its episode and publish what it has, and then has its usual effect.
    """
    begun = time.monotonic()
    progress = progress or NoProgress()
    root = Path(root)
    missing = missing_episodes(root, config)
    if missing:
        write_atomic(root / POLICY, dump_json(_policy(config)).encode())  # after the folder was found to be free, or ours
    had, num_new, num_actions = config.num_episodes - len(missing), 0, 0

    def told(length: int) -> None:
        nonlocal num_new, num_actions
        num_new, num_actions = num_new + 1, num_actions + length
        rate = num_actions / max(time.monotonic() - begun, 1e-9)
        progress.update(had + num_new, config.num_episodes, sweeps_per_s=round(rate, 1))

    if missing:
        with Interrupts() as interrupts:
            if config.workers == 1:
                _work(make_env, config, root, missing, 0, told, lambda: interrupts.signal is not None)
            else:
                _record_in_processes(make_env, config, root, missing, told, interrupts)
            interrupts.leave("recording was interrupted; run it again to go on")
    finalize(root)
    return Recording(config.num_episodes, num_new, num_actions, time.monotonic() - begun)


def missing_episodes(root: Path, config: RecordConfig) -> list[int]:
    """Numbers of the episodes that `root` does not have; each is also the episode's index in the dataset.

    Writes nothing. Raises DataError when `root` is used for something else, or was recorded in another way: its episodes
    would not be those of this config. A policy that no episode was recorded with binds nobody.
    """
    require_free(root)
    have = recorded_episodes(root) if root.is_dir() else set()
    if have:
        if not (root / POLICY).exists():
            raise DataError(f"{root} holds a dataset that was not recorded here; record into a new folder")
        theirs, policy = read_json(root / POLICY), _policy(config)
        if theirs != policy:
            raise DataError(f"{root} was recorded with {theirs}, not with {policy}; record into a new folder")
    return [number for number in range(config.num_episodes) if number not in have]


def _policy(config: RecordConfig) -> dict[str, float]:
    """What decides the episodes besides the world."""
    return {name: getattr(config, name) for name in ("seed", "aimed", "random", "expert")}


def play_recorded(env: gymnasium.Env, config: RecordConfig, episode: int) -> Episode:
    """Episode number `episode` of the config's seed, until it is terminated or truncated."""
    rng = np.random.default_rng(np.random.SeedSequence([config.seed, episode]))
    space = env.action_space
    if not isinstance(space, gymnasium.spaces.Box):
        raise MismatchError(f"actions are a {type(space).__name__}; a Box is needed")
    policies: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
        "aimed": lambda rng: scripted(env, "aimed_action")(rng),
        "random": lambda rng: rng.uniform(space.low, space.high),
        "expert": lambda rng: scripted(env, "expert_action")(rng),
    }
    shares = [config.aimed, config.random, config.expert]

    seed = recording_seed(config.seed, episode)
    observation, info = env.reset(seed=seed)
    observations, infos, actions, rewards = [observation], [info], [], []
    terminated = truncated = False
    while not (terminated or truncated):
        policy = policies[str(rng.choice(list(policies), p=shares))]
        action = np.asarray(policy(rng), np.float32)
        observation, reward, terminated, truncated, info = env.step(action)
        observations.append(observation)
        infos.append(info)
        actions.append(action)
        rewards.append(reward)
    return Episode(
        observations={key: np.stack([o[key] for o in observations]) for key in observations[0]},
        actions=np.stack(actions),
        rewards=np.asarray(rewards, np.float32),
        terminated=bool(terminated),
        truncated=bool(truncated),
        success=bool(info.get("success", False)),
        seed=seed,
        instruction=str(getattr(env.unwrapped, "instruction", "")),
        labels={name: np.stack([_label(i, name) for i in infos]) for name in config.labels},
    )


def _label(info: dict[str, Any], name: str) -> np.ndarray:
    if name not in info:
        raise MismatchError(f"the environment's info has no {name!r}; it has {', '.join(sorted(info))}: change labels")
    return np.asarray(info[name])


def _work(
    make_env: MakeEnv,
    config: RecordConfig,
    root: Path,
    episodes: Sequence[int],
    writer: int,
    told: Callable[[int], None],
    stopped: Callable[[], bool],
) -> None:
    """Record these episodes one after the other, telling the number of actions of each."""
    env = make_env()
    with (
        contextlib.closing(env),
        DatasetWriter(
            root, spec_of(env), fps=config.fps, writer_id=str(writer), episodes_per_shard=config.episodes_per_shard
        ) as dataset,
    ):
        for number in episodes:
            if stopped():
                return
            episode = play_recorded(env, config, number)
            dataset.add(episode, episode_index=number)
            told(episode.num_actions)


def _record_in_processes(
    make_env: MakeEnv,
    config: RecordConfig,
    root: Path,
    episodes: Sequence[int],
    told: Callable[[int], None],
    interrupts: Interrupts,
) -> None:
    """Deal the episodes out to fresh processes, and wait for them; the first failure of one stops all and is raised."""
    context = multiprocessing.get_context("spawn")  # a forked GL context or thread pool would be broken
    news, stop = context.Queue(), context.Event()
    workers = min(config.workers, len(episodes))
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_worker, initargs=(news, stop)) as pool:
        with _sigint_held():
            jobs = [pool.submit(_job, make_env, config, root, episodes[w::workers], w) for w in range(workers)]
        while not all(job.done() for job in jobs):
            with contextlib.suppress(queue.Empty):
                told(news.get(timeout=0.1))
            if interrupts.signal is not None or any(job.done() and job.exception() for job in jobs):
                stop.set()
    with contextlib.suppress(queue.Empty):
        while True:
            told(news.get(timeout=0.1))
    for job in jobs:
        try:
            job.result()
        except BrokenProcessPool:
            raise WorldModelError("a recording process was killed (too little memory?); run again to go on") from None


@contextlib.contextmanager
def _sigint_held() -> Iterator[None]:
    """Processes started here never see a Ctrl-C, not even while they import; this one sees it afterwards."""
    if not hasattr(signal, "pthread_sigmask"):
        yield  # Windows: `_begin_worker` ignores it a little later
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_news: Any = None
_stop: Any = None
"""What a worker process was given at its start: queues cannot travel with a job."""


def _begin_worker(news: Any, stop: Event) -> None:
    """A worker hears of Ctrl-C from its parent, so that it can publish what it has."""
    global _news, _stop
    _news, _stop = news, stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _job(make_env: MakeEnv, config: RecordConfig, root: Path, episodes: Sequence[int], writer: int) -> None:
    """A worker's share. It ends early when the parent says so, or is gone."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    _work(make_env, config, root, episodes, writer, _news.put, lambda: _stop.is_set() or not parent.is_alive())
