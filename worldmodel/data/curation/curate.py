"""Choose episodes of a dataset by a condition, into a view."""

from __future__ import annotations

import json

import numpy as np

from worldmodel.data.curation.expression import Expression, Value
from worldmodel.data.curation.labels import label_values, measure_labels
from worldmodel.data.curation.quality import VALUE_NAMES, QualityConfig, measure_quality
from worldmodel.data.dataset import Dataset
from worldmodel.data.format.episode_row import EpisodeRow
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
    "env_id": "Gymnasium id of its environment",
    "robot": "name of its robot",
    "renderer": "what drew its pixels",
    "control_mode": "what one action makes the robot do",
    "variation": "its factors of variation as JSON; a factor of one number or text can also be asked for by its own name",
}
"""What is known of every episode."""


def choose(
    ds: Dataset, expression: Expression, config: QualityConfig | None = None, progress: Progress | None = None
) -> np.ndarray:
    """Places in `ds` (n,) of its episodes of which the condition is true, in order.

    Episodes are measured for quality only when the condition asks for it. An episode without a factor of variation that the
    condition asks for does not fit.

    Raises:
        ConfigError: an unknown name, or a comparison that makes no sense.
        DataError: no episode fits, or the dataset is damaged.
    """
    factors = {name for row in ds.episodes for name in _factors(row)}
    of_labels = f", first_, last_, min_ or max_ of a label ({', '.join(ds.label_names)})" if ds.label_names else ""
    expression.require_known([*NAMES, *sorted(factors), *VALUE_NAMES], label_values(ds), of_labels)
    labels = measure_labels(ds, expression.names, progress)
    quality = measure_quality(ds, config, progress=progress) if expression.names & set(VALUE_NAMES) else None
    chosen = []
    for place, (row, index) in enumerate(zip(ds.episodes, ds.indices.tolist(), strict=True)):
        values = labels[place] | _factors(row) | _known(row, index)
        if quality is not None:
            values |= quality.values(index)
        if expression.holds(values):
            chosen.append(place)
    if not chosen:
        raise DataError(f"none of the {ds.num_episodes} episodes of {ds.root} fits {expression.text!r}; ask for less")
    return np.array(chosen, np.int64)


def _known(row: EpisodeRow, index: int) -> dict[str, Value]:
    """What `NAMES` stand for."""
    return {
        "index": index,
        "success": row.success,
        "terminated": row.terminated,
        "truncated": row.truncated,
        "length": row.length,
        "actions": row.length - 1,
        "seed": row.seed,
        "total_reward": row.total_reward,
        "instruction": row.instruction,
        "env_id": row.env_id,
        "robot": row.robot,
        "renderer": row.renderer,
        "control_mode": row.control_mode,
        "variation": json.dumps(row.variation, sort_keys=True, ensure_ascii=False),
    }


def _factors(row: EpisodeRow) -> dict[str, Value]:
    """Those factors of variation of an episode that can be named and compared."""
    return {name: value for name, value in row.variation.items() if name.isidentifier() and isinstance(value, Value)}
