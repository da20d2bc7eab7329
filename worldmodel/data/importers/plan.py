"""The user's map laid over what a source has: which field becomes what, checked before anything is read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from worldmodel.data.importers.base import SourceField, SourceInfo
from worldmodel.data.importers.mapping import ACTION, DROP, LABEL, REWARD, SUCCESS, ImportMap, Unit
from worldmodel.errors import ConfigError, DataError, unknown_name
from worldmodel.types import SensorSpec

LABEL_CASTS = {"int8": "int32", "int16": "int32", "uint16": "int32", "uint32": "int64", "float16": "float32"}
"""Element types that a label cannot have -> one that holds every value of theirs."""
NO_UNIT = Unit()
_BRACKETS = re.compile(r" *\[[^\]]*\]$")
"""The unit at the end of a name."""


@dataclass(frozen=True)
class Plan:
    """Fields of a source by what they become. Values of the dictionaries are names in the source."""

    sensors: dict[str, str]
    """Sensor key -> field."""
    labels: dict[str, str]
    """Label name -> field."""
    action: tuple[str, ...]
    """Fields whose elements, behind each other, are the action; empty for a source without actions."""
    reward: str | None
    """Field of the reward."""
    success: str | None
    """Field whose last value is success."""
    dropped: tuple[str, ...]
    """Fields that are left out."""

    @property
    def fields(self) -> frozenset[str]:
        """Everything that must be read."""
        single = [name for name in (self.reward, self.success) if name is not None]
        return frozenset([*self.sensors.values(), *self.labels.values(), *self.action, *single])


def plan(info: SourceInfo, mapping: ImportMap, where: str) -> Plan:
    """What each field of the source becomes.

    Args:
        info: the source.
        mapping: what the user says.
        where: names the map in errors.

    Raises:
        ConfigError: the map names a field that the source does not have, or asks for what cannot be.
        DataError: nothing is left to see.
    """
    for table in ("names", "units"):
        for name in getattr(mapping, table):
            if name not in info.fields:
                raise ConfigError(f"{where}: {table}: {unknown_name('field', name, info.fields)}")
    targets = {name: _target(name, source, mapping) for name, source in info.fields.items()}
    _call_the_only_camera_pixels(info, mapping, targets)
    sensors: dict[str, str] = {}
    labels: dict[str, str] = {}
    single: dict[str, str] = {}
    for name, target in targets.items():
        if target in (ACTION, DROP):
            continue
        kind, key = (labels, target.removeprefix(LABEL)) if target.startswith(LABEL) else (sensors, target)
        if target in (REWARD, SUCCESS):
            kind = single
        if key in kind:
            raise ConfigError(f"{where}: the fields {kind[key]!r} and {name!r} both become {target!r}; say under names which")
        kind[key] = name
    found = Plan(
        sensors,
        labels,
        tuple(name for name, target in targets.items() if target == ACTION),
        single.get(REWARD),
        single.get(SUCCESS),
        (*(name for name, target in targets.items() if target == DROP), *info.left_out),
    )
    _check(found, info, mapping, where)
    return found


def sensor_spec(key: str, name: str, source: SourceField, mapping: ImportMap) -> SensorSpec:
    """What the sensor `key` made of the field `name` is."""
    privileged = source.privileged or key in mapping.privileged
    if source.role == "image":
        height, width = mapping.image_size or source.shape[:2]
        return SensorSpec((height, width, 3), "uint8", "image", privileged, camera=camera_of(source))
    dtype = "uint8" if source.dtype == "uint8" and name not in mapping.units else "float32"
    return SensorSpec(
        source.shape or (1,), dtype, "vector", privileged, element_names(key, source, mapping.units.get(name, NO_UNIT))
    )


def rates(source_fps: float | None, mapping: ImportMap, where: str) -> tuple[int, float, tuple[str, ...]]:
    """Every how manieth frame is kept, the dataset's frames a second, and what was assumed."""
    notes: tuple[str, ...] = ()
    before = mapping.rates.source_fps or source_fps
    if before is None:
        if mapping.rates.fps is not None:
            raise ConfigError(f"{where}: rates: fps is {mapping.rates.fps:g}, but the source tells no rate; give source_fps")
        before = 1.0
        notes = ("the source tells no rate: one frame a second is assumed (rates.source_fps in the map)",)
    fps = mapping.rates.fps or before
    every = max(1, round(before / fps))
    if abs(before / fps - every) > 1e-6 * every:
        wholes = ", ".join(f"{before / n:g}" for n in range(1, 6)) + ", ..."
        raise ConfigError(f"{where}: rates: {before:g} frames a second are no whole multiple of fps {fps:g}; expected {wholes}")
    return every, fps, notes


