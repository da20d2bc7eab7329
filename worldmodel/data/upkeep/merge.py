"""Datasets that fit each other into one: `worldmodel merge A B --out C`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from worldmodel.data.dataset import Dataset
from worldmodel.data.format.episodes_table import ORIGIN_COLUMNS, read_whole_episode_table
from worldmodel.data.format.features import CHECKSUMS, WORLD, Feature
from worldmodel.data.format.files import publish_json, read_json, sha256_of
from worldmodel.data.format.meta import licence_of, write_meta
from worldmodel.data.upkeep.gather import Part, gather
from worldmodel.data.upkeep.swap import new_folder
from worldmodel.errors import DataError, MismatchError
from worldmodel.progress import NoProgress, Progress


@dataclass(frozen=True)
class Merged:
    """What a merge made."""

    num_episodes: int
    """Episodes of the new dataset."""
    duplicates: tuple[tuple[str, int, str, int], ...]
    """Episodes that were left out, because the same one came before: (dataset, number, dataset before, its number)."""


def merge(roots: Sequence[Path | str], out: Path, progress: Progress | None = None) -> Merged:
    """Join datasets, or views of datasets, in this order; an episode that is in several is taken once.

    The world is that of the first one. The new dataset appears whole or not at all; a killed merge is run again.

    Args:
        roots: two datasets or more.
        out: folder of the new one, which must not be there.
        progress: told the number of episodes done.

    Raises:
        MismatchError: they do not fit; the message has one line for each difference.
        DataError: something is no dataset, damaged, or in the way.
    """
    if len(roots) < 2:
        raise DataError("one dataset alone cannot be merged; name two or more")
    datasets = [Dataset.open(root) for root in roots]
    lines = [
        line for name, other in zip(roots[1:], datasets[1:], strict=True) for line in misfits(datasets[0], other, str(name))
    ]
    if lines:
        raise MismatchError("\n".join([f"not merged: {len(lines)} differences from {roots[0]}", *lines]))
    chosen, duplicates = _without_duplicates([str(root) for root in roots], datasets)
    for dataset in datasets:
        if out.resolve().is_relative_to(dataset.root.resolve()):
            raise DataError(f"{out} lies in {dataset.root}, which is one of the datasets; choose another folder")
    with new_folder(out) as part:
        progress = progress or NoProgress()
        for dataset in chosen:
            _require_whole(dataset, progress)
        num_episodes = _write(chosen, part, progress)
    return Merged(num_episodes, tuple(duplicates))


def misfits(first: Dataset, other: Dataset, name: str) -> list[str]:
    """One line for each reason why `other`, called `name`, cannot be joined to `first`."""
    if not other.layout.ours:
        return [f"{name}: was made by another program; 'worldmodel import' it first"]
    lines = first.spec.differences(other.spec)
    extra = sorted(set(other.spec.sensors) - set(first.spec.sensors))
    lines += [f"sensor {key!r} is not expected" for key in extra]
    if first.spec.env_id != other.spec.env_id:
        lines.append(f"environment: {first.spec.env_id!r} expected, {other.spec.env_id!r} got")
    for key in sorted(first.spec.sensors.keys() & other.spec.sensors.keys()):
        if first.spec.sensors[key].privileged != other.spec.sensors[key].privileged:
            lines.append(f"sensor {key!r} privileged: {first.spec.sensors[key].privileged} expected")
    if first.fps != other.fps:
        lines.append(f"frames per second: {first.fps:g} expected, {other.fps:g} got")
    ours, theirs = _columns(first.features), _columns(other.features)
    for column in sorted(ours.keys() | theirs.keys()):
        if ours.get(column) != theirs.get(column):
            lines.append(f"column {column!r}: {ours.get(column, 'none')} expected, {theirs.get(column, 'none')} got")
    return [f"{name}: {line}" for line in lines]


def _columns(features: dict[str, Feature]) -> dict[str, str]:
    return {name: f"{feature['dtype']} {feature['shape']}" for name, feature in features.items()}


def _without_duplicates(names: list[str], datasets: list[Dataset]) -> tuple[list[Dataset], list[tuple[str, int, str, int]]]:
    """The datasets with those episodes that none before them has, and what is left out."""
    seen: dict[str, tuple[str, int]] = {}
    chosen, duplicates = [], []
    for name, dataset in zip(names, datasets, strict=True):
        new = []
        for place, row in enumerate(dataset.episodes):
            if row.sha256 in seen:
                duplicates.append((name, place, *seen[row.sha256]))
            else:
                seen[row.sha256] = (name, place)
                new.append(place)
        if new:
            chosen.append(dataset.select(new))
    return chosen, duplicates


def _write(datasets: list[Dataset], part: Path, progress: Progress) -> int:
    """Write all of the new dataset into an empty folder; its number of episodes."""
    rows, tasks = gather([_part_of(dataset) for dataset in datasets], part, progress=progress)
    first = datasets[0]
    licence = "; ".join(dict.fromkeys(licence_of(dataset.folder) for dataset in datasets))
    publish_json(part / WORLD, read_json(first.root / WORLD))
    info = json.loads(json.dumps(first.info))
    write_meta(part, info, len(rows), sum(rows.column("length").to_pylist()), tasks, licence)
    return len(rows)


def _require_whole(dataset: Dataset, progress: Progress) -> None:
    """Raise DataError when a file of these episodes is not what was written: a merge must not give damage a new checksum."""
    checksums = read_json(dataset.root / CHECKSUMS)
    names = {row.file for row in dataset.episodes} | {place.file for row in dataset.episodes for place in row.videos.values()}
    for done, name in enumerate(sorted(names)):
        progress.update(done, len(names), checking=str(dataset.root))
        if sha256_of(dataset.folder.path(name)) != checksums.get(name):
            raise DataError(f"{dataset.root / name} is damaged: its checksum differs; run 'worldmodel repair' on it first")


def _part_of(dataset: Dataset) -> Part:
    """The episodes of a dataset or of a selection, for `gather`."""
    rows = read_whole_episode_table(dataset.root, dataset.whole.num_episodes).take(np.asarray(dataset.indices))
    for name in ORIGIN_COLUMNS:  # each dataset may leave them out, and they need not be the same in all
        if name in rows.column_names:
            rows = rows.drop_columns(name)
        values = [getattr(row, name) for row in dataset.episodes]
        texts = [json.dumps(value, sort_keys=True) if name == "variation" else value for value in values]
        rows = rows.append_column(name, pa.array(texts, pa.string()))
    starts = {name: frames.start for name, frames in dataset.whole.data_files.items()}
    return Part(
        root=dataset.root,
        rows=rows,
        files=[dataset.folder.path(row.file) for row in dataset.episodes],
        offsets=[row.first_frame - starts[row.file] for row in dataset.episodes],
    )
