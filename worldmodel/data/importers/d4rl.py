"""D4RL's HDF5 files: every step of every episode in one array, cut where `terminals` or `timeouts` say so.

    observations (N, ...), actions (N, A), rewards (N,), terminals (N,), timeouts (N,)     [next_observations, infos/*]

Layout: Farama-Foundation/D4RL, "Using D4RL".
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from worldmodel.data.importers.base import LAST_LEFT_OUT, SourceEpisode, SourceField, SourceInfo
from worldmodel.data.importers.hdf5 import arrays_in, field_of, is_hdf5, opened, rows_of
from worldmodel.data.importers.identity import identity_of
from worldmodel.data.importers.plan import free_key, safe
from worldmodel.errors import DataError

KIND = "d4rl"
_ENDS = ("terminals", "timeouts")
_NEXT = "next_observations"


def is_d4rl(path: Path) -> bool:
    """An HDF5 file with observations at its root, and the ends of episodes."""
    if not is_hdf5(path):
        return False
    with opened(path) as file:
        return "observations" in file and any(name in file for name in _ENDS)


class D4RL:
    """A D4RL file, read an episode at a time; a `Source`. Fields are paths in the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with opened(path) as file:
            if "observations" not in file or not any(name in file for name in _ENDS):
                raise DataError(f"{path} has no 'observations' with 'terminals' or 'timeouts'; it is no D4RL file")
            self.paths = {name: (array.shape, array.dtype) for name, array in arrays_in(file)}
            steps = [name for name in self.paths if name == "observations" or name.startswith("observations/")]
            self.num_rows = int(self.paths[steps[0]][0][0])
            ends = np.zeros(self.num_rows, bool)
            self.ended: dict[str, np.ndarray] = {}
            for name in _ENDS:
                flags: Any = file[name][()].reshape(-1) != 0 if name in file else np.zeros(self.num_rows, bool)
                if len(flags) != self.num_rows:
                    raise DataError(f"{path.name}: field {name!r} has {len(flags)} rows; expected {self.num_rows}")
                self.ended[name] = flags
                ends |= flags
        stops = np.flatnonzero(ends) + 1
        if not len(stops) or stops[-1] < self.num_rows:
            stops = np.append(stops, self.num_rows)  # the file ends within an episode
        starts = np.concatenate([[0], stops[:-1]])
        self.has_next = any(name.startswith(_NEXT) for name in self.paths)
        enough = stops - starts >= (1 if self.has_next else 2)
        self.short = int((~enough).sum())
        self.starts, self.stops = starts[enough], stops[enough]
        if not len(self.starts):
            raise DataError(f"{path.name} has no episode of 2 frames or more")
        self.info = self._describe()

    def describe(self) -> SourceInfo:
        """The arrays that have a row a step as fields."""
        return self.info

    def _describe(self) -> SourceInfo:
        self.fields: dict[str, SourceField] = {}
        left_out = []
        for name, (shape, dtype) in self.paths.items():
            if name in _ENDS or name.startswith(_NEXT):
                continue
            if not shape or shape[0] != self.num_rows or dtype.kind not in "biuf":
                left_out.append(f"{name} ({dtype} {list(shape)})")
                continue
            self.fields[name] = self._field(name, shape[1:], dtype)
        notes = ["D4RL tells no success of an episode: false, unless the map says which field is success"]
        if not self.has_next:
            notes.append(LAST_LEFT_OUT)
        elif any(field.role == "label" for field in self.fields.values()):
            notes.append(
                "labels have no row for the frame after the last step: with them, the last action of each episode, and its "
                "reward, are left out; drop them in the map to keep it"
            )
        if self.short:
            notes.append(f"{self.short} episodes of a single frame are left out; those after them move up")
        return SourceInfo(
            name=self.path.name,
            fields=self.fields,
            num_episodes=len(self.starts),
            identity=identity_of(KIND, self.path, [self.path]),
            notes=tuple(notes),
            left_out=tuple(left_out),
        )

    def read(self, k: int, fields: Collection[str]) -> SourceEpisode:
        """The steps between two ends."""
        start, stop = int(self.starts[k]), int(self.stops[k])
        values = {}
        with opened(self.path) as file:
            for name in fields:
                source: Any = file[name]
                rows = source[start:stop]
                after = name.replace("observations", _NEXT, 1)
                if name.startswith("observations") and after in file:
                    following: Any = file[after]
                    rows = np.concatenate([rows, following[stop - 1 : stop]])
                values[name] = rows_of(rows, self.fields[name])
        terminated = bool(self.ended["terminals"][stop - 1])
        return SourceEpisode(values, stop - start, terminated, not terminated, success=False, seed=k, instruction="")

    def _field(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> SourceField:
        if name in ("actions", "rewards"):
            return SourceField("action" if name == "actions" else "reward", name, shape, dtype.name)
        if name.startswith("observations"):
            wanted = safe(name.removeprefix("observations").strip("/").replace("/", ".")) if "/" in name else "proprio"
            field = field_of(shape, dtype, free_key(wanted, {f.key for f in self.fields.values()}))
            assert field is not None  # numbers, as the caller checked
            return field
        return SourceField("label", safe(name.replace("/", ".")), shape, dtype.name)
