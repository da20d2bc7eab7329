"""Any source with the user's map laid over it: its episodes as the dataset will have them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator

import numpy as np

from worldmodel.data.format.features import features_of, sensor_columns
from worldmodel.data.importers.base import ClipSource, ImportedWorld, Source, SourceEpisode
from worldmodel.data.importers.bounds import action_spec
from worldmodel.data.importers.mapping import ImportMap
from worldmodel.data.importers.pixels import collect
from worldmodel.data.importers.plan import LABEL_CASTS, NO_UNIT, plan, rates, sensor_spec
from worldmodel.data.importers.values import between, finite, rows, scaled, to_float32
from worldmodel.errors import ConfigError, DataError
from worldmodel.progress import Progress
from worldmodel.types import Episode, WorldSpec


class MappedImporter:
    """The episodes of a source in the dataset's names, units and rates; an `Importer`.

    Args:
        source: what is read.
        mapping: what its fields become.
        where: names the map in errors.
        progress: told while the bounds of the actions are searched, which takes a pass over all of them.

    Raises:
        ConfigError: the map does not fit the source.
        DataError: the source is damaged, or its actions hold NaN.
    """

    def __init__(
        self, source: Source, mapping: ImportMap | None = None, *, where: str = "map", progress: Progress | None = None
    ):
        self.source = source
        self.mapping = mapping = mapping or ImportMap()
        self.info = info = source.describe()
        self.plan = plan(info, mapping, where)
        self.every, self.fps, rate_notes = rates(info.fps, mapping, where)
        if self.every > 1 and self.plan.action and mapping.rates.actions is None:
            raise ConfigError(
                f"{where}: rates: every {self.every}th frame is kept; say what becomes of the actions between: "
                f"rates.actions: sum, last or stack"
            )
        skipped = set(mapping.skip_episodes)
        self.order = [k for k in range(info.num_episodes) if k not in skipped]
        action, action_notes = action_spec(source, info, self.plan, mapping, self.order, self.every, where, progress)
        self.spec = WorldSpec(
            env_id=mapping.env_id or info.env_id or f"imported/{info.name}",
            env_kwargs=info.env_kwargs,
            sensors={key: sensor_spec(key, name, info.fields[name], mapping) for key, name in self.plan.sensors.items()},
            action=action,
            control_mode=mapping.control_mode or info.control_mode or ("unknown" if self.plan.action else "none"),
            robot=mapping.robot or info.robot or "unknown",
            renderer=info.renderer,
        )
        # names and types that no column can have are told here, before anything is read
        features, columns = features_of(self.spec, self._label_examples()), sensor_columns(self.spec)
        video = {name: columns[key] for key, name in self.plan.sensors.items()}
        self.films = {name: column for name, column in video.items() if features[column]["dtype"] == "video"}
        unchanged = self.every == 1 and mapping.image_size is None and self.fps == info.fps
        self.copied = source if unchanged and isinstance(source, ClipSource) else None
        skip_notes = (f"episodes left out by the map: {', '.join(map(str, sorted(skipped)))}",) if skipped else ()
        self.notes = (*info.notes, *rate_notes, *action_notes, *self._changed(), *skip_notes)

    def describe(self) -> ImportedWorld:
        """What will be written."""
        taken = {name: f"sensor {key}" for key, name in self.plan.sensors.items()}
        taken |= dict.fromkeys(self.plan.action, "action")
        taken |= {name: f"label {key}" for key, name in self.plan.labels.items()}
        taken |= {name: what for name, what in ((self.plan.reward, "reward"), (self.plan.success, "success")) if name}
        return ImportedWorld(
            spec=self.spec,
            fps=self.fps,
            num_episodes=len(self.order),
            record=json.loads(json.dumps({"source": self.info.identity, "map": dataclasses.asdict(self.mapping)})),
            licence=self.mapping.licence,
            taken=tuple(f"{name} -> {taken[name]}" for name in self.info.fields if name in taken),
            dropped=self.plan.dropped,
            notes=self.notes,
        )

    def episodes(self, start: int) -> Iterator[Episode]:
        """The episodes from the dataset's `start` on.

        Raises:
            DataError: something does not fit: the message names the episode of the source, and the field.
        """
        for k in self.order[start:]:
            yield self._episode(k, self.source.read(k, self.plan.fields))

    def clips(self, k: int) -> dict[str, bytes]:
        """Films of the dataset's episode `k` that can be copied as they are, by their new column."""
        if self.copied is None or not self.films:
            return {}
        return {self.films[name]: film for name, film in self.copied.clips(self.order[k], self.films).items()}

    def _episode(self, k: int, raw: SourceEpisode) -> Episode:
        where = f"{self.info.name}: episode {k}"
        framed = {**self.plan.sensors, **{f"label {key}": name for key, name in self.plan.labels.items()}}
        arrays: dict[str, np.ndarray] = {}
        counts: dict[str, int] = {}
        for name in framed.values():
            arrays[name], counts[name] = self._frames(name, raw, f"{where}: field {name!r}")
        num_steps = min(counts.values()) - 1 if raw.num_steps is None else raw.num_steps
        for name, count in counts.items():
            if count not in (num_steps, num_steps + 1):
                raise DataError(f"{where}: field {name!r} has {count} rows; expected {num_steps} or {num_steps + 1}")
        num_frames = min(counts.values())
        if raw.num_steps is None and max(counts.values()) > num_frames:
            odd = max(counts, key=lambda name: counts[name])
            raise DataError(f"{where}: field {odd!r} has {counts[odd]} rows; expected {num_frames}")
        kept = -(-num_frames // self.every)
        if kept < 2:
            left = f", which leave {kept} at {self.fps:g} a second" if self.every > 1 else ""
            raise DataError(
                f"{where} has {num_frames} frames{left}; expected 2 at least (skip_episodes in the map leaves it out)"
            )
        arrays = {name: values[:kept] for name, values in arrays.items()}
        success = raw.success
        if self.plan.success is not None:
            last = rows(raw.values[self.plan.success], f"{where}: field {self.plan.success!r}")[-1:]
            success = bool(finite(last, f"{where}: field {self.plan.success!r}").any())
        return Episode(
            observations={key: self._sensor(name, arrays[name], where) for key, name in self.plan.sensors.items()},
            actions=self._actions(raw, num_steps, kept, where),
            rewards=self._rewards(raw, num_steps, kept, where),
            terminated=raw.terminated,
            truncated=raw.truncated,
            success=success,
            seed=raw.seed,
            instruction=raw.instruction if self.mapping.instruction is None else self.mapping.instruction,
            labels={key: self._label(name, arrays[name], where) for key, name in self.plan.labels.items()},
            variation=raw.variation,
        )

    def _frames(self, name: str, raw: SourceEpisode, what: str) -> tuple[np.ndarray, int]:
        """Every n-th row of a field, and how many rows there were."""
        values, source = raw.values[name], self.info.fields[name]
        if source.role == "image":
            size = self.mapping.image_size
            return collect(values, self.every, size, (*(size or source.shape[:2]), 3), what)
        array = rows(values, what)
        if array.shape[1:] != source.shape:
            raise DataError(f"{what} has rows of the shape {array.shape[1:]}; expected {source.shape}")
        return array[:: self.every], len(array)

    def _sensor(self, name: str, values: np.ndarray, where: str) -> np.ndarray:
        if values.dtype == np.uint8 and name not in self.mapping.units:
            return values.reshape(len(values), *(values.shape[1:] or (1,)))
        what = f"{where}: field {name!r}"
        values = to_float32(scaled(finite(values, what), self.mapping.units.get(name, NO_UNIT)), what)
        return values.reshape(len(values), *(values.shape[1:] or (1,)))

    def _label(self, name: str, values: np.ndarray, where: str) -> np.ndarray:
        values = finite(values, f"{where}: field {name!r}")
        if name in self.mapping.units:
            values = scaled(values, self.mapping.units[name])
        values = values.astype(LABEL_CASTS.get(values.dtype.name, values.dtype))
        return values[:, 0] if values.shape[1:] == (1,) else values

    def _actions(self, raw: SourceEpisode, num_steps: int, kept: int, where: str) -> np.ndarray:
        """(kept - 1, A) float32: what was done between the kept frames."""
        if not self.plan.action:
            return np.zeros((kept - 1, 1), np.float32)
        parts = []
        for name in self.plan.action:
            what = f"{where}: field {name!r}"
            values = self._steps(rows(raw.values[name], what), num_steps, kept, what)
            if values.shape[1:] != self.info.fields[name].shape:
                raise DataError(f"{what} has rows of the shape {values.shape[1:]}; expected {self.info.fields[name].shape}")
            values = scaled(finite(values, what), self.mapping.units.get(name, NO_UNIT))
            parts.append(to_float32(values, what).reshape(len(values), -1))
        actions = np.concatenate(parts, axis=1)
        self._require_inside(actions, where)
        return between(actions, self.every, self.mapping.rates.actions or "last")

    def _require_inside(self, actions: np.ndarray, where: str) -> None:
        """The bounds that the user gave are a promise; a source's own are what it says."""
        low, high = self.mapping.action_low, self.mapping.action_high
        if low is None or high is None:
            return
        outside = (actions < np.array(low, np.float32)) | (actions > np.array(high, np.float32))
        if outside.any():
            step, i = (int(n) for n in np.argwhere(outside)[0])
            raise DataError(
                f"{where}: element {i} of the action is {actions[step, i]:g} at step {step}; "
                f"expected {low[i]:g} to {high[i]:g} (action_low and action_high in the map)"
            )

    def _rewards(self, raw: SourceEpisode, num_steps: int, kept: int, where: str) -> np.ndarray:
        """(kept - 1,) float32, summed over dropped frames."""
        name = self.plan.reward
        if name is None:
            return np.zeros(kept - 1, np.float32)
        what = f"{where}: field {name!r}"
        values = self._steps(rows(raw.values[name], what), num_steps, kept, what)
        if values.size != len(values):
            raise DataError(f"{what} has rows of the shape {values.shape[1:]}; expected one number a step")
        values = scaled(finite(values, what), self.mapping.units.get(name, NO_UNIT)).reshape(-1, self.every)
        return to_float32(values.astype(np.float64).sum(axis=1) if self.every > 1 else values[:, 0], what)

    def _steps(self, values: np.ndarray, num_steps: int, kept: int, what: str) -> np.ndarray:
        """The rows of a field that lie between the kept frames."""
        if len(values) not in (num_steps, num_steps + 1):
            raise DataError(f"{what} has {len(values)} rows; expected {num_steps} steps")
        return values[: (kept - 1) * self.every]

    def _label_examples(self) -> dict[str, np.ndarray]:
        """Labels of a single frame, of the shapes and types that `_label` gives."""
        examples = {}
        for key, name in self.plan.labels.items():
            source = self.info.fields[name]
            examples[key] = self._label(name, np.zeros((1, *source.shape), source.dtype), self.info.name)
        return examples

    def _changed(self) -> Iterator[str]:
        """What of the values is not kept to the bit."""
        for name in self.info.fields:
            dtype = self.info.fields[name].dtype
            floats = name in (*self.plan.sensors.values(), *self.plan.action, self.plan.reward)
            if floats and dtype == "float64":
                yield f"{name} is float64 in the source; kept as float32"
        if self.films:
            yield f"pictures this large are stored as video, close to the source's but not equal: {', '.join(self.films)}"
