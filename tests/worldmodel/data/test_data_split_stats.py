"""Statistics of one split: of its episodes alone, from their rows where those tell, and from their frames where not."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import foreign_v3
import numpy as np
import pyarrow.parquet as pq
import pytest
from tiny_world import SPEC, make_episode

from worldmodel.data import Dataset, DatasetWriter, finalize, in_validation
from worldmodel.data.format.features import sensor_columns
from worldmodel.data.loading.index import Split
from worldmodel.data.split_stats import split_stats
from worldmodel.types import SensorSpec

PROPRIO = "observation.state"


@pytest.mark.parametrize("split", ["train", "val", "all"])
def test_they_are_of_the_splits_own_episodes_and_no_frame_is_read(dataset: Dataset, split: Split):
    held_out = [in_validation(1000 + k, 0.4) for k in range(10)]
    inside = [k for k in range(10) if split == "all" or held_out[k] == (split == "val")]
    assert 0 < sum(held_out) < 10
    shutil.rmtree(dataset.root / "data")
    found = split_stats(dataset, [PROPRIO, "action"], split, 0.4)
    assert set(found) == {PROPRIO, "action"}
    for column, values in (
        (PROPRIO, np.concatenate([make_episode(k).observations["proprio"] for k in inside])),
        ("action", np.concatenate([make_episode(k).actions for k in inside])),
    ):
        np.testing.assert_allclose(found[column]["mean"], values.mean(axis=0, dtype=np.float64), rtol=1e-12)
        np.testing.assert_allclose(found[column]["std"], values.std(axis=0, dtype=np.float64), rtol=1e-12)
        assert found[column]["count"].tolist() == [len(values)]


def test_of_a_selection_they_are_of_what_is_selected(dataset: Dataset):
    chosen = [k for k in (7, 2, 3, 9, 5) if not in_validation(1000 + k, 0.4)]
    values = np.concatenate([make_episode(k).observations["proprio"] for k in chosen])
    found = split_stats(dataset.select([7, 2, 3, 9, 5]), [PROPRIO], "train", 0.4)[PROPRIO]
    np.testing.assert_allclose(found["mean"], values.mean(axis=0, dtype=np.float64), rtol=1e-12)


def test_a_large_vector_is_scaled_as_a_whole(tmp_path: Path):
    sensors = {"skin": SensorSpec((600,), "float32", "vector")}
    with DatasetWriter(tmp_path, dataclasses.replace(SPEC, sensors=sensors), fps=1.0) as writer:
        for k in range(3):
            felt = np.random.default_rng(k).normal(5, 2, (len(make_episode(k).actions) + 1, 600)).astype(np.float32)
            writer.add(dataclasses.replace(make_episode(k), observations={"skin": felt}))
    finalize(tmp_path)
    dataset = Dataset.open(tmp_path)
    (column,) = sensor_columns(dataset.spec).values()
    found = split_stats(dataset, [column], "all", 0.4)[column]
    values = np.concatenate([dataset.read_episode(k).observations["skin"] for k in range(3)])
    np.testing.assert_allclose(found["mean"], np.full(600, values.mean(dtype=np.float64)), rtol=1e-9)
    np.testing.assert_allclose(found["std"], np.full(600, values.std(dtype=np.float64)), rtol=1e-9)


def test_a_split_without_an_episode_has_none(dataset: Dataset):
    assert split_stats(dataset, ["action"], "val", 0.0) == {}


@pytest.mark.parametrize("files", [slice(None), slice(1)])
def test_what_another_program_keeps_no_statistics_of_is_read(tmp_path: Path, files: slice):
    """Of no episode, or not of all of them."""
    root = foreign_v3.build(tmp_path)
    for path in sorted((root / "meta/episodes").rglob("*.parquet"))[files]:
        table = pq.read_table(path)
        kept = [name for name in table.column_names if not name.startswith("stats/observation.state/")]
        pq.write_table(table.select(kept), path)
    val_fraction = next(share for share in (0.3, 0.4, 0.5, 0.6) if any(in_validation(k, share) for k in range(5)))
    train = [k for k in range(5) if not in_validation(k, val_fraction)]
    assert 0 < len(train) < 5
    found = split_stats(Dataset.open(root), ["observation.state", "action"], "train", val_fraction)
    for column in ("observation.state", "action"):
        values = np.concatenate([foreign_v3.values_of(k)[column] for k in train]).astype(np.float64)
        np.testing.assert_allclose(found[column]["mean"], values.mean(axis=0), rtol=1e-6)
        np.testing.assert_allclose(found[column]["std"], values.std(axis=0), rtol=1e-6)
