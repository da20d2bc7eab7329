"""Minari's local datasets, an episode at a time, through the minari package; nothing is downloaded, no environment is made."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from worldmodel.data.format.files import one_line, read_json
from worldmodel.data.importers.base import Role, SourceEpisode, SourceField, SourceInfo
from worldmodel.data.importers.hdf5 import field_of, rows_of
from worldmodel.data.importers.identity import identity_of
from worldmodel.data.importers.plan import free_key, safe
from worldmodel.errors import DataError, MissingExtraError

KIND = "minari"
_SUCCESS = ("success", "is_success")
_MAX_CHOICES = 64
"""A discrete action of more choices than this is refused: it becomes one number a choice."""


def is_minari(path: Path) -> bool:
    """The folder of one Minari dataset: NAMESPACE/NAME-vN, with data/metadata.json in it."""
    metadata = path / "data/metadata.json"
    return metadata.is_file() and "minari_version" in read_json(metadata)


class Minari:
    """A local Minari dataset; a `Source`.

    Fields are `observations`, or `observations/KEY` for a dictionary of them, `actions`, `rewards` and `infos/KEY`.
    A discrete action becomes one number a choice, 1 for the one that was taken.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            from minari import MinariDataset
        except ImportError as error:
            raise MissingExtraError("reading Minari needs minari; install it with: pip install 'worldmodel[import]'") from error
        metadata = read_json(root / "data/metadata.json")
        for name in ("observation_space", "action_space", "dataset_id"):
            if not isinstance(metadata.get(name), str):  # without the spaces, minari would make the environment to ask it
                raise DataError(f"{root / 'data/metadata.json'} has no {name!r}; expected what Minari 0.5 writes")
        try:
            self.data: Any = MinariDataset(root / "data")
        except (ValueError, KeyError, OSError, AssertionError, TypeError) as error:
            raise DataError(f"{root} cannot be read by minari: {one_line(error)}") from error
        self.indices = [int(k) for k in self.data.episode_indices]
        if not self.indices:
            raise DataError(f"{root} holds no episodes")
        self.info = self._describe()

    def describe(self) -> SourceInfo:
        """The spaces as fields; the infos are those of the first episode."""
        return self.info

    def read(self, k: int, fields: Collection[str]) -> SourceEpisode:
        """Episode `k`."""
        what = f"{self.info.name}: episode {k}"
        episode, metadata = self._episode(k)
        values = dict(_leaves("observations", episode.observations)) | dict(_leaves("actions", episode.actions))
        values |= dict(_leaves("infos", episode.infos or {})) | {"rewards": episode.rewards}
        missing = sorted(set(fields) - set(values))
        if missing:
            raise DataError(f"{what} has no field {missing[0]!r}")
        num_steps = len(episode.rewards)
        return SourceEpisode(
            values={name: self._rows(name, values[name], f"{what}: field {name!r}") for name in fields},
            num_steps=num_steps,
            terminated=bool(np.any(episode.terminations[-1:])),
            truncated=bool(np.any(episode.truncations[-1:])),
            success=False,  # the info that tells it, where there is one, is a field
            seed=int(metadata["seed"]) if metadata.get("seed") is not None else k,
            instruction=str(metadata.get("instruction") or ""),
            variation=_plain(metadata.get("options") or {}),
        )

    def _describe(self) -> SourceInfo:
        self.fields: dict[str, SourceField] = {}
        self.choices: dict[str, tuple[int, int]] = {}
        left_out: list[str] = []
        for name, space in _spaces("observations", self.data.observation_space):
            key = "proprio" if name == "observations" else safe(name.removeprefix("observations/").replace("/", "."))
            self._add(name, _row_of(space), "vector", key, left_out)
        for name, space in _spaces("actions", self.data.action_space):
            self.fields[name] = self._action(name, space)
        self.fields["rewards"] = SourceField("reward", "reward", (), "float64")
        episode, metadata = self._episode(0)
        for name, values in _leaves("infos", episode.infos or {}):
            array = np.asarray(values)
            row = (array.shape[1:], array.dtype) if array.ndim else None
            self._add(name, row, "label", safe(name.removeprefix("infos/").replace("/", ".")), left_out)
        tells = next((f"infos/{name}" for name in _SUCCESS if f"infos/{name}" in self.fields), None)
        notes = []
        if tells is not None:
            self.fields[tells] = replace(self.fields[tells], role="success")
        else:
            notes.append("the infos tell no success: false, unless the map says which field is success")
        if metadata.get("options"):
            notes.append("the options of an episode's reset are kept as its variation, as far as JSON can hold them")
        env = self.data.env_spec
        files = (path for path in (self.root / "data").rglob("*") if path.is_file())
        return SourceInfo(
            name=str(self.data.id),
            fields=self.fields,
            num_episodes=len(self.indices),
            identity=identity_of(KIND, self.root, files),
            env_id=env.id if env is not None else "",
            env_kwargs=_plain(env.kwargs) if env is not None else {},
            notes=tuple(notes),
            left_out=tuple(left_out),
        )

    def _add(self, name: str, row: tuple[tuple[int, ...], np.dtype] | None, role: Role, key: str, left_out: list[str]) -> None:
        key = free_key(key, (field.key for field in self.fields.values() if (field.role == "label") == (role == "label")))
        if row is None or row[1].kind not in "biuf":
            left_out.append(f"{name} (no numbers)")
        elif role == "label":
            self.fields[name] = SourceField("label", key, row[0], row[1].name)
        else:
            field = field_of(*row, key)
            assert field is not None  # numbers, as was just checked
            self.fields[name] = field

    def _action(self, name: str, space: Any) -> SourceField:
        kind = type(space).__name__
        if kind == "Discrete":
            if space.n > _MAX_CHOICES:
                raise DataError(f"{self.root.name}: field {name!r} has {space.n} choices; expected {_MAX_CHOICES} at most")
            self.choices[name] = (int(space.start), int(space.n))
            n = int(space.n)
            return SourceField("action", "action", (n,), "float32", _choice_names(n), low=(0.0,) * n, high=(1.0,) * n)
        row = _row_of(space)
        if row is None:
            raise DataError(f"{self.root.name}: field {name!r} is a {kind}; expected actions that are numbers")
        low, high = _bounds(space, row[0])
        return SourceField("action", "action", row[0], row[1].name, low=low, high=high)

    def _rows(self, name: str, values: Any, what: str) -> Any:
        if name in self.choices:
            start, n = self.choices[name]
            taken = np.asarray(values).reshape(-1) - start
            if len(taken) and not 0 <= taken.min() <= taken.max() < n:
                raise DataError(f"{what} is outside of its {n} choices")
            return np.eye(n, dtype=np.float32)[taken]
        field = self.fields[name]
        return rows_of(np.asarray(values), field) if field.role == "image" else values

    def _episode(self, k: int) -> tuple[Any, dict[str, Any]]:
        """What minari has of episode `k`, and its metadata."""
        index = self.indices[k]
        try:
            episode = next(iter(self.data.iterate_episodes([index])))
            metadata = next(iter(self.data.storage.get_episode_metadata([index])))
        except (ValueError, KeyError, OSError, RuntimeError, AssertionError, StopIteration, TypeError) as error:
            raise DataError(f"{self.root.name}: episode {k} cannot be read by minari: {one_line(error)}") from error
        return episode, metadata


