"""Recorded shards into a dataset in the LeRobotDataset v3.0 layout, in the order of the episodes' indices.

A kill at any moment is harmless: `meta/info.json` is replaced last, readers believe only the episodes that it counts,
the shards are deleted only after that, and running it again finishes the work.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from worldmodel.data.dataset import Dataset
from worldmodel.data.format.episode_row import video_columns
from worldmodel.data.format.episodes_table import read_episode_table
from worldmodel.data.format.features import (
    CHECKSUMS,
    CHUNK_FILES,
    DATA_PATH,
    EPISODES_PATH,
    INFO,
    TASKS,
    VIDEO_PATH,
    Feature,
)
from worldmodel.data.format.files import PART, LocalFolder, publish, publish_json, read_json, read_parquet, reading, sha256_of
from worldmodel.data.format.info import FILE_MB, VIDEO_MB, new_info
from worldmodel.data.format.locks import lock
from worldmodel.data.format.meta import CARD, licence_of, write_card, write_stats, wrong_card
from worldmodel.data.format.numbering import numbered, place_of
from worldmodel.data.format.tasks import read_tasks, tasks_table
from worldmodel.data.format.world import LOCK, read_world
from worldmodel.data.recording.joining import Finishing, Recorded, write_data, write_videos
from worldmodel.data.recording.shards import FEATURES_KEY, RECORDING, require_counted, shard_rows
from worldmodel.data.upkeep.swap import require_settled
from worldmodel.errors import DataError
from worldmodel.progress import NoProgress, Progress
from worldmodel.types import WorldSpec

logger = logging.getLogger(__name__)


def finalize(root: Path, *, licence: str | None = None, wait: float = 10.0, progress: Progress | None = None) -> None:
    """Make the dataset of everything that has been recorded so far; running it again changes nothing.

    Args:
        root: folder of the dataset.
        licence: of the data, as the hub spells it; goes into the dataset's card. None keeps what the card says, and is
            Apache-2.0 where there is none.
        wait: how long to wait for writers that are still open [s].
        progress: told of the episodes that are joined, when that takes more than two seconds.

    Raises:
        DataError: nothing is recorded, episodes are missing, two different ones claim one index, or somebody still records.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{root} is no folder; record into it first")
    spec, fps = read_world(root)
    busy = f"{root} is still being recorded by another process; finalize when it has finished"
    with lock(root / LOCK, exclusive=True, wait=wait, busy=busy):
        require_settled(root)
        require_counted(root)
        before = Dataset.open(root) if (root / INFO).exists() else None
        _remove_leftovers(root, before)
        recorded, rows, features = _read_shards(root, before)
        if recorded:
            _publish(root, spec, fps, features, recorded, rows, before, licence, progress or NoProgress())
        elif before is None:
            raise DataError(f"{root} holds no recorded episodes; record some first")
        elif wrong_card(before):  # killed when all but the card was there
            write_card(root, licence or licence_of(LocalFolder(root)))
        for path in (root / RECORDING).glob("*.parquet"):
            path.unlink()
        if (root / RECORDING).is_dir() and not any((root / RECORDING).iterdir()):
            (root / RECORDING).rmdir()


def _read_shards(root: Path, before: Dataset | None) -> tuple[list[Recorded], pa.Table, dict[str, Feature]]:
    """The episodes that the dataset does not have yet, dense and in order; their rows; the features that all of them share."""
    first = before.num_episodes if before else 0
    features = None
    if before:  # what finalizing has added to a feature is left out
        features = {name: {k: v for k, v in feature.items() if k != "info"} for name, feature in before.features.items()}
    found: dict[int, Recorded] = {}
    tables: list[pa.Table] = []
    for path in shard_rows(root):
        table = read_parquet(path)
        with reading(path):
            theirs = json.loads((table.schema.metadata or {})[FEATURES_KEY])
        features = features or theirs
        if theirs != features:
            names = sorted(n for n in theirs.keys() | features.keys() if theirs.get(n) != features.get(n))
            raise DataError(f"{path} has other columns than the rest: {', '.join(names)}; record them into their own dataset")
        before_it = sum(map(len, tables))
        known = zip(*(table.column(name).to_pylist() for name in ("episode_index", "length", "tasks", "sha256")), strict=True)
        for place, (index, length, words, sha256) in enumerate(known):
            episode = Recorded(path, place, before_it + place, length, words[0], sha256)
            if index in found and found[index].sha256 != sha256:
                raise DataError(f"episode {index} is recorded twice and differs: {found[index].shard} and {path}; delete one")
            if index >= first:
                found.setdefault(index, episode)
        tables.append(table.replace_schema_metadata(None))
    missing = sorted(set(range(first, max(found, default=first))) - set(found))
    if missing:
        shown = ", ".join(map(str, missing[:5])) + (", ..." if len(missing) > 5 else "")
        raise DataError(f"{root} lacks {len(missing)} episodes ({shown}); record again to fill the gap")
    recorded = [found[index] for index in sorted(found)]
    if not recorded:
        return [], pa.table({}), features or {}
    rows = pa.concat_tables(tables, promote_options="default").take([episode.row for episode in recorded])
    return recorded, rows, features or {}


