"""Recording: several workers play episodes and write them, each episode the same whoever plays it.

The number of workers, any interruption and any worker's death change nothing: the dataset is the same in every byte of its
episodes (recorder.py says why, dealing.py how).
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.recording.dealing import Crew, Tally, cut, deal
from agents.recording.processes import ProcessCrew
from agents.recording.recorder import MakeEnv, RecordConfig, Recorder, play_recorded
from agents.worldspec import action_word
from worldmodel.data import Dataset, VideoConfig, finalize, recorded_episodes, require_free
from worldmodel.data.format.features import INFO, POLICY
from worldmodel.data.format.files import read_json
from worldmodel.data.format.world import read_world
from worldmodel.errors import DataError
from worldmodel.progress import NoProgress, Progress
from worldmodel.train.files import dump_json, write_atomic
from worldmodel.train.interrupt import Interrupts

__all__ = ["MakeEnv", "RecordConfig", "Recording", "missing_episodes", "play_recorded", "record"]

MakeCrew = Callable[[MakeEnv, RecordConfig, Path], contextlib.AbstractContextManager[Crew]]
"""Makes the workers of a recording: ProcessCrew, or what `record_ray.ray_crew` gives."""


@dataclass(frozen=True)
class Recording:
    """What a call of `record` did."""

    num_episodes: int
    """Episodes that the dataset has now: those that were asked for, and others that it had."""
    num_new: int
    """Those that this call added."""
    num_actions: int
    """Actions that this call recorded."""
    seconds: float
    """Duration of this call [s]."""


def record(
    make_env: MakeEnv, config: RecordConfig, root: Path, progress: Progress | None = None, crew: MakeCrew | None = None
) -> Recording:
    """Record the episodes that `root` does not have yet, and finish the dataset there.

    A Ctrl-C or SIGTERM lets every worker finish its episode and publish what it has, and then has its usual effect.

    Args:
        make_env: makes the environment, in each worker.
        config: what is recorded, by how many workers.
        root: folder of the dataset.
        progress: told the number of episodes.
        crew: where the workers come from; processes of this machine unless told.
    """
    begun = time.monotonic()
    progress = progress or NoProgress()
    root = Path(root)
    missing = missing_episodes(root, config)
    had = config.num_episodes - len(missing)

    def tell(num_episodes: int, num_actions: int) -> None:
        rate = num_actions / max(time.monotonic() - begun, 1e-9)
        word = action_word(read_world(root)[0].control_mode)  # it is there since the first episode was written
        progress.update(had + num_episodes, config.num_episodes, **{f"{word}s_per_s": round(rate, 1)})

    tally = Tally(tell)
    if missing:
        write_atomic(root / POLICY, dump_json(_policy(config)).encode())  # after the folder was found to be free, or ours
        with Interrupts() as interrupts:

            def stopped() -> bool:
                return interrupts.signal is not None

            if config.workers == 1 and crew is None:
                with Recorder(make_env, config, root, "0") as recorder:
                    for number, num_actions in recorder.play(missing, stopped):
                        tally.add(number, num_actions)
            else:
                hands = cut(missing, config.workers, config.episodes_per_shard)
                with (crew or ProcessCrew)(make_env, config, root) as workers:
                    deal(workers, hands, config.workers, lambda: recorded_episodes(root), tally, stopped)
            interrupts.leave("recording was interrupted; run it again to go on")
    else:
        require_same(make_env, config, root)  # what is played is compared as it is written
    finalize(root, progress=progress)
    return Recording(Dataset.open(root).num_episodes, tally.num_episodes, tally.num_actions, time.monotonic() - begun)


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


def require_same(make_env: MakeEnv, config: RecordConfig, root: Path) -> None:
    """DataError when a dataset that lacks no episode is of another world, or has other labels, than are asked for."""
    with Recorder(make_env, config, root, "0"):  # its writer compares the worlds
        pass
    if (root / INFO).exists() and set(found := Dataset.open(root).label_names) != set(config.labels):
        asked = ", ".join(sorted(config.labels)) or "none"
        raise DataError(f"{root} has the labels {', '.join(sorted(found)) or 'none'}, not {asked}; record into a new folder")


def _policy(config: RecordConfig) -> dict[str, Any]:
    """What decides the episodes besides the world; the usual video is not named, as it was not when it could not be chosen."""
    video = {} if config.video == VideoConfig() else {"video": dataclasses.asdict(config.video)}
    return {name: getattr(config, name) for name in ("seed", "aimed", "random", "expert")} | video
