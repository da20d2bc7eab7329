"""Signs of a bad episode: a camera that froze or went black, actions that jump, a sensor that stands still, duplicates.

Every episode is measured once, in one pass over the frames. The measures are a small table that is kept beside the dataset
under its fingerprint, derived and safe to delete; `QualityConfig` says from which measure on an episode is flagged.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from worldmodel.data.curation.passing import pass_over
from worldmodel.data.curation.quality_measures import SCHEMA, Measurer
from worldmodel.data.dataset import Dataset
from worldmodel.data.format.features import sensor_columns
from worldmodel.data.format.files import publish, read_parquet
from worldmodel.errors import DataError
from worldmodel.progress import NoProgress, Progress

SCHEMA_VERSION = b"1"
_VERSION_KEY, _FINGERPRINT_KEY = b"worldmodel.quality", b"worldmodel.fingerprint"


@dataclass(frozen=True)
class QualityConfig:
    """From which measure on an episode is flagged."""

    frozen_share: float = 0.9
    """Share of consecutive frames of one camera that are the same picture."""
    frozen_frames: int = 4
    """Frames that an episode must have to be called frozen: a short one may show a still world."""
    action_jump: float = 6.0
    """Standard deviations by which a change between two actions exceeds the mean change in the dataset."""
    still_share: float = 0.5
    """A sensor that stands still in more than this share of all episodes is meant to; elsewhere it is flagged."""


FLAGS = {
    "frozen": "a camera shows the same picture",
    "black": "a frame is black",
    "jump": "an action jumps",
    "out_of_range": "an action is out of bounds",
    "constant": "a sensor stands still",
    "duplicate": "an earlier episode is the same",
}
"""Name of each flag -> what it says."""


class Quality:
    """Measures and flags of all the episodes of a whole dataset.

    Attributes:
        measures: name -> (E,) values, as `quality_measures` computes them.
        flags: name -> (E,) bool.
    """

    def __init__(self, table: pa.Table, config: QualityConfig | None = None):
        config = config or QualityConfig()
        self.measures: dict[str, np.ndarray] = {
            name: table.column(name).to_numpy() for name in ("frames", "frozen_share", "black_share", "action_jump")
        }
        self.measures["out_of_range"] = table.column("out_of_range").to_numpy()
        self.measures["duplicate_of"] = table.column("duplicate_of").to_numpy()
        self.flags = {
            "frozen": (self.measures["frozen_share"] >= config.frozen_share)
            & (self.measures["frames"] >= config.frozen_frames),
            "black": self.measures["black_share"] > 0,
            "jump": self.measures["action_jump"] > config.action_jump,
            "out_of_range": self.measures["out_of_range"],
            "constant": _standing_still(table.column("constant").to_pylist(), config.still_share),
            "duplicate": self.measures["duplicate_of"] >= 0,
        }

    def values(self, index: int) -> dict[str, bool | float]:
        """What a condition may ask of the episode with this number in the whole dataset."""
        asked = ("frozen_share", "black_share", "action_jump")
        numbers = {name: float(self.measures[name][index]) for name in asked}
        return numbers | {name: bool(flag[index]) for name, flag in self.flags.items()}


VALUE_NAMES = ("frozen_share", "black_share", "action_jump", *FLAGS)
"""Names of `Quality.values`."""


def quality_path(ds: Dataset, directory: Path | None = None) -> Path:
    """Where the measures of the whole of this dataset are kept; `directory` as in `measure_quality`."""
    folder = Path(directory) if directory is not None else ds.root / "cache"
    return folder / f"{ds.whole.fingerprint[:16]}-quality.parquet"


def measure_quality(
    ds: Dataset, config: QualityConfig | None = None, directory: Path | None = None, progress: Progress | None = None
) -> Quality:
    """Measures of every episode of the whole dataset, computed unless they are there already.

    Args:
        ds: the dataset, or a selection of it.
        config: where the flags begin.
        directory: where the measures are kept; None is DATASET/cache.
        progress: told the number of episodes done.

    Raises:
        DataError: the dataset is damaged, or the folder cannot be written.
    """
    known = known_quality(ds, config, directory)
    if known is not None:
        return known
    whole = ds.whole
    measurer = Measurer(whole.spec)
    for number, arrays in pass_over(whole, sensor_columns(whole.spec) | {"action": "action"}):
        measurer.add(number, arrays)
        (progress or NoProgress()).update(number + 1, whole.num_episodes, measuring="quality")
    metadata = {_VERSION_KEY: SCHEMA_VERSION, _FINGERPRINT_KEY: whole.fingerprint.encode()}
    table = pa.Table.from_pydict(measurer.finish(), SCHEMA).replace_schema_metadata(metadata)
    publish(quality_path(ds, directory), lambda path: pq.write_table(table, path))
    return Quality(table, config)


def known_quality(ds: Dataset, config: QualityConfig | None = None, directory: Path | None = None) -> Quality | None:
    """The measures that are kept of this dataset as it is now, or None: not measured yet, or to be measured again."""
    path = quality_path(ds, directory)
    if not path.exists():
        return None
    try:
        table = read_parquet(path, SCHEMA.names)
    except DataError:
        return None  # derived: whoever needs it measures again
    metadata = table.schema.metadata or {}
    expected = (SCHEMA_VERSION, ds.whole.fingerprint.encode(), ds.whole.num_episodes)
    if (metadata.get(_VERSION_KEY), metadata.get(_FINGERPRINT_KEY), len(table)) != expected:
        return None
    return Quality(table, config)


def _standing_still(constant: list[list[str]], still_share: float) -> np.ndarray:
    """(E,) whether a sensor stands still in an episode that moves in most of the others."""
    counts: dict[str, int] = {}
    for names in constant:
        for name in names:
            counts[name] = counts.get(name, 0) + 1
    meant = {name for name, count in counts.items() if count > still_share * len(constant)}
    return np.array([bool(set(names) - meant) for names in constant])
