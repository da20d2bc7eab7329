"""A folder of films, an episode each, with or without a table of what was done.

    a.mp4 b.mp4                        films alone: a world without actions
    a.mp4 a.csv b.mp4 b.csv            a table a film (csv or parquet), a row a frame or a row between two frames
    a.mp4 b.mp4 actions.parquet        one table for all, with a column `video` (name, with or without suffix) or
                                       `episode` (number of the film in the order of the names, from 0)

Columns `reward` and `success` are that; `frame` or `timestamp` put the rows in order; every other column of numbers is an
element of the action unless the map says otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from worldmodel.data.format.files import one_line, read_parquet
from worldmodel.data.importers.base import Role, SourceEpisode, SourceField, SourceInfo
from worldmodel.data.importers.identity import identity_of
from worldmodel.data.importers.pixels import VIDEO_SUFFIXES, video_frames, video_shape
from worldmodel.data.importers.values import column_values
from worldmodel.errors import DataError

KIND = "videos"
TABLES = (".csv", ".parquet")
PICTURES = "video"
"""Name of the field of the films."""
_NUMBER = ("episode", "episode_index")
_NAME = ("video", "video_name", "file", "filename")
_ORDER = ("frame", "frame_index", "timestamp")
_ROLES: dict[str, Role] = {"reward": "reward", "success": "success"}


def is_videos(path: Path) -> bool:
    """A folder with a film in it."""
    return path.is_dir() and any(_is_film(child) for child in path.iterdir())


class Videos:
    """Films of a folder in the natural order of their names; a `Source`. The table's columns are its fields."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.films = sorted((path for path in root.iterdir() if _is_film(path)), key=lambda path: _natural(path.name))
        if not self.films:
            raise DataError(f"{root} holds no film ({', '.join(VIDEO_SUFFIXES)})")
        stems = [path.stem for path in self.films]
        twice = sorted({stem for stem in stems if stems.count(stem) > 1})
        if twice:
            raise DataError(f"{root} has two films called {twice[0]!r}; each needs its own name")
        tables = sorted(path for path in root.iterdir() if path.suffix.lower() in TABLES and not path.name.startswith("."))
        self.own = {path.stem: path for path in tables if path.stem in stems}
        self.shared = [path for path in tables if path.stem not in stems]
        if len(self.own) + len(self.shared) < len(tables):
            raise DataError(f"{root} has two tables for one film; expected a csv or a parquet file, not both")
        if self.own and self.shared:
            raise DataError(f"{root} has tables of single films and also {self.shared[0].name}, which belongs to no film")
        if len(self.shared) > 1:
            raise DataError(
                f"{root} has the tables {self.shared[0].name} and {self.shared[1].name}; expected one for all films"
            )
        missing = [stem for stem in stems if self.own and stem not in self.own]
        if missing:
            raise DataError(f"{root} has a table for some films and none for {missing[0]!r}")
        self.whole = _by_film(_read_table(self.shared[0]), self.films, self.shared[0]) if self.shared else None
        self.info = self._describe()

    def describe(self) -> SourceInfo:
        """The film's frames and the table's columns as fields, as the first episode has them."""
        return self.info

    def read(self, k: int, fields: Collection[str]) -> SourceEpisode:
        """Film `k`, decoded one frame at a time, and its rows of the table."""
        what = f"{self.root.name}: episode {k} ({self.films[k].name})"
        table = self._table(k)
        values = {}
        for name in fields:
            if name == PICTURES:
                values[name] = video_frames(self.films[k])
            elif table is None or name not in table.column_names:
                raise DataError(f"{what} has no field {name!r} in its table")
            else:
                values[name] = column_values(table.column(name), self.info.fields[name].shape, f"{what}: field {name!r}")
        steps = len(table) if table is not None else None
        return SourceEpisode(values, steps, terminated=False, truncated=True, success=False, seed=k, instruction="")

    def _describe(self) -> SourceInfo:
        shape, rate = video_shape(self.films[0])
        fields = {PICTURES: SourceField("image", PICTURES, shape, "uint8")}
        left_out = []
        table = self._table(0)
        for name in table.column_names if table is not None else ():
            kind = table.schema.field(name).type  # type: ignore[union-attr]
            width: tuple[int, ...] = ()
            if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
                width, kind = (len(table.column(name)[0]),) if len(table) else (1,), kind.value_type  # type: ignore
            if name in (*_NUMBER, *_NAME, *_ORDER):
                continue
            if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
                left_out.append(f"{name} ({kind})")
                continue
            dtype = "bool" if pa.types.is_boolean(kind) else kind.to_pandas_dtype()().dtype.name
            fields[name] = SourceField(_ROLES.get(name, "action"), name, width, dtype)
        rates = {rate for _, rate in map(video_shape, self.films)}
        untold = ["task", "end of an episode"] if "success" in fields else ["success", "task", "end of an episode"]
        notes = [f"films tell no {', no '.join(untold)}: truncated, and the rest empty or false unless the map says otherwise"]
        if table is not None:
            notes.append("a row of the table for the last frame of a film is left out: no frame follows it")
        if len(rates) > 1:
            notes.append("the films have different rates: the first one's is taken for all")
        return SourceInfo(
            name=self.root.name,
            fields=fields,
            num_episodes=len(self.films),
            identity=identity_of(KIND, self.root, [*self.films, *self.own.values(), *self.shared]),
            fps=float(rate) if rate else None,
            notes=tuple(notes),
            left_out=tuple(left_out),
        )

    def _table(self, k: int) -> pa.Table | None:
        if self.whole is not None:
            return _in_order(self.whole[k])
        return _in_order(_read_table(self.own[self.films[k].stem])) if self.own else None


