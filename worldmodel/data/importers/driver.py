"""Episodes of an importer into a dataset: one at a time, resumed after a kill, finished at the end.

Episode k of the importer is episode k of the dataset, so what is there already tells where to go on. What was imported,
and how, is kept beside the dataset: an import goes on only with the same source and the same map.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from worldmodel.data.format.features import IMPORTED, INFO
from worldmodel.data.format.files import publish_json, read_json
from worldmodel.data.format.world import require_free
from worldmodel.data.importers.base import ImportedWorld, Importer
from worldmodel.data.recording.assemble import finalize
from worldmodel.data.recording.shards import recorded_episodes
from worldmodel.data.recording.writer import DatasetWriter
from worldmodel.errors import DataError, MismatchError
from worldmodel.progress import NoProgress, Progress
from worldmodel.types import Episode

SCHEMA_VERSION = 1
SHARD_BYTES = 64e6
"""A shard is published once it holds this much [bytes before compression], which bounds the memory of an import."""


@dataclass(frozen=True)
class Imported:
    """What a call of `import_into` did."""

    num_episodes: int
    """Episodes that the dataset has now."""
    num_new: int
    """Those that this call added."""
    num_frames: int
    """Frames that this call added."""
    seconds: float
    """Duration of this call [s]."""
    complete: bool
    """The dataset is finished; False when it was stopped."""


def import_into(
    importer: Importer,
    root: Path,
    progress: Progress | None = None,
    *,
    stopped: Callable[[], bool] = lambda: False,
    episodes_per_shard: int = 64,
) -> Imported:
    """Import the episodes that `root` does not have yet, and finish the dataset there.

    Args:
        importer: where the episodes come from.
        root: folder of the dataset.
        progress: told after each episode.
        stopped: asked after each episode; when it says so, what there is is published and nothing is finished.
        episodes_per_shard: episodes that are published together at most.

    Raises:
        DataError: an episode does not fit, the message naming it; or `root` holds something else.
        MismatchError: `root` was imported from another source, or by another map.
    """
    begun = time.monotonic()
    progress = progress or NoProgress()
    root, world = Path(root), importer.describe()
    start = _begin(root, world)
    num_new = num_frames = 0
    if start < world.num_episodes:
        with DatasetWriter(
            root, world.spec, fps=world.fps, writer_id="import", episodes_per_shard=episodes_per_shard
        ) as writer:
            held = 0
            for k, episode in enumerate(importer.episodes(start), start=start):
                writer.add(episode, episode_index=k, clips=importer.clips(k))
                num_new, num_frames = num_new + 1, num_frames + episode.num_actions + 1
                held += _bytes_of(episode)
                if held >= SHARD_BYTES:
                    writer.flush()
                    held = 0
                progress.update(k + 1, world.num_episodes, frames=num_frames)
                if stopped():
                    break
    have = start + num_new
    complete = have == world.num_episodes
    if not complete and not stopped():
        raise DataError(f"the source ended after {have} episodes; it said that it has {world.num_episodes}")
    if complete and (num_new or not (root / INFO).exists() or (root / "recording").exists()):
        finalize(root, licence=world.licence, progress=progress)
    return Imported(have, num_new, num_frames, time.monotonic() - begun, complete)


def _begin(root: Path, world: ImportedWorld) -> int:
    """The number of episodes that `root` has already; notes there what is being imported."""
    require_free(root)
    record = {"schema_version": SCHEMA_VERSION, **world.record}
    have = recorded_episodes(root) if root.is_dir() else set()
    if have:
        if not (root / IMPORTED).exists():
            raise DataError(f"{root} holds a dataset that was not imported; import into a new folder")
        before = read_json(root / IMPORTED)
        differing = [key for key in sorted({*before, *record}) if before.get(key) != record.get(key)]
        if differing:
            what = " and ".join("another " + key.replace("_", " ") for key in differing)
            raise MismatchError(f"{root} was imported from {what}; import into a new folder")
        if have != set(range(len(have))) or len(have) > world.num_episodes:
            raise DataError(f"{root} does not hold the first episodes of the source in a row; import into a new folder")
    else:
        publish_json(root / IMPORTED, record)
    return len(have)


def _bytes_of(episode: Episode) -> int:
    arrays = [*episode.observations.values(), *episode.labels.values(), episode.actions]
    return sum(array.nbytes for array in arrays)