def _publish(
    root: Path,
    spec: WorldSpec,
    fps: float,
    features: dict[str, Feature],
    recorded: list[Recorded],
    rows: pa.Table,
    before: Dataset | None,
    licence: str | None,
    progress: Progress,
) -> None:
    """Write the new episodes behind the old ones; info.json, which makes them visible, comes last."""
    tasks = _tasks(root, recorded)
    ends = np.cumsum(rows.column("length").to_numpy()) + (before.num_frames if before else 0)
    starts = ends - rows.column("length").to_numpy()
    next_file = _num_files(root, before, "data")
    videos = video_columns(features)
    finishing = Finishing(progress, len(recorded) * (1 + len(videos)))
    file_indices = write_data(root, recorded, starts, tasks, next_file, FILE_MB * 1e6, finishing)
    episodes_file = _num_files(root, before, "meta/episodes")
    places = {
        **place_of("data", file_indices),
        "dataset_from_index": starts,
        "dataset_to_index": ends,
        **place_of("meta/episodes", np.full(len(recorded), episodes_file)),
    }
    for column in videos:
        number = _num_files(root, before, f"videos/{column}")
        places |= write_videos(root, column, recorded, fps, number, VIDEO_MB * 1e6, finishing)
    for name, values in places.items():
        rows = rows.append_column(name, pa.array(values))
    publish(root / numbered(EPISODES_PATH, episodes_file), lambda path: pq.write_table(rows, path))

    num_episodes = len(recorded) + (before.num_episodes if before else 0)
    publish(root / TASKS, lambda path: pq.write_table(tasks_table(tasks), path))
    write_stats(root, num_episodes, features)
    new_files = {numbered(DATA_PATH, int(i)) for i in file_indices} | {numbered(EPISODES_PATH, episodes_file)}
    for column in videos:
        numbers = places[f"videos/{column}/chunk_index"] * CHUNK_FILES + places[f"videos/{column}/file_index"]
        new_files |= {numbered(VIDEO_PATH, int(number), column) for number in numbers}
    checksums = read_json(root / CHECKSUMS) if before else {}
    publish_json(root / CHECKSUMS, checksums | {name: sha256_of(root / name) for name in sorted(new_files)})
    publish_json(root / INFO, new_info(spec, fps, features, num_episodes, int(ends[-1]), len(tasks)))
    write_card(root, licence or licence_of(LocalFolder(root)))
    logger.info("%s holds %d episodes, %d frames", root, num_episodes, ends[-1])


def _tasks(root: Path, recorded: list[Recorded]) -> dict[str, int]:
    """Task in words -> its index: old ones keep theirs, new ones follow in the order of the episodes."""
    tasks = read_tasks(root) if (root / TASKS).exists() else {}
    for episode in recorded:
        tasks.setdefault(episode.task, len(tasks))
    return tasks


def _num_files(root: Path, before: Dataset | None, folder: str) -> int:
    """Number of files that the dataset has in a folder: the number of the next one."""
    if before is None:
        return 0
    table = read_episode_table(root, before.num_episodes, ["episode_index", f"{folder}/chunk_index", f"{folder}/file_index"])
    last = table.slice(len(table) - 1).to_pylist()[0]
    return last[f"{folder}/chunk_index"] * CHUNK_FILES + last[f"{folder}/file_index"] + 1


def _remove_leftovers(root: Path, before: Dataset | None) -> None:
    """Delete what a killed process left: unfinished files, and files that no published episode is in."""
    for folder in (RECORDING, "data", "videos", "meta"):
        for path in (root / folder).rglob(f".*{PART}"):
            path.unlink()
    for path in root.glob(f".{CARD}.*{PART}"):
        path.unlink()
    columns = video_columns(before.features) if before else [path.name for path in (root / "videos").glob("*")]
    places = [(DATA_PATH, "data", ""), (EPISODES_PATH, "meta/episodes", "")]
    for pattern, folder, column in places + [(VIDEO_PATH, f"videos/{column}", column) for column in columns]:
        kept = {numbered(pattern, number, column) for number in range(_num_files(root, before, folder))}
        for path in (root / folder).glob("chunk-*/file-*.*"):
            if str(path.relative_to(root)) not in kept:
                path.unlink()