def _is_film(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES and path.is_file() and not path.name.startswith(".")


def _natural(name: str) -> list[tuple[int, str]]:
    """video_10 comes after video_9."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _read_table(path: Path) -> pa.Table:
    if path.suffix.lower() == ".parquet":
        return read_parquet(path)
    try:
        return csv.read_csv(path)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no table of comma-separated values: {one_line(error)}") from error


def _by_film(table: pa.Table, films: list[Path], path: Path) -> list[pa.Table]:
    """The rows of each film."""
    number = next((name for name in _NUMBER if name in table.column_names), None)
    named = next((name for name in _NAME if name in table.column_names), None)
    if named is not None:
        owners = [Path(str(name)).stem for name in table.column(named).to_pylist()]
        known = {film.stem: k for k, film in enumerate(films)}
        unknown = sorted(set(owners) - set(known))
        if unknown:
            raise DataError(f"{path}: column {named!r} names {unknown[0]!r}, which is no film of the folder")
        owner = np.array([known[name] for name in owners], np.int64)
    elif number is not None:
        owner = column_values(table.column(number), (), f"{path}: column {number!r}")
        if len(owner) and not 0 <= owner.min() <= owner.max() < len(films):
            raise DataError(f"{path}: column {number!r} goes from {owner.min()} to {owner.max()}; there are {len(films)} films")
    elif len(films) == 1:
        return [table]
    else:
        raise DataError(f"{path} has no column 'video' or 'episode' to tell which rows are which of {len(films)} films")
    parts = [table.filter(pa.array(owner == k)) for k in range(len(films))]
    empty = [film.name for film, part in zip(films, parts, strict=True) if not len(part)]
    if empty:
        raise DataError(f"{path} has no rows for the film {empty[0]!r}")
    return parts


def _in_order(table: pa.Table) -> pa.Table:
    """The rows by time, where a column tells."""
    name = next((name for name in _ORDER if name in table.column_names), None)
    if name is None:
        return table
    return table.take(pc.sort_indices(table, sort_keys=[(name, "ascending")]))  # type: ignore[attr-defined]
