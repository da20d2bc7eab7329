"""One worker's part of a recording: the episodes of some numbers, played and written.

Episode k of recording seed s has its own environment seed and its own random stream, both computed from (s, k) alone. So
it is the same episode whoever records it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import gymnasium
import numpy as np

from agents.baselines import scripted
from agents.evaluation.protocol import recording_seed
from agents.worldspec import spec_of
from worldmodel.checks import require_at_least, require_positive, require_seed
from worldmodel.data import DatasetWriter, VideoConfig
from worldmodel.errors import ConfigError, MismatchError
from worldmodel.types import Episode

MakeEnv = Callable[[], gymnasium.Env]
"""Makes the environment; picklable, because each worker makes its own."""


@dataclass(frozen=True)
class RecordConfig:
    """What is recorded. The shares of the policies add up to 1; one policy is drawn for every action."""

    num_episodes: int = 2000
    """Episodes that the dataset shall have; more than it has now extends it."""
    seed: int = 0
    """Recording seed: another one gives other episodes."""
    workers: int = 2
    """Processes, or Ray actors; 1 process records in this one."""
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
    video: VideoConfig = field(default_factory=VideoConfig)
    """How pictures above 96 px are encoded; smaller ones are kept without loss."""

    def __post_init__(self) -> None:
        """Raise ConfigError for shares that do not add up, or nothing to do."""
        shares = (self.aimed, self.random, self.expert)
        if not all(share >= 0 for share in shares) or not abs(sum(shares) - 1) < 1e-8:  # as near as numpy asks for
            raise ConfigError(f"aimed + random + expert = {sum(shares):.9g}; expected shares of at least 0 that add up to 1")
        require_at_least(self, 1, "num_episodes", "workers", "episodes_per_shard")
        require_positive(self, "fps")
        require_seed("the environment's last seed, which comes from seed,", recording_seed(self.seed, self.num_episodes - 1))


class Recorder:
    """An environment and a writer; a context manager. However it is left, episodes that are complete are published."""

    def __init__(self, make_env: MakeEnv, config: RecordConfig, root: Path, writer: str):
        self.env = make_env()
        self.config = config
        try:
            self.dataset = DatasetWriter(
                root,
                spec_of(self.env),
                fps=config.fps,
                writer_id=writer,
                episodes_per_shard=config.episodes_per_shard,
                video=config.video,
            )
        except BaseException:
            self.env.close()
            raise

    def play(self, numbers: Sequence[int], stopped: Callable[[], bool]) -> Iterator[tuple[int, int]]:
        """Record these episodes unless `stopped`, yielding (number, its number of actions); published at the end."""
        for number in numbers:
            if stopped():
                break
            episode = play_recorded(self.env, self.config, number)
            self.dataset.add(episode, episode_index=number)
            yield number, episode.num_actions
        self.dataset.flush()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self.dataset.__exit__(kind, error, trace)
        finally:
            self.env.close()


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
    observations, infos, actions, rewards, variation = [observation], [info], [], [], info.get("variation", {})
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
        variation=dict(variation),
    )


def _label(info: dict[str, Any], name: str) -> np.ndarray:
    if name not in info:
        raise MismatchError(f"the environment's info has no {name!r}; it has {', '.join(sorted(info))}: change labels")
    return np.asarray(info[name])
