"""Some episodes of a dataset, chosen by number or by a view file, without a copy."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_world import assert_same, make_episode, record_into

from worldmodel.data import Dataset, finalize
from worldmodel.data.format.frame_reader import runs
from worldmodel.errors import DataError


def test_a_selection_is_a_dataset(dataset: Dataset):
    some = dataset.select([7, 2, 3])
    assert (some.num_episodes, dataset.num_episodes) == (3, 10)
    assert some.whole is dataset and dataset.whole is dataset
    np.testing.assert_array_equal(some.indices, [7, 2, 3])
    np.testing.assert_array_equal(dataset.indices, range(10))
    assert [row.episode_index for row in some.episodes] == [7, 2, 3]
    assert some.seeds == {1007, 1002, 1003}
    assert some.num_frames == sum(make_episode(k).num_actions + 1 for k in (7, 2, 3))
    for i, k in enumerate((7, 2, 3)):
        assert_same(some.read_episode(i), make_episode(k))
    assert some.summary()["episodes"] == 3
    assert some.verify() == []


def test_a_selection_of_a_selection_counts_in_the_whole(dataset: Dataset):
    some = dataset.select([7, 2, 3]).select(np.array([2, 0]))
    assert some.whole is dataset
    assert some.indices.tolist() == [3, 7]
    assert_same(some.read_episode(1), make_episode(7))


def test_frames_of_a_selection_are_counted_within_it(dataset: Dataset):
    some, columns = dataset.select([7, 2]), ["observation.images.overhead", "action"]
    expected = np.concatenate([make_episode(k).observations["pixels"] for k in (7, 2)])
    batches = list(some.frames(columns, batch_size=3))
    assert max(len(values["action"]) for _, values in batches) <= 3
    for start, values in batches:
        got = values["observation.images.overhead"]
        np.testing.assert_array_equal(got, expected[start : start + len(got)])
    assert sum(len(values["action"]) for _, values in batches) == len(expected)


def test_statistics_and_fingerprint_of_a_selection_are_its_own(dataset: Dataset, tmp_path: Path):
    finalize(record_into(tmp_path / "fewer", range(4)))
    fewer, some = Dataset.open(tmp_path / "fewer"), dataset.select(range(4))
    assert some.fingerprint == fewer.fingerprint != dataset.fingerprint
    assert dataset.select(range(10)).fingerprint == dataset.fingerprint
    for feature, stats in fewer.stats.items():
        for name, value in stats.items():
            np.testing.assert_allclose(some.stats[feature][name], value)


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        ([], "one episode or more"),
        ([0.5], "one episode or more"),
        ([[1]], "one episode or more"),
        ([10], "has no episode 10; it has 0 to 9"),
        ([-1], "has no episode -1"),
        ([1, 1], "selected twice"),
    ],
)
def test_what_cannot_be_selected(dataset: Dataset, indices: list, message: str):
    with pytest.raises(DataError, match=message):
        dataset.select(indices)


def write_view(path: Path, whole: Dataset, **changes) -> Path:
    values = {
        "schema_version": 1,
        "dataset": str(whole.root.relative_to(path.parent)),
        "fingerprint": whole.fingerprint,
        "filter": "success",
        "episodes": [0, 3, 6, 9],
    }
    path.write_text(json.dumps(values | changes))
    return path


def test_a_view_file_is_opened_like_a_dataset(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    view = write_view(tmp_path / "good.json", dataset)
    monkeypatch.chdir("/")  # its path is relative to the file, not to where the program runs
    some = Dataset.open(view)
    assert [row.seed for row in some.episodes] == [1000, 1003, 1006, 1009]
    assert all(row.success for row in some.episodes)
    assert some.whole.num_episodes == 10
    assert_same(some.read_episode(1), make_episode(3))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 2}, "schema version 2"),
        ({"dataset": None}, "dataset is None"),
        ({"dataset": "nowhere"}, "is no folder"),
        ({"dataset": "bad.json"}, "names another view"),
        ({"dataset": "a\0b"}, "is no folder|damaged"),
        ({"episodes": "all"}, "no list of whole numbers"),
        ({"episodes": [True]}, "no list of whole numbers"),
        ({"episodes": [10**30]}, "no list of whole numbers"),
        ({"episodes": []}, "one episode or more"),
        ({"episodes": [99]}, "has no episode 99"),
        ({"fingerprint": "0" * 64}, "is stale"),
    ],
)
def test_a_damaged_view_is_one_line(dataset: Dataset, tmp_path: Path, changes: dict, message: str):
    with pytest.raises(DataError, match=message) as caught:
        Dataset.open(write_view(tmp_path / "bad.json", dataset, **changes))
    assert "\n" not in str(caught.value)


def test_a_view_is_stale_when_the_dataset_has_grown(root: Path, dataset: Dataset, tmp_path: Path):
    view = write_view(tmp_path / "good.json", dataset)
    finalize(record_into(root, range(10, 12)))
    with pytest.raises(DataError, match="has changed since the view was made"):
        Dataset.open(view)


def test_neighbours_are_read_in_one_go(dataset: Dataset):
    rows = dataset.episodes
    lengths = [row.length for row in rows]
    assert [[row.episode_index for row in run] for run in runs([rows[i] for i in (0, 1, 3, 2)], 512)] == [[0, 1], [3], [2]]
    assert [len(run) for run in runs(rows[:3], lengths[0] + lengths[1])] == [2, 1]
    assert [len(run) for run in runs(rows[:2], 1)] == [1, 1]
    some, columns = dataset.select([4, 5, 6, 1, 2]), ["observation.images.overhead", "action"]
    for name in columns:
        together = np.concatenate([values[name] for _, values in some.frames(columns)])
        alone = np.concatenate([values[name] for _, values in some.frames(columns, batch_size=1)])
        np.testing.assert_array_equal(together, alone)
    assert [start for start, _ in some.frames(columns)] == [0, sum(lengths[4:7])]
