"""Quality flags of spoiled episodes, and views of the episodes that a condition chooses."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny_world import SPEC, assert_same, make_episode

from worldmodel.data import Dataset, DatasetWriter, FrameCache, finalize
from worldmodel.data.curation.curate import choose
from worldmodel.data.curation.expression import Expression
from worldmodel.data.curation.quality import FLAGS, known_quality, measure_quality, quality_path
from worldmodel.data.view import read_view, write_view
from worldmodel.errors import ConfigError, DataError
from worldmodel.types import Episode


def write(root: Path, episodes: list[Episode]) -> Dataset:
    with DatasetWriter(root, SPEC, fps=2.0) as writer:
        for episode in episodes:
            writer.add(episode)
    finalize(root)
    return Dataset.open(root)


def with_pixels(episode: Episode, pixels: np.ndarray) -> Episode:
    return dataclasses.replace(episode, observations={**episode.observations, "pixels": pixels})


def spoiled() -> list[Episode]:
    """Twelve episodes of 20 smooth actions; from the seventh on, each has its own flaw."""
    episodes = []
    for k in range(12):
        episode = make_episode(k, num_actions=20)
        smooth = np.stack([np.linspace(-0.5, 0.5, 20) + 0.001 * (np.arange(20) + k) % 0.003] * 2, axis=1).astype(np.float32)
        episodes.append(dataclasses.replace(episode, actions=smooth))
    frozen = episodes[6].observations["pixels"].copy()
    frozen[1:] = frozen[0]
    episodes[6] = with_pixels(episodes[6], frozen)
    black = episodes[7].observations["pixels"].copy()
    black[5] = 3
    episodes[7] = with_pixels(episodes[7], black)
    episodes[8].actions[10] = 0.99
    episodes[9].actions[3] = 0.0
    episodes[9].actions[3, 1] = 1.2
    episodes[10].observations["proprio"][:] = 0.25
    episodes[11] = dataclasses.replace(episodes[2], seed=77)
    return episodes


def test_each_flaw_has_its_flag(tmp_path: Path):
    quality = measure_quality(write(tmp_path, spoiled()))
    found = {name: np.flatnonzero(flag).tolist() for name, flag in quality.flags.items()}
    assert found == {"frozen": [6], "black": [7], "jump": [8, 9], "out_of_range": [9], "constant": [10], "duplicate": [11]}
    assert set(found) == set(FLAGS)
    assert quality.measures["duplicate_of"][11] == 2
    assert quality.measures["frozen_share"][6] == 1 and quality.measures["black_share"][7] == pytest.approx(1 / 21)
    assert quality.measures["frozen_share"][0] == 0


def test_jumps_are_counted_in_deviations_from_the_mean_change(tmp_path: Path):
    episodes = spoiled()
    measured = measure_quality(write(tmp_path, episodes)).measures["action_jump"]
    changes = [np.abs(np.diff(episode.actions.astype(np.float64), axis=0)) for episode in episodes]
    everything = np.concatenate(changes)
    for k, change in enumerate(changes):
        expected = ((change.max(axis=0) - everything.mean(axis=0)) / everything.std(axis=0)).max()
        assert measured[k] == pytest.approx(max(expected, 0), rel=1e-9)
    assert (measured > 0).any()


def test_measures_are_kept_until_the_dataset_changes(root: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch):
    assert known_quality(dataset) is None
    told = []

    class Listener:
        def update(self, done: int, total: int, **fields: str | float) -> None:
            told.append((done, total))

    first = measure_quality(dataset, progress=Listener())
    assert told == [(k, 10) for k in range(1, 11)]
    monkeypatch.setattr("worldmodel.data.curation.quality.pass_over", None)  # a second measurement would fail
    again = measure_quality(Dataset.open(root).select([3, 1]))
    for name, values in first.measures.items():
        np.testing.assert_array_equal(again.measures[name], values)
    quality_path(dataset).write_bytes(b"x")
    assert known_quality(dataset) is None


def test_measures_of_another_state_are_not_believed(root: Path, dataset: Dataset, tmp_path: Path):
    measure_quality(dataset)
    other = write(tmp_path / "other", [make_episode(k) for k in range(3)])
    quality_path(other).parent.mkdir()
    shutil.copy(quality_path(dataset), quality_path(other))
    assert known_quality(other) is None


def chosen(dataset: Dataset, text: str) -> list[int]:
    return choose(dataset, Expression(text)).tolist()


def test_conditions_choose_episodes(dataset: Dataset):
    assert chosen(dataset, "success") == [0, 3, 6, 9]
    assert chosen(dataset, "success and length >= 4 and task ~ 'TABLE' and seed % 2 == 0 and not frozen") == [6]
    assert chosen(dataset, "task ~ 'räum'") == [1, 3, 5, 7, 9]
    assert chosen(dataset, "truncated and actions == 3") == [1, 5, 9]
    assert chosen(dataset, "robot == 'gantry' and index < 2") == [0, 1]
    totals = [float(make_episode(k).rewards.sum(dtype="float64")) for k in range(10)]
    assert chosen(dataset, "return > 0") == [k for k, total in enumerate(totals) if total > 0]


def test_factors_of_variation_have_names(tmp_path: Path):
    episodes = [dataclasses.replace(make_episode(k), variation={"light": k / 10, "table": "oak"}) for k in range(4)]
    dataset = write(tmp_path, [*episodes, make_episode(4)])
    assert chosen(dataset, "light >= 0.2") == [2, 3]
    assert chosen(dataset, "not light >= 0.2") == [0, 1]
    assert chosen(dataset, "table == 'oak' and variation ~ '\"light\": 0.1'") == [1]


def test_a_selection_is_chosen_from_by_its_own_places(dataset: Dataset):
    selection = dataset.select([9, 6, 2])
    assert chosen(selection, "success and not duplicate") == [0, 1]
    assert chosen(selection, "index == 2") == [2]


def test_frames_are_read_only_for_a_condition_that_needs_them(root: Path, dataset: Dataset):
    (root / "data/chunk-000/file-000.parquet").unlink()
    assert chosen(dataset, "success") == [0, 3, 6, 9]
    with pytest.raises(DataError, match="is missing"):
        chosen(dataset, "not frozen")


def test_what_cannot_be_chosen_is_one_line(dataset: Dataset):
    with pytest.raises(ConfigError, match="did you mean 'success'"):
        chosen(dataset, "sucess")
    with pytest.raises(DataError, match="none of the 10 episodes"):
        chosen(dataset, "length > 100")


def test_a_view_is_a_small_file_that_can_be_moved_with_its_dataset(root: Path, dataset: Dataset, tmp_path: Path):
    view = tmp_path / "views" / "good.json"
    view.parent.mkdir()
    write_view(view, root, dataset.fingerprint, np.array([3, 6, 9]), "success")
    assert json.loads(view.read_text())["dataset"] == "../data"
    opened = Dataset.open(view)
    assert [row.episode_index for row in opened.episodes] == [3, 6, 9]
    assert_same(opened.read_episode(1), make_episode(6))
    moved = shutil.move(tmp_path, tmp_path.with_name(tmp_path.name + "-moved")) / Path("views/good.json")
    assert read_view(Path(moved)).filter == "success"
    assert_same(Dataset.open(moved).read_episode(2), make_episode(9))


def test_a_view_trains_like_its_episodes(root: Path, dataset: Dataset, tmp_path: Path):
    view = tmp_path / "good.json"
    write_view(view, root, dataset.fingerprint, [2, 7], "two")
    cache = FrameCache.build(Dataset.open(view), ("pixels",))
    np.testing.assert_array_equal(cache.episode_seed, [1002, 1007])
    for k, start, length in zip((2, 7), cache.episode_start, cache.episode_length, strict=True):
        np.testing.assert_array_equal(
            cache.arrays["pixels"][start : start + length], make_episode(k).observations["pixels"], strict=True
        )


def test_a_view_never_writes_over_something_else(root: Path, dataset: Dataset, tmp_path: Path):
    info = root / "meta/info.json"
    before = info.read_bytes()
    with pytest.raises(DataError, match="is no view; choose another name"):
        write_view(info, root, dataset.fingerprint, [1], "")
    assert info.read_bytes() == before
    with pytest.raises(DataError, match=r"ends in \.json"):
        write_view(tmp_path / "view.txt", root, dataset.fingerprint, [1], "")
    write_view(tmp_path / "v.json", root, dataset.fingerprint, [1], "a")
    write_view(tmp_path / "v.json", root, dataset.fingerprint, [2], "b")
    assert read_view(tmp_path / "v.json").episodes == (2,)


@pytest.mark.parametrize(
    ("where", "fits"),
    [
        ("last_done", lambda e: e.labels["done"][-1]),
        ("first_status_3 == 2", lambda e: e.labels["status"][0, 3] == 2),
        ("max_position_4_1 < 1.5", lambda e: e.labels["position"][:, 4, 1].max() < 1.5),
        ("min_position > -3 and task ~ 'table'", lambda e: e.labels["position"].min() > -3 and "table" in e.instruction),
    ],
)
def test_labels_can_be_asked_for(dataset: Dataset, where: str, fits):
    some = dataset.select([8, 1, 3, 5, 2, 6])  # of a view too, in its own order
    expected = [place for place, k in enumerate((8, 1, 3, 5, 2, 6)) if fits(make_episode(k))]
    assert 0 < len(expected) <= 6
    assert choose(some, Expression(where)).tolist() == expected


def test_a_label_that_is_not_there_is_named(dataset: Dataset):
    with pytest.raises(ConfigError, match="asks for 'last_statu_0'; did you mean 'last_status_0'"):
        choose(dataset, Expression("last_statu_0 == 1"))
    with pytest.raises(ConfigError, match=r"asks for 'zzz'; expected one of .*max_ of a label \(status, position, done\)"):
        choose(dataset, Expression("zzz"))
