"""Every episode of a dataset in one pass over its files, with only the columns that are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from worldmodel.data.dataset import Dataset


def pass_over(ds: Dataset, columns: Mapping[str, str]) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """(place in `ds`, name -> (T + 1, ...) values) of each episode; `columns` are name -> column, one at least.

    Raises:
        DataError: a file is missing or damaged.
    """
    batches = ds.frames(list(columns.values()), batch_size=256)
    rest: dict[str, list[np.ndarray]] = {name: [] for name in columns}
    have = 0
    for place, row in enumerate(ds.episodes):
        while have < row.length:
            _, values = next(batches)
            for name, column in columns.items():
                rest[name].append(values[column])
            have += len(next(iter(values.values())))
        joined = {name: np.concatenate(parts) if len(parts) > 1 else parts[0] for name, parts in rest.items()}
        yield place, {name: values[: row.length] for name, values in joined.items()}
        rest = {name: [values[row.length :]] for name, values in joined.items()}
        have -= row.length
