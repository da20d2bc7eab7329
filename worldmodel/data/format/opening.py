"""The meta folder of a dataset, read and checked: of one of ours, or of one that another program wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from worldmodel.data.format.episode_row import EpisodeRow
from worldmodel.data.format.episodes_table import read_episodes
from worldmodel.data.format.features import CHECKSUMS, INFO, STATS, WORLD, Feature, features_of
from worldmodel.data.format.files import Folder, inside
from worldmodel.data.format.foreign import foreign_layout
from worldmodel.data.format.foreign_episodes import foreign_episodes
from worldmodel.data.format.frame_reader import Layout
from worldmodel.data.format.info import read_info, require_readable
from worldmodel.data.format.world import read_world
from worldmodel.data.recording.shards import recorded_episodes, require_counted, shard_rows
from worldmodel.data.upkeep.swap import require_settled
from worldmodel.errors import DataError
from worldmodel.types import WorldSpec


def load(folder: Folder) -> tuple[Folder, dict[str, Any], Layout, tuple[EpisodeRow, ...]]:
    """What a Dataset is made of: its files, info.json, how its columns are stored, and its episodes.

    Raises:
        DataError: no dataset, not finalized yet, or damaged.
    """
    root = folder.root
    _require_dataset(root)
    for name in (INFO, WORLD, STATS, CHECKSUMS):
        inside(root, name)
    info = read_info(root)
    if not (root / WORLD).exists() and not (root / CHECKSUMS).exists():  # another program's; ours has both
        layout = foreign_layout(root, info)
        return folder, info, layout, foreign_episodes(root, info, layout)
    spec, fps = read_world(root)
    features = info["features"]
    require_readable(root / INFO, features)
    _check_features(root / INFO, features, spec)
    layout = Layout(spec, fps, features, {name: (name, feature) for name, feature in features.items()})
    return folder, info, layout, read_episodes(root, info, spec)


def _check_features(path: Path, features: dict[str, Feature], spec: WorldSpec) -> None:
    """The columns that the world needs are there, with its dtypes and shapes."""
    for name, expected in features_of(spec, {}).items():
        got = features.get(name)
        if got is None:
            raise DataError(f"{path} has no feature {name!r}")
        for key in ("dtype", "shape"):
            if got.get(key) != expected[key]:
                raise DataError(f"{path}: feature {name!r} has {key} {got.get(key)}; expected {expected[key]}")


def _require_dataset(root: Path) -> None:
    if not root.is_dir():
        raise DataError(f"{root} is no folder; expected a dataset made by 'worldmodel record'")
    require_settled(root)
    if not (root / INFO).exists():
        require_counted(root)
        if shard_rows(root):
            raise DataError(f"{root} is not finished: {len(recorded_episodes(root))} episodes so far; record again to go on")
        what = "it is a run" if (root / "manifest.json").exists() else f"{INFO} is missing; make one with 'worldmodel record'"
        raise DataError(f"{root} is no dataset: {what}")
