"""The infos of several simulations in one, as Gymnasium's vector environments tell them, at a fraction of what that costs.

Gymnasium adds the infos one after another, key by key: `{"num": [3, 5], "_num": [True, True]}`, where `_num` tells who has the
key at all. Here a worker gathers its own simulations' infos into columns, and its parent puts the columns side by side. A value
has the same type in every simulation's info, or else what is made of it may differ from Gymnasium's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

Info = dict[str, Any]
Columns = dict[str, tuple[Any, "list[bool] | None"]]
"""Key -> its values in the infos of n simulations, and who has it, None for all. The values are an array (n, ...), a list of
numbers (0 for who has none) or of other things (None for who has none), or again columns where they are dicts."""


def gather(infos: Sequence[Info]) -> Columns:
    """The infos of n simulations as columns; the first one that has a key decides the type of its column."""
    if all(info.keys() == infos[0].keys() for info in infos):
        return {key: (_values(key, [info[key] for info in infos], None), None) for key in infos[0]}
    columns: Columns = {}
    for key in dict.fromkeys(key for info in infos for key in info):
        has = [key in info for info in infos]
        columns[key] = _values(key, [info.get(key) for info in infos], has), has
    return columns


def _values(key: str, values: list[Any], has: list[bool] | None) -> Any:
    first = values[0] if has is None else values[has.index(True)]
    missing = [] if has is None else [i for i, there in enumerate(has) if not there]
    if key == "final_obs":
        return values
    if isinstance(first, dict):
        return gather([value or {} for value in values])
    if isinstance(first, np.ndarray | np.number):
        column = np.zeros((len(values), *first.shape), first.dtype)
        for i, value in enumerate(values):
            if i not in missing:
                column[i] = value
        return column
    if type(first) in (bool, int, float):
        for i in missing:
            values[i] = type(first)()
    return values


def spread(shares: Iterable[tuple[slice, Columns]], num: int) -> Info:
    """The infos of `num` simulations, from the columns of some of them."""
    infos: Info = {}
    for part, columns in shares:
        _place(infos, part, columns, num)
    return infos


def _place(infos: Info, part: slice, columns: Columns, num: int) -> None:
    for key, (values, has) in columns.items():
        if key not in infos:
            infos[key] = {} if isinstance(values, dict) else _empty(values, num)
            infos[f"_{key}"] = np.zeros(num, np.bool_)
        infos[f"_{key}"][part] = True if has is None else has
        column = infos[key]
        if isinstance(column, dict):
            _place(column, part, values, num)
        elif has is None and column.dtype != object:
            column[part] = values
        else:  # one by one, since a thing of its own may be a list
            for i, value in enumerate(values):
                if has is None or has[i]:
                    column[part.start + i] = value


def _empty(values: np.ndarray | list[Any], num: int) -> np.ndarray:
    if isinstance(values, np.ndarray):
        return np.zeros((num, *values.shape[1:]), values.dtype)
    kind = type(values[0])
    return np.zeros(num, kind) if kind in (bool, int, float) else np.full(num, None, dtype=object)