def element_names(key: str, source: SourceField, unit: Unit) -> tuple[str, ...]:
    """Names of a vector's elements, with the map's unit in brackets in place of the source's."""
    size = int(np.prod(source.shape, dtype=int))
    names = source.names if len(source.names) == size else ()
    if not unit.unit:
        return names
    names = names or ((key,) if size == 1 else tuple(f"{key}_{i}" for i in range(size)))
    return tuple(f"{_BRACKETS.sub('', name)} [{unit.unit}]" for name in names)


def camera_of(source: SourceField) -> str:
    """A camera's name that can name a column: what the source suggests for the sensor."""
    return source.key if source.camera is None else source.camera


def safe(name: str) -> str:
    """`name` with everything that cannot be in a column's name replaced."""
    return re.sub(r"[^\w.-]", "_", name).lstrip("-.") or "field"


def free_key(wanted: str, taken: Iterable[str]) -> str:
    """`wanted`, or with a number behind it when that is taken."""
    taken = set(taken)
    number, key = 2, wanted
    while key in taken:
        key, number = f"{wanted}_{number}", number + 1
    return key


def _target(name: str, source: SourceField, mapping: ImportMap) -> str:
    if name in mapping.names:
        return mapping.names[name]
    if mapping.unnamed == "drop":
        return DROP
    if source.role == "label":
        return LABEL + source.key
    return source.key if source.role in ("image", "vector") else source.role


def _call_the_only_camera_pixels(info: SourceInfo, mapping: ImportMap, targets: dict[str, str]) -> None:
    """Models look at `pixels` unless told otherwise, so the only camera is called that, unless it has a name already."""
    sensors = [n for n, target in targets.items() if info.fields[n].role == "image" and target != DROP]
    if len(sensors) != 1 or sensors[0] in mapping.names or info.fields[sensors[0]].camera is not None:
        return
    if "pixels" not in targets.values():
        targets[sensors[0]] = "pixels"


def _check(found: Plan, info: SourceInfo, mapping: ImportMap, where: str) -> None:
    if not found.sensors:
        raise DataError(f"{info.name}: no field becomes a sensor, so there is nothing to see; it has {', '.join(info.fields)}")
    pictures = {name for name, source in info.fields.items() if source.role == "image"}
    no_sensor = (found.fields - set(found.sensors.values())) & pictures
    if no_sensor:
        raise ConfigError(f"{where}: names: field {min(no_sensor)!r} is pictures; expected a sensor key or {DROP!r} for it")
    with_unit = [name for name in mapping.units if name in pictures]
    if with_unit:
        raise ConfigError(f"{where}: units: field {with_unit[0]!r} is pictures; expected a field of numbers")
    for name, unit in mapping.units.items():
        size = int(np.prod(info.fields[name].shape, dtype=int))
        for what in (unit.scale, unit.offset):
            if isinstance(what, tuple) and len(what) != size:
                raise ConfigError(f"{where}: units: field {name!r} has {size} elements; got {len(what)} numbers")
    unknown = sorted(set(mapping.privileged) - set(found.sensors))
    if unknown:
        raise ConfigError(f"{where}: privileged: {unknown_name('sensor', unknown[0], found.sensors)}")
    for k in mapping.skip_episodes:
        if k >= info.num_episodes:
            raise ConfigError(f"{where}: skip_episodes: no episode {k}; the source has 0 to {info.num_episodes - 1}")
    if len(set(mapping.skip_episodes)) == info.num_episodes:
        raise ConfigError(f"{where}: skip_episodes leaves out every episode")
