"""What would fail only after a model is trained, told before: who plays, which windows there are, and in which world.

require_ready(config, data, make_env, screen.say)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from agents.experiment import ExperimentConfig
from agents.inspect import MakeEnv
from agents.players import require_players
from agents.training.sources import Part, Sources, parts_of, robots_of
from worldmodel.data.loading.index import Split, WindowIndex
from worldmodel.errors import CheckpointError, ConfigError, DataError, WorldModelError
from worldmodel.train.checkpoint import read_manifest


def require_ready(config: ExperimentConfig, data: Sources, make_env: MakeEnv, tell: Callable[[str], None]) -> None:
    """Raise ConfigError or DataError for what training would come through, and what follows it would not.

    `tell` hears of a world that cannot be made on this machine: a model can be trained without it.
    """
    require_players(config)
    parts = parts_of(data, config.data, robots_of(config))
    require_windows(config, parts)
    require_world(config, parts, make_env, tell)


def require_parent(config: ExperimentConfig) -> None:
    """Raise CheckpointError when train.init_from names no run."""
    if config.train.init_from is None:
        return
    try:
        read_manifest(Path(config.train.init_from))
    except CheckpointError as error:
        raise CheckpointError(f"train.init_from: {error}; name the folder of a trained run, or null to begin anew") from error


def require_windows(config: ExperimentConfig, parts: Sequence[Part]) -> None:
    """Raise DataError, naming the setting, when a dataset lacks the windows that are trained, validated or fitted on."""
    num_frames = config.train.num_frames
    needed: list[tuple[str, int, Split]] = [("train.num_frames", num_frames, "train")]
    if config.data.val_fraction > 0:
        needed.append(("train.num_frames", num_frames, "val"))
    heads = config.objective.plans and all({"status", "position"} <= set(part.dataset.label_names) for part in parts)
    ahead = config.heads.max_steps_ahead + 1
    if heads and ahead > num_frames:
        needed.append(("heads.max_steps_ahead", ahead, "train"))
    episodes: set[int] = set()  # those of all datasets have the same numbers, as when heads are fitted
    for setting, length, split in needed:
        found = [_episodes(config, part, setting, length, split) for part in parts]
        episodes = episodes if split == "val" else set().union(*found)
    held_out = max(1, round(config.heads.held_out * len(episodes)))
    if heads and held_out >= len(episodes):
        raise DataError(
            f"{len(episodes)} episodes have windows to fit heads on, of which heads.held_out {config.heads.held_out:g} leaves "
            "none; record more episodes, or lower heads.held_out"
        )


def require_world(config: ExperimentConfig, parts: Sequence[Part], make_env: MakeEnv, tell: Callable[[str], None]) -> None:
    """Make the world of the evaluation once; ConfigError for one that could be made nowhere."""
    overrides = config.evaluate.env_overrides()
    try:
        make_env(config.env, **overrides).close()
    except WorldModelError as error:
        asked = {**config.env.kwargs, **overrides}
        specs = [part.dataset.spec for part in parts]
        # what was recorded elsewhere can be made there
        recorded = any(s.env_id == config.env.id and asked.items() <= s.env_kwargs.items() for s in specs)
        if isinstance(error, ConfigError) and not recorded:
            raise
        why = " ".join(str(error).split())
        tell(f"warning: {config.env.id} cannot be made here, which evaluate needs and training does not: {why}")


def _episodes(config: ExperimentConfig, part: Part, setting: str, num_frames: int, split: Split) -> set[int]:
    """Numbers of the episodes in which a window fits."""
    rows = part.dataset.episodes
    index = WindowIndex(
        np.array([row.length for row in rows], np.int64),
        np.array([row.seed for row in rows], np.int64),
        num_frames,
        frame_skip=config.data.frame_skip,
        stride=config.data.stride,
        split=split,
        val_fraction=config.data.val_fraction,
        source=str(part.dataset.root),
        setting=setting,
    )
    return set(index.episode.tolist())
