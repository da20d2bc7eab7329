"""What an imported action is: its names, and the bounds that a model scales it by and a planner searches in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from worldmodel.data.importers.base import Source, SourceInfo
from worldmodel.data.importers.mapping import ImportMap
from worldmodel.data.importers.plan import NO_UNIT, Plan, element_names
from worldmodel.data.importers.values import finite, rows, scaled, to_float32
from worldmodel.errors import ConfigError, DataError
from worldmodel.progress import NoProgress, Progress
from worldmodel.types import ActionSpec

NO_ACTION = ActionSpec(names=("none",), low=(-1.0,), high=(1.0,))
"""The action of a world whose recordings have none: one number that is always 0, since no reader holds zero columns."""


def action_spec(
    source: Source,
    info: SourceInfo,
    plan: Plan,
    mapping: ImportMap,
    order: Sequence[int],
    every: int,
    where: str,
    progress: Progress | None,
) -> tuple[ActionSpec, tuple[str, ...]]:
    """What one action of the dataset is, and what had to be assumed for it.

    Raises:
        ConfigError: the map gives another number of names or bounds than the action has elements.
        DataError: an action is ragged, or holds NaN.
    """
    if not plan.action:
        return NO_ACTION, ("the source has no actions: each is a single 0 called 'none'",)
    names = [name for field in plan.action for name in _names(field, info, mapping)]
    for key in ("action_names", "action_low"):
        given = getattr(mapping, key)
        if given is not None and len(given) != len(names):
            raise ConfigError(f"{where}: {key} has {len(given)} elements; the action has {len(names)}: {', '.join(names)}")
    names = list(mapping.action_names or names)
    if len(set(names)) < len(names):
        raise ConfigError(f"{where}: two elements of the action share a name: {', '.join(names)}; give action_names")
    notes: list[str] = []
    if mapping.action_low is not None and mapping.action_high is not None:
        low, high = np.array(mapping.action_low), np.array(mapping.action_high)
    else:
        low, high = _bounds(source, info, plan, mapping, order, progress or NoProgress(), notes)
    still = low >= high
    if still.any():
        notes.append(f"never changing in the source, so bounds one to each side: {', '.join(np.array(names)[still])}")
        low, high = np.where(still, low - 1, low), np.where(still, high + 1, high)
    if every > 1 and mapping.rates.actions == "sum":
        low, high = low * every, high * every
    if every > 1 and mapping.rates.actions == "stack":
        names = [f"{name}@{i}" for i in range(every) for name in names]
        low, high = np.tile(low, every), np.tile(high, every)
    spec = ActionSpec(tuple(names), tuple(low.tolist()), tuple(high.tolist()))
    if info.action is not None and len(plan.action) == 1 and plan.action[0] not in mapping.units and every == 1:
        spec = replace(spec, points=info.action.points, image_from_action=info.action.image_from_action)
    return spec, tuple(notes)


def _names(field: str, info: SourceInfo, mapping: ImportMap) -> tuple[str, ...]:
    source = info.fields[field]
    size = int(np.prod(source.shape, dtype=int))
    named = element_names(field, source, mapping.units.get(field, NO_UNIT))
    return named or ((field,) if size == 1 else tuple(f"{field}_{i}" for i in range(size)))


def _bounds(
    source: Source, info: SourceInfo, plan: Plan, mapping: ImportMap, order: Sequence[int], progress: Progress, notes: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """The source's bounds in the dataset's units, searched in the data for fields that have none, (A,) each."""
    found = {}
    for name in plan.action:
        low, high = info.fields[name].low, info.fields[name].high
        if low is not None and high is not None and np.isfinite([low, high]).all():
            both = scaled(np.array([low, high]).reshape(2, *info.fields[name].shape), mapping.units.get(name, NO_UNIT))
            found[name] = both.reshape(2, -1)
    searched = [name for name in plan.action if name not in found]
    if searched:
        notes.append(f"bounds of the action are the smallest and the largest in the data: {', '.join(searched)}")
        found |= _search(source, info, searched, mapping, order, progress)
    both = np.concatenate([found[name] for name in plan.action], axis=1)  # (2, A)
    return both.min(axis=0), both.max(axis=0)  # a negative scale turns them round


def _search(
    source: Source, info: SourceInfo, names: Sequence[str], mapping: ImportMap, order: Sequence[int], progress: Progress
) -> dict[str, np.ndarray]:
    """Field -> (2, A) smallest and largest value of each element over all episodes."""
    found: dict[str, np.ndarray] = {}
    for done, k in enumerate(order):
        episode = source.read(k, names)
        for name in names:
            what = f"{info.name}: episode {k}: field {name!r}"
            array = rows(episode.values[name], what)
            if array.shape[1:] != info.fields[name].shape or not len(array):
                raise DataError(f"{what} has the shape {array.shape}; expected (T, *{info.fields[name].shape})")
            values = to_float32(scaled(finite(array, what), mapping.units.get(name, NO_UNIT)), what).reshape(len(array), -1)
            both = np.stack([values.min(axis=0), values.max(axis=0)]).astype(np.float64)
            if name in found:
                both = np.stack([np.minimum(found[name][0], both[0]), np.maximum(found[name][1], both[1])])
            found[name] = both
        progress.update(done + 1, len(order), searching="bounds of the actions")
    return found
