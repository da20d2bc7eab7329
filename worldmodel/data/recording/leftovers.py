"""What a killed writer leaves: unfinished files, and closed shards of a recording that was not finalized."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from worldmodel.atomic import PART
from worldmodel.data.format.features import INFO
from worldmodel.data.format.files import one_line, read_json, read_parquet, reading
from worldmodel.data.format.locks import lock
from worldmodel.data.format.world import LOCK
from worldmodel.data.recording.assemble import finalize
from worldmodel.data.recording.shards import FEATURES_KEY, RECORDING, ROWS, clips_of, frames_of, shard_rows
from worldmodel.data.upkeep.swap import STAGE, put_aside
from worldmodel.errors import DataError


def leftovers(root: Path, scratch: Path) -> list[Path]:
    """Files and folders under temporary names; nothing reads them. `scratch` is somebody's own."""
    folders = (root / "meta", root / "data", root / "videos", root / RECORDING)
    found = {path for folder in folders for path in folder.rglob(f".*{PART}")}
    found |= {*root.glob(f".*{PART}"), *root.glob(f"{STAGE}*")}
    return sorted(path for path in found if path != scratch)


def shards_waiting(root: Path) -> int:
    """Number of closed shards that no dataset has taken up."""
    return len(shard_rows(root))


def finish_recording(root: Path, aside: str) -> list[str]:
    """Set damaged shards aside and make the others part of the dataset; a line for each thing that was found.

    Shards that cannot be taken up yet, because episodes before them are missing, stay where they are.
    """
    notes = []
    busy = f"{root} is still being recorded by another process; repair it when it has finished"
    with lock(root / LOCK, exclusive=True, wait=2.0, busy=busy):
        for rows in shard_rows(root):
            why = _wrong(rows)
            if why:
                for path in (rows, frames_of(rows), clips_of(rows)):
                    put_aside(root, str(path.relative_to(root)), aside)
                notes.append(f"{RECORDING}/{rows.name.removesuffix(ROWS)} is set aside: {why}")
    waiting = shards_waiting(root)
    if waiting:
        try:
            finalize(root, wait=2.0)
            notes.append(f"{waiting} shards of a recording that was not finished are taken up")
        except DataError as error:
            _drop_taken_up(root)
            if shards_waiting(root):
                notes.append(f"{waiting} shards of a recording wait: {one_line(error)}")
            else:
                notes.append(f"{waiting} shards of a recording that was not finished are taken up")
    return notes


def _drop_taken_up(root: Path) -> None:
    """Delete the shards whose episodes the dataset counts already: finalizing failed after it had published them."""
    if not (root / INFO).exists():
        return
    total = read_json(root / INFO).get("total_episodes")
    for rows in shard_rows(root):
        indices = read_parquet(rows, ["episode_index"]).column("episode_index").to_pylist()
        if isinstance(total, int) and max(indices, default=0) < total:
            for path in (clips_of(rows), frames_of(rows), rows):
                path.unlink(missing_ok=True)


def _wrong(rows: Path) -> str:
    """Why a shard cannot be read; empty when it can."""
    try:
        table = read_parquet(rows)
        if FEATURES_KEY not in (table.schema.metadata or {}):
            raise DataError("it does not describe its columns")
        for path in (frames_of(rows), *([clips_of(rows)] if clips_of(rows).exists() else [])):
            with reading(path), pq.ParquetFile(path) as file:
                if file.num_row_groups != len(table):
                    raise DataError(f"{path.name} has {file.num_row_groups} episodes; expected {len(table)}")
                for group in range(file.num_row_groups):
                    file.read_row_group(group)
    except DataError as error:
        return one_line(error)
    return ""
