"""Choose episodes of a dataset by a condition, into a view."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from worldmodel.data.dataset import Dataset
from worldmodel.data.expression import Expression, Value
from worldmodel.data.files import inside, read_parquet, reading
from worldmodel.data.quality import VALUE_NAMES, QualityConfig, measure_quality
from worldmodel.errors import DataError
from worldmodel.progress import Progress

NAMES = {
    "index": "its number in the whole dataset",
    "success": "the task's own success rule held at the end",
    "terminated": "the last step ended the task",
    "truncated": "the last step ran out of budget",
    "length": "its number of frames",
    "actions": "its number of actions",
    "seed": "of the environment's reset",
    "total_reward": "sum of its rewards; also written return",
    "instruction": "the task in words; also written task",
    "robot": "name of the robot",
}
"""What is known of every episode; more columns of the episode table come in when they hold one number or text."""

_NOT_ASKED = {"episode_index", "return", "sha256", "dataset_from_index", "dataset_to_index"}


def choose(
    ds: Dataset, expression: Expression, config: QualityConfig | None = None, progress: Progress | None = None
) -> np.ndarray:
    """Places in `ds` (n,) of its episodes of which the condition is true, in order.

    Episodes are measured for quality only when the condition asks for it.

    Raises:
        ConfigError: an unknown name, or a comparison that makes no sense.
        DataError: no episode fits, or the dataset is damaged.
    """
    extra = _extra_columns(ds)
    expression.require_known([*NAMES, *extra, *VALUE_NAMES])
    quality = measure_quality(ds, config, progress=progress) if expression.names & set(VALUE_NAMES) else None
    chosen = []
    for place, (row, index) in enumerate(zip(ds.episodes, ds.indices.tolist(), strict=True)):
        values: dict[str, Value] = {
            "index": index,
            "success": row.success,
            "terminated": row.terminated,
            "truncated": row.truncated,
            "length": row.length,
            "actions": row.length - 1,
            "seed": row.seed,
            "total_reward": row.total_reward,
            "instruction": row.instruction,
            "robot": ds.spec.robot,
        }
        values |= {name: value for name, column in extra.items() if (value := column[index]) is not None}
        if quality is not None:
            values |= quality.values(index)
        if expression.holds(values):
            chosen.append(place)
    if not chosen:
        raise DataError(f"none of the {ds.num_episodes} episodes of {ds.root} fits {expression.text!r}; ask for less")
    return np.array(chosen, np.int64)


def _extra_columns(ds: Dataset) -> dict[str, list[Value | None]]:
    """Name -> value of every episode of the whole dataset, for other columns of one number or text."""
    folder = inside(ds.root, "meta/episodes")
    parts: list[pa.Table] = []
    for path in sorted(folder.glob("chunk-*/file-*.parquet")):
        with reading(path):
            schema = pq.read_schema(path)
        parts.append(read_parquet(path, ["episode_index", *_asked(schema)]))
    with reading(folder):
        table = pa.concat_tables(parts, promote_options="default").sort_by("episode_index")
        table = table.filter(table.column("episode_index").to_numpy() < ds.whole.num_episodes)
    return {name: table.column(name).to_pylist() for name in table.column_names if name != "episode_index"}


def _asked(schema: pa.Schema) -> Iterable[str]:
    taken = _NOT_ASKED | set(NAMES) - {"robot"}
    for field in schema:
        kind = field.type
        plain = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind) or pa.types.is_string(kind)
        if plain and field.name.isidentifier() and field.name not in taken:
            yield field.name