def _spaces(name: str, space: Any) -> Iterator[tuple[str, Any]]:
    """Every space below dictionaries and tuples, with its path."""
    kind = type(space).__name__  # gymnasium itself is not imported: the world model does not know environments
    if kind == "Dict":
        for key in sorted(space.spaces):
            yield from _spaces(f"{name}/{key}", space.spaces[key])
    elif kind == "Tuple":
        for i, inner in enumerate(space.spaces):
            yield from _spaces(f"{name}/{i}", inner)
    else:
        yield name, space


def _leaves(name: str, values: Any) -> Iterator[tuple[str, Any]]:
    """The same for values."""
    if isinstance(values, dict):
        for key in sorted(values):
            yield from _leaves(f"{name}/{key}", values[key])
    elif isinstance(values, tuple):
        for i, inner in enumerate(values):
            yield from _leaves(f"{name}/{i}", inner)
    else:
        yield name, values


def _row_of(space: Any) -> tuple[tuple[int, ...], np.dtype] | None:
    """Shape and type of one row, or None for spaces that hold no numbers of one shape."""
    if type(space).__name__ not in ("Box", "Discrete", "MultiDiscrete", "MultiBinary"):
        return None
    return tuple(space.shape), np.dtype(space.dtype)


def _bounds(space: Any, shape: tuple[int, ...]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    size = int(np.prod(shape, dtype=int))
    match type(space).__name__:
        case "Box":
            low, high = space.low, space.high
        case "MultiDiscrete":
            low, high = space.start, space.start + space.nvec - 1
        case _:
            low, high = np.zeros(size), np.ones(size)
    return tuple(np.ravel(low).astype(float).tolist()), tuple(np.ravel(high).astype(float).tolist())


def _choice_names(n: int) -> tuple[str, ...]:
    return tuple(f"choice_{i}" for i in range(n))


def _listed(value: Any) -> Any:
    """Arrays and numbers of numpy as plain ones."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(type(value).__name__)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """What of the keyword arguments JSON can hold."""
    kept = {}
    for name, value in values.items():
        try:
            kept[name] = json.loads(json.dumps(value, allow_nan=False, default=_listed))
        except (TypeError, ValueError):
            continue
    return kept
