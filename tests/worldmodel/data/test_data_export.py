"""Exporting: what others read is what was recorded, what they cannot hold is listed, and the way back loses nothing else."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import video_world
from tiny_world import SPEC, assert_same, make_episode

from worldmodel.data import Dataset, DatasetWriter, finalize
from worldmodel.data.exporters import EXPORT, LeRobot, MinariStore, export
from worldmodel.data.importers import ImportMap, MappedImporter, import_into, open_source
from worldmodel.errors import DataError
from worldmodel.types import Episode

EPISODES = [make_episode(k) for k in range(10)]
ACTIONS = [episode.num_actions for episode in EPISODES]


def back(source: Path, root: Path) -> Dataset:
    """What an import without a map makes of an export."""
    import_into(MappedImporter(open_source(source), ImportMap(), where="without a map"), root)
    return Dataset.open(root)


def shortened(episode: Episode) -> Episode:
    """The episode without its last observation, and so without the action that led to it."""
    return dataclasses.replace(
        episode,
        observations={key: values[:-1] for key, values in episode.observations.items()},
        actions=episode.actions[:-1],
        rewards=episode.rewards[:-1],
    )


class Listening:
    def __init__(self) -> None:
        self.counts: list[tuple[int, int]] = []

    def update(self, done: int, total: int, **fields: str | float) -> None:
        self.counts.append((done, total))


def test_lerobot_is_the_public_schema_and_nothing_else(dataset: Dataset, tmp_path: Path):
    out, listening = tmp_path / "out", Listening()
    done = export(dataset, LeRobot(), out, listening)
    assert done.num_episodes == 10 and listening.counts == [(k, 10) for k in range(1, 11)]
    files = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    assert files == [
        EXPORT,
        "data/chunk-000/file-000.parquet",
        "meta/episodes/chunk-000/file-000.parquet",
        "meta/info.json",
        "meta/stats.json",
        "meta/tasks.parquet",
    ]
    info = json.loads((out / "meta/info.json").read_text())
    assert (info["total_episodes"], info["total_frames"], info["total_tasks"]) == (10, sum(ACTIONS), 2)
    table = pq.read_table(out / "data/chunk-000/file-000.parquet")
    assert table.column_names == list(info["features"]) and not {"action_is_pad", "label.status"} & set(table.column_names)
    rows = table.to_pylist()
    assert [row["index"] for row in rows] == list(range(sum(ACTIONS)))
    ends = np.cumsum(ACTIONS).tolist()
    episode_rows = pq.read_table(out / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    for k, (episode, row) in enumerate(zip(EPISODES, episode_rows, strict=True)):
        assert (row["episode_index"], row["length"], row["tasks"]) == (k, ACTIONS[k], [episode.instruction])
        assert (row["dataset_from_index"], row["dataset_to_index"]) == (ends[k] - ACTIONS[k], ends[k])
        np.testing.assert_allclose(row["stats/action/mean"], episode.actions.mean(axis=0), rtol=1e-5)
        np.testing.assert_allclose(row["stats/observation.state/max"], episode.observations["proprio"][:-1].max(axis=0))
        assert row["stats/action/count"] == row["stats/observation.state/count"] == [ACTIONS[k]]
        ours = rows[row["dataset_from_index"] : row["dataset_to_index"]]
        assert [r["action"] for r in ours] == episode.actions.tolist()
        assert [r["next.reward"] for r in ours] == episode.rewards.tolist()
        assert [r["next.done"] for r in ours] == [False] * (ACTIONS[k] - 1) + [True]
        assert ours[-1]["next.success"] is episode.success
        assert [(r["frame_index"], r["timestamp"], r["task_index"]) for r in ours] == [
            (t, t / 2, k % 2) for t in range(ACTIONS[k])
        ]
    stats = json.loads((out / "meta/stats.json").read_text())
    np.testing.assert_allclose(stats["action"]["std"], np.concatenate([e.actions for e in EPISODES]).std(axis=0), rtol=1e-5)


def test_what_lerobot_cannot_hold_is_listed(dataset: Dataset, tmp_path: Path):
    done = export(dataset, LeRobot(), tmp_path / "out")
    text = (tmp_path / "out" / EXPORT).read_text()
    assert all(f"- {line}\n" in text for line in done.left_out) and dataset.fingerprint in text
    for part in (
        "last observation",
        "labels: status, position, done",
        "seed",
        "privileged",
        "state",
        "-1 to 1",
        "tests/Tiny-v0",
    ):
        assert any(part in line for line in done.left_out), part


def test_lerobot_and_back_loses_what_was_listed_only(dataset: Dataset, tmp_path: Path):
    export(dataset, LeRobot(), tmp_path / "out")
    again = back(tmp_path / "out", tmp_path / "back")
    keys = {"overhead": "pixels", "pixels": "pixels", "proprio": "proprio", "state": "state", "clock": "clock"}
    for k in range(10):
        got, expected = again.read_episode(k), shortened(EPISODES[k])
        np.testing.assert_array_equal(got.actions, expected.actions, strict=True)
        np.testing.assert_array_equal(got.rewards, expected.rewards, strict=True)
        assert {keys[key] for key in got.observations} == set(expected.observations)
        for key, values in got.observations.items():
            np.testing.assert_array_equal(values, expected.observations[keys[key]], strict=True)
        assert got.instruction == expected.instruction


def test_with_everything_the_dataset_stays_what_it_was(dataset: Dataset, tmp_path: Path):
    done = export(dataset, LeRobot(everything=True), tmp_path / "out")
    assert done.left_out == () and "Nothing" in (tmp_path / "out" / EXPORT).read_text()
    again = Dataset.open(tmp_path / "out")
    assert again.fingerprint == dataset.fingerprint and again.verify() == []
    imported = back(tmp_path / "out", tmp_path / "back")
    assert [row.sha256 for row in imported.episodes] == [row.sha256 for row in dataset.episodes]


@pytest.mark.parametrize("target", [LeRobot(), LeRobot(everything=True), MinariStore()])
def test_a_selection_is_exported_alone(dataset: Dataset, tmp_path: Path, target):
    export(dataset.select([7, 2]), target, tmp_path / "out")
    again = back(tmp_path / "out", tmp_path / "back")
    assert again.num_episodes == 2
    for got, k in zip((again.read_episode(0), again.read_episode(1)), (7, 2), strict=True):
        np.testing.assert_array_equal(got.actions, EPISODES[k].actions[: got.num_actions])


def test_minari_reads_what_was_recorded(dataset: Dataset, tmp_path: Path):
    minari = pytest.importorskip("minari")
    done = export(dataset, MinariStore(), tmp_path / "out")
    theirs = minari.MinariDataset(tmp_path / "out/data")
    assert (theirs.total_episodes, theirs.total_steps, theirs.id) == (10, sum(ACTIONS), "data-v0")
    assert theirs.action_space.shape == (2,) and (theirs.action_space.high == 1).all()
    assert theirs.observation_space["pixels"].shape == (8, 6, 3) and not theirs.storage.jpeg_encoding
    metadata = list(theirs.storage.get_episode_metadata(range(10)))
    for k, (got, expected) in enumerate(zip(theirs.iterate_episodes(), EPISODES, strict=True)):
        assert set(got.observations) == set(SPEC.sensors)
        for key, values in expected.observations.items():
            np.testing.assert_array_equal(got.observations[key], values, strict=True)
        np.testing.assert_array_equal(got.actions, expected.actions, strict=True)
        np.testing.assert_array_equal(got.rewards, expected.rewards, strict=True)
        assert got.terminations.tolist() == [False] * (ACTIONS[k] - 1) + [expected.terminated]
        assert got.truncations.tolist() == [False] * (ACTIONS[k] - 1) + [expected.truncated]
        for name, values in expected.labels.items():
            np.testing.assert_array_equal(got.infos[name], values, strict=True)
        assert got.infos["success"].tolist() == [False] * ACTIONS[k] + [expected.success]
        assert (metadata[k]["seed"], metadata[k]["instruction"]) == (expected.seed, expected.instruction)
    assert any("privileged" in line for line in done.left_out)


def test_minari_into_a_relative_folder(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    export(dataset.select([0]), MinariStore(), Path("new/out"))
    assert (tmp_path / "new/out/data/main_data.hdf5").is_file()


def test_minari_and_back_loses_what_was_listed_only(dataset: Dataset, tmp_path: Path):
    export(dataset, MinariStore(), tmp_path / "out")
    again = back(tmp_path / "out", tmp_path / "back")
    for k in range(10):
        assert_same(again.read_episode(k), EPISODES[k])


def test_video_is_cut_without_a_second_loss_and_depth_stays_exact(tmp_path: Path):
    finalize(video_world.record_into(tmp_path / "data", range(3)))
    dataset = Dataset.open(tmp_path / "data")
    export(dataset, LeRobot(), tmp_path / "out")
    export(dataset, MinariStore(), tmp_path / "minari")
    theirs, ours = Dataset.open(tmp_path / "out"), back(tmp_path / "minari", tmp_path / "back")
    assert len(list((tmp_path / "out").glob("videos/*/*/*.mp4"))) == 2
    for k in range(3):
        expected, cut, held = dataset.read_episode(k), theirs.read_episode(k), ours.read_episode(k)
        for key, values in expected.observations.items():
            np.testing.assert_array_equal(cut.observations[key], values[:-1], strict=True)
            if key not in ("front", "side"):  # unpacked pictures of this size are packed as video again
                np.testing.assert_array_equal(held.observations[key], values)
        np.testing.assert_array_equal(cut.actions, expected.actions[:-1], strict=True)


def test_an_episode_of_one_action_is_one_row_and_said_to_be(tmp_path: Path):
    with DatasetWriter(tmp_path / "data", SPEC, fps=2.0) as writer:
        writer.add(make_episode(0, num_actions=1))
        writer.add(make_episode(1))
    finalize(tmp_path / "data")
    done = export(Dataset.open(tmp_path / "data"), LeRobot(), tmp_path / "out")
    assert any(line.startswith("1 episodes of one action") for line in done.left_out)
    rows = pq.read_table(tmp_path / "out/meta/episodes/chunk-000/file-000.parquet").to_pylist()
    assert [row["length"] for row in rows] == [1, make_episode(1).num_actions]


def test_a_kill_leaves_nothing_visible_and_the_next_run_begins_anew(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    out, hidden = tmp_path / "out", tmp_path / ".out.1-abc.part"
    hidden.mkdir()
    (hidden / "half").write_text("written")  # what a killed export leaves
    export(dataset, LeRobot(), out)
    assert not (out / "half").exists() and not hidden.exists()

    def fail(self, dataset, out, progress):
        (out / "data").mkdir(parents=True)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(LeRobot, "write", fail)
        with pytest.raises(DataError, match=r"cannot write .*No space left on device; free space") as caught:
            export(dataset, LeRobot(), tmp_path / "full")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "full").exists() and not list(tmp_path.glob(".full*"))


def test_nothing_is_written_over(root: Path, dataset: Dataset, tmp_path: Path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/letter").write_text("dear")
    for out, message in ((tmp_path / "out", "is there already"), (root / "out", "is inside of the dataset")):
        with pytest.raises(DataError, match=message):
            export(dataset, LeRobot(), out)
    assert not (root / "out").exists()
