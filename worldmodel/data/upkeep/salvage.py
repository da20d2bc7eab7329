"""What can still be read of a damaged dataset's `meta`: its world, its columns, and the rows of its episodes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from worldmodel.data.format.episode_row import EpisodeRow, data_file, places_of, video_columns, video_place
from worldmodel.data.format.episodes_table import EPISODE_COLUMNS, ORIGIN_COLUMNS
from worldmodel.data.format.features import CHECKSUMS, DATA_PATH, INFO, LABEL, VIDEO_PATH, WORLD, Feature, features_of
from worldmodel.data.format.files import inside, one_line, read_parquet
from worldmodel.data.format.info import new_info, read_info, require_readable
from worldmodel.data.format.world import read_world
from worldmodel.data.recording.shards import shard_rows
from worldmodel.errors import DataError
from worldmodel.types import WorldSpec

MAX_LOST = 1_000_000
"""An info.json that counts this many more episodes than there are rows is not believed."""


@dataclass
class Remains:
    """What is left of `meta`."""

    root: Path
    """The dataset."""
    spec: WorldSpec
    """Its world."""
    fps: float
    """Frames per second."""
    info: dict[str, Any]
    """info.json, made anew where it is damaged; its totals are not to be believed."""
    table: pa.Table
    """The episode rows that can be read, every column, by index."""
    rows: tuple[EpisodeRow, ...]
    """The same, one an episode."""
    lost: list[tuple[int, str]] = field(default_factory=list)
    """Episodes without a row that can be read, and why."""
    damaged: list[Path] = field(default_factory=list)
    """Files of `meta` that cannot be read, or say what is not so."""
    notes: list[str] = field(default_factory=list)
    """A line for each of them."""


def read_remains(root: Path) -> Remains:
    """Everything of `meta` that can be read.

    Raises:
        DataError: it is beyond repair: the world is lost, or not one episode row is left.
    """
    if not (root / WORLD).exists() and (root / INFO).exists() and not (root / CHECKSUMS).exists():
        raise DataError(f"{root} was made by another program, which left no digests to compare with; 'worldmodel import' it")
    if not (root / WORLD).exists():
        known = (
            f"{INFO} alone does not say how sensors and actions are bounded" if (root / INFO).exists() else "so is info.json"
        )
        raise DataError(f"{root} cannot be repaired: {WORLD} is missing, and {known}; copy it from a dataset of the same world")
    try:
        spec, fps = read_world(root)
    except DataError as error:
        raise DataError(f"{root} cannot be repaired: {error}; copy {WORLD} from a dataset of the same world") from error
    damaged, notes = [], []
    try:
        info = _sound_info(root, spec)
        total = int(info["total_episodes"])
    except DataError as error:
        info, total = new_info(spec, fps, _features(root, spec), 0, 0, 0), None
        if (root / INFO).exists():
            damaged.append(root / INFO)
        notes.append(f"{INFO} is made anew: {_after(error, INFO) if (root / INFO).exists() else 'it is missing'}")
    table, broken = _read_tables(root, {*EPISODE_COLUMNS, *places_of(video_columns(info["features"]))})
    damaged += [path for path, _ in broken]
    notes += [f"{path.relative_to(root)} is set aside: {why}" for path, why in broken]
    if total is not None and shard_rows(root):  # rows beyond are those of an append that was not finished
        table = table.filter(table.column("episode_index").to_numpy() < total)
    rows, bad = [], {}
    for place, values in enumerate(table.to_pylist()):
        try:
            rows.append((place, _row(root, info, spec, values)))
        except DataError as error:
            bad[int(values["episode_index"])] = _after(error, "meta/episodes")
    lost = sorted(bad.items())
    found = {row.episode_index for _, row in rows} | set(bad)
    expected = total if total is not None and total <= len(found) + MAX_LOST else max(found, default=-1) + 1
    lost += [(index, "its row in meta/episodes is lost") for index in sorted(set(range(expected)) - found)]
    if not rows:
        raise DataError(
            f"{root} cannot be repaired: no row of meta/episodes can be read, and nothing else holds seeds and results"
        )
    table = table.take([place for place, _ in rows])
    return Remains(root, spec, fps, info, table, tuple(row for _, row in rows), lost, damaged, notes)


def _sound_info(root: Path, spec: WorldSpec) -> dict[str, Any]:
    """info.json when it says what this program would write."""
    info = read_info(root)
    require_readable(root / INFO, info["features"])
    for name, expected in features_of(spec, {}).items():
        got = info["features"].get(name, {})
        if any(got.get(key) != expected[key] for key in ("dtype", "shape")):
            raise DataError(f"column {name!r} is not that of the world")
    if info["data_path"] != DATA_PATH or info.get("video_path") not in (None, VIDEO_PATH):
        raise DataError(f"its paths are {info['data_path']!r} and {info.get('video_path')!r}")
    return info


def _features(root: Path, spec: WorldSpec) -> dict[str, Feature]:
    """The columns, from the world and from what the first readable data file says of its labels."""
    for path in sorted(root.glob("data/chunk-*/file-*.parquet")):
        try:
            described = json.loads((pq.read_schema(path).metadata or {})[b"huggingface"])["info"]["features"]
            labels = {name: _example(value) for name, value in described.items() if name.startswith(LABEL)}
        except (OSError, pa.ArrowException, ValueError, KeyError, TypeError):
            continue
        return features_of(spec, {name.removeprefix(LABEL): value for name, value in labels.items()})
    raise DataError(f"{root} cannot be repaired: {INFO} is damaged, and no data file can be read")


def _example(described: dict[str, Any]) -> np.ndarray:
    """An array of one row of the column that Hugging Face `datasets` knows by this description."""
    if described["_type"] == "Sequence":
        return np.zeros((1, described["length"]), described["feature"]["dtype"])
    return np.zeros((1, *described.get("shape", ())), described["dtype"])


def _read_tables(root: Path, needed: set[str]) -> tuple[pa.Table, list[tuple[Path, str]]]:
    """The rows of all the files that can be read, by index and each index once; the other files, and why."""
    tables: list[pa.Table] = []
    broken = []
    for path in sorted(root.glob("meta/episodes/chunk-*/file-*.parquet")):
        try:
            table = read_parquet(inside(root, str(path.relative_to(root)))).replace_schema_metadata(None)
            missing = sorted(needed - set(table.column_names))
            if missing:
                raise DataError(f"it has no column {missing[0]!r}")
            pa.concat_tables([*tables, table], promote_options="default")
        except (DataError, pa.ArrowException) as error:
            broken.append((path, _after(error, str(path))))
        else:
            tables.append(table)
    if not tables:
        return pa.table({name: pa.array([], pa.int64()) for name in needed}), broken
    table = pa.concat_tables(tables, promote_options="default")
    table = table.filter(table.column("episode_index").is_valid()).sort_by("episode_index")
    _, first = np.unique(table.column("episode_index").to_numpy(), return_index=True)
    return table.take(first), broken


def _row(root: Path, info: dict[str, Any], spec: WorldSpec, values: dict[str, Any]) -> EpisodeRow:
    """One episode's row. DataError when a value is missing or makes no sense."""
    numbers = ("length", "seed", "dataset_from_index", "data/chunk_index", "data/file_index")
    if any(type(values[name]) is not int or values[name] < 0 for name in numbers) or values["length"] < 2:
        raise DataError("its row holds impossible numbers")
    if any(type(values[name]) is not bool for name in ("success", "terminated", "truncated")):
        raise DataError("its row does not say how it ended")
    if not isinstance(values["tasks"], list) or len(values["tasks"]) != 1 or not isinstance(values["tasks"][0], str):
        raise DataError("its row names no task")
    if not isinstance(values["sha256"], str) or not isinstance(values["return"], float):
        raise DataError("its row lacks its digest or its return")
    if any(value is None for name, value in values.items() if name.startswith("stats/")):
        raise DataError("its row lacks statistics")
    origin = {name: values.get(name) for name in ORIGIN_COLUMNS if name != "variation"}
    try:
        variation = json.loads(values.get("variation") or "{}")
        return EpisodeRow(
            **{
                name: values[name]
                for name in ("episode_index", "length", "seed", "success", "terminated", "truncated", "sha256")
            },
            total_reward=values["return"],
            instruction=values["tasks"][0],
            first_frame=values["dataset_from_index"],
            file=data_file(root, info, values),
            **{name: getattr(spec, name) if value is None else value for name, value in origin.items()},
            variation=variation,
            videos={column: video_place(root, info, values, column) for column in video_columns(info["features"])},
        )
    except (TypeError, ValueError) as error:
        raise DataError(f"its row is damaged: {one_line(error)}") from error


def _after(error: BaseException, name: str) -> str:
    """What an error says, without the path that it begins with."""
    text = one_line(error)
    _, found, rest = text.partition(name)
    return (rest if found else text).lstrip(": ").removeprefix("is damaged: ") or text
