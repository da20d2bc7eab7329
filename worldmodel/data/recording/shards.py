"""The shards of a dataset that is being recorded: their files, and which episodes are safe in them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from worldmodel.data.format.features import INFO
from worldmodel.data.format.files import read_json, read_parquet
from worldmodel.errors import DataError

RECORDING = "recording"
ROWS = ".episodes.parquet"
FRAMES = ".frames.parquet"
CLIPS = ".clips.parquet"
FEATURES_KEY = b"worldmodel.features"
"""Key of the file metadata under which a shard's rows keep their features."""


def write_row_groups(path: Path, tables: list[pa.Table]) -> None:
    """Write one row group a table, so that one episode can be read without its neighbours."""
    # PNG bytes gain nothing from a dictionary
    with pq.ParquetWriter(path, tables[0].schema, use_dictionary=False) as file:
        for table in tables:
            file.write_table(table)


def require_counted(root: Path) -> None:
    """Raise DataError when finished episodes are there and the info.json that counts them is not: they would be recorded over.

    A `finalize` that was killed before it published info.json leaves rows too, but still has the shards that they are of.
    """
    if (root / INFO).exists():
        return
    uncounted: set[int] = set()
    for path in (root / "meta/episodes").glob("chunk-*/file-*.parquet"):
        uncounted.update(read_parquet(path, ["episode_index"]).column("episode_index").to_pylist())
    for path in shard_rows(root) if uncounted else ():
        uncounted.difference_update(read_parquet(path, ["episode_index"]).column("episode_index").to_pylist())
    if uncounted:
        raise DataError(f"{root} holds {len(uncounted)} episodes and has lost its {INFO}; run 'worldmodel repair {root}' first")


def recorded_episodes(root: Path) -> set[int]:
    """Indices of the episodes that are safe on disk, finalized or not; empty when nothing is recorded yet.

    Raises:
        DataError: files of the dataset are damaged or missing.
    """
    root = Path(root)
    require_counted(root)
    found: set[int] = set()
    if (root / INFO).exists():
        total = read_json(root / INFO).get("total_episodes")
        if not isinstance(total, int):
            raise DataError(f"{root / INFO} is damaged: total_episodes is {total!r}; expected a whole number")
        for path in (root / "meta/episodes").glob("chunk-*/file-*.parquet"):
            indices = read_parquet(path, ["episode_index"]).column("episode_index").to_pylist()
            found.update(index for index in indices if index < total)  # the rest is of an unfinished append
    for path in shard_rows(root):
        found.update(read_parquet(path, ["episode_index"]).column("episode_index").to_pylist())
    return found


def shard_rows(root: Path) -> list[Path]:
    """Files of episode rows of the closed shards, sorted by name."""
    return sorted((root / RECORDING).glob(f"*{ROWS}"))


def frames_of(rows: Path) -> Path:
    """The file of frames beside a file of episode rows."""
    return rows.with_name(rows.name.removesuffix(ROWS) + FRAMES)


def clips_of(rows: Path) -> Path:
    """The file of video clips beside a file of episode rows; there is none when the world has no video."""
    return rows.with_name(rows.name.removesuffix(ROWS) + CLIPS)
