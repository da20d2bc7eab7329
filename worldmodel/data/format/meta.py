"""The files of `meta` that follow from the episodes: tasks, statistics, checksums, totals; and the dataset's card."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from worldmodel.data.dataset import Dataset
from worldmodel.data.format.card import card
from worldmodel.data.format.episodes_table import merged_stats
from worldmodel.data.format.features import CHECKSUMS, IMPORTED, INFO, STATS, TASKS, Feature
from worldmodel.data.format.files import Folder, publish, publish_json, read_json, sha256_of
from worldmodel.data.format.tasks import tasks_table
from worldmodel.errors import DataError

CARD = "README.md"
LICENCE = "apache-2.0"
"""Licence of a recorded dataset whose card does not say."""
UNKNOWN = "unknown"
"""Licence of an imported one."""


def write_meta(
    root: Path, info: dict[str, Any], num_episodes: int, num_frames: int, tasks: dict[str, int], licence: str
) -> None:
    """Everything in `meta` but the episode rows and the world, which must be there; info.json comes last, then the card.

    Args:
        root: the dataset.
        info: an info.json to take everything from but the totals.
        num_episodes: that the dataset holds.
        num_frames: of all of them.
        tasks: task in words -> its number.
        licence: of the data, as the hub spells it.
    """
    publish(root / TASKS, lambda path: pq.write_table(tasks_table(tasks), path))
    write_stats(root, num_episodes, info["features"])
    write_checksums(root, {})
    totals = {"total_episodes": num_episodes, "total_frames": num_frames, "total_tasks": len(tasks)}
    publish_json(root / INFO, info | totals | {"splits": {"train": f"0:{num_episodes}"}})
    write_card(root, licence)


def write_stats(root: Path, num_episodes: int, features: dict[str, Feature]) -> None:
    """meta/stats.json of the statistics in the episode rows."""
    stats = merged_stats(root, num_episodes, features)
    publish_json(root / STATS, {name: {key: value.tolist() for key, value in of.items()} for name, of in stats.items()})


def write_checksums(root: Path, known: dict[str, str]) -> None:
    """meta/checksums.json of all data files, episode rows and videos; `known` ones are not computed again."""
    names = sorted(str(path.relative_to(root)) for path in content_files(root))
    publish_json(root / CHECKSUMS, {name: known.get(name) or sha256_of(root / name) for name in names})


def write_card(root: Path, licence: str) -> None:
    """The dataset's README."""
    publish(root / CARD, card(Dataset.open(root), licence).encode())


def wrong_card(dataset: Dataset) -> str:
    """What is wrong with the card. It may have been written by hand: it has to be a text that names the fingerprint."""
    try:
        text = (dataset.root / CARD).read_text(encoding="utf-8")
    except FileNotFoundError:
        return "it is missing"
    except (OSError, UnicodeError):
        return "it is no text"
    return "" if dataset.fingerprint in text else "it does not name the fingerprint of these episodes"


def content_files(root: Path) -> list[Path]:
    """Files that hold episodes: data, videos and episode rows."""
    patterns = ("data/chunk-*/file-*.parquet", "meta/episodes/chunk-*/file-*.parquet", "videos/*/chunk-*/file-*.mp4")
    return sorted(path for pattern in patterns for path in root.glob(pattern))


def licence_of(folder: Folder) -> str:
    """The licence that a dataset's card states, or, before there is one, the record of its import."""
    try:
        text = folder.path(CARD).read_text(encoding="utf-8")
    except (OSError, UnicodeError, DataError):
        text = ""
    for pattern in (r"^## Licence\n\n(.+)$", r"^license: (\S+)$"):
        if found := re.search(pattern, text, re.MULTILINE):
            return found[1]
    if (folder.root / IMPORTED).exists():
        return str(read_json(folder.root / IMPORTED).get("map", {}).get("licence", UNKNOWN))
    return LICENCE
