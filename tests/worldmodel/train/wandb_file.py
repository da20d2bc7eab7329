"""Reads an offline W&B run without network: LevelDB's log format around protocol buffers.

The file opens with a 7-byte header. Then come blocks of 32 KiB, each a sequence of records: `<IHB` (crc, length, type), then
that many bytes. A record that does not fit a block is cut into first (2), middle (3) and last (4) ones; a whole one is 1.
"""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record  # pyright: ignore[reportAttributeAccessIssue] (made at run time)

HEADER, BLOCK, PREFIX = 7, 32768, struct.Struct("<IHB")
FULL, FIRST, LAST = 1, 2, 4


@dataclass
class OfflineRun:
    """What one .wandb file says."""

    run_id: str = ""
    project: str = ""
    group: str = ""
    name: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, str] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    artifacts: list[tuple[str, str, tuple[str, ...]]] = field(default_factory=list)
    finished: bool = False


def payloads(content: bytes) -> Iterator[bytes]:
    """The records of the log, put together again."""
    place, parts = HEADER, b""
    while place + PREFIX.size <= len(content):
        if BLOCK - place % BLOCK < PREFIX.size:  # the rest of a block is too small for a record
            place += BLOCK - place % BLOCK
            continue
        _, length, kind = PREFIX.unpack_from(content, place)
        place += PREFIX.size
        if kind == 0:
            return
        piece = content[place : place + length]
        if len(piece) < length:  # still being written
            return
        place += length
        parts = piece if kind in (FULL, FIRST) else parts + piece
        if kind in (FULL, LAST):
            yield parts


def read_offline_run(run_dir: Path, patience: float = 30.0) -> list[OfflineRun]:
    """Every W&B run under RUN/wandb, the earliest first, once each is finished.

    W&B's own process may still be writing when `finish` returns: it is waited for, for `patience` seconds.
    """
    deadline = time.monotonic() + patience
    while True:
        paths = sorted((run_dir / "wandb").glob("offline-run-*/run-*.wandb"), key=lambda p: p.stat().st_mtime)
        runs = [_read(path) for path in paths]
        if runs and all(run.finished for run in runs):
            return runs
        if time.monotonic() > deadline:
            raise TimeoutError(f"{run_dir / 'wandb'} holds no finished run after {patience:.0f} s")
        time.sleep(0.05)


def _read(path: Path) -> OfflineRun:
    run = OfflineRun()
    for payload in payloads(path.read_bytes()):
        record = Record()
        record.ParseFromString(payload)
        match record.WhichOneof("record_type"):
            case "run":
                run.run_id, run.project = record.run.run_id, record.run.project
                run.group, run.name = record.run.run_group, record.run.display_name
                run.config |= _items(record.run.config.update)
            case "config":
                run.config |= _items(record.config.update)
            case "history":
                run.history.append(_items(record.history.item))
            case "summary":
                run.summary |= _items(record.summary.update)
            case "metric":
                run.metrics[record.metric.name or record.metric.glob_name] = record.metric.step_metric
            case "files":
                run.files += [file.path for file in record.files.files]
            case "exit":
                run.finished = True
            case "artifact":
                run.artifacts.append((record.artifact.name, record.artifact.type, tuple(sorted(record.artifact.aliases))))
    return run


def _items(items: Any) -> dict[str, Any]:
    """Key -> value; a nested key makes nested dictionaries."""
    values: dict[str, Any] = {}
    for item in items:
        *outer, last = item.nested_key or [item.key]
        place = values
        for key in outer:
            place = place.setdefault(key, {})
        place[last] = json.loads(item.value_json)
    return values
