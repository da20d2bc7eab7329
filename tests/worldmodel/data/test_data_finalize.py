"""The finalized folder: LeRobot's v3.0 schema field by field, read with pyarrow alone, and what finalizing refuses."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tiny_world import SPEC, assert_same, make_episode, record_into

from worldmodel.data import Dataset, DatasetWriter, finalize, recorded_episodes
from worldmodel.data.recording import assemble
from worldmodel.errors import DataError

EPISODES = [make_episode(k) for k in range(10)]
LENGTHS = [episode.num_actions + 1 for episode in EPISODES]


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_info(root: Path):
    info = json.loads((root / "meta/info.json").read_text())
    features = info.pop("features")
    assert info == {
        "codebase_version": "v3.0",
        "robot_type": "gantry",
        "total_episodes": 10,
        "total_frames": sum(LENGTHS),
        "total_tasks": 2,
        "chunks_size": 1000,
        "data_files_size_in_mb": 64,
        "video_files_size_in_mb": 200,
        "fps": 2,
        "splits": {"train": "0:10"},
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": None,
    }
    assert features["observation.images.overhead"] == {
        "dtype": "image",
        "shape": [8, 6, 3],
        "names": ["height", "width", "channels"],
    }
    assert features["observation.state"] == {"dtype": "float32", "shape": [2], "names": ["x [m]", "y [m]"]}
    assert features["observation.environment_state"] == {"dtype": "float32", "shape": [3], "names": None}
    assert features["action"] == {"dtype": "float32", "shape": [2], "names": ["start_x", "start_y"]}
    assert features["label.position"] == {"dtype": "float32", "shape": [5, 2], "names": None}
    for name in ("frame_index", "episode_index", "index", "task_index"):
        assert features[name] == {"dtype": "int64", "shape": [1], "names": None}
    (path,) = (root / "data").glob("*/*.parquet")
    assert pq.read_schema(path).names == list(features)  # LeRobot casts to the features: no column more or less


def test_rows(root: Path):
    rows = pq.read_table(root / "data/chunk-000/file-000.parquet").to_pylist()
    assert [row["index"] for row in rows] == list(range(sum(LENGTHS)))
    place = 0
    for k, episode in enumerate(EPISODES):
        for t in range(LENGTHS[k]):
            row, last = rows[place], t == episode.num_actions
            assert (row["episode_index"], row["frame_index"], row["timestamp"]) == (k, t, t / 2)
            assert row["task_index"] == k % 2
            np.testing.assert_array_equal(
                np.asarray(Image.open(io.BytesIO(row["observation.images.overhead"]["bytes"]))),
                episode.observations["pixels"][t],
            )
            assert row["observation.state"] == episode.observations["proprio"][t].tolist()
            assert row["observation.clock"] == episode.observations["clock"][t, 0]  # one number has no list around it
            assert row["observation.environment_state"] == episode.observations["state"][t].tolist()
            assert row["action"] == ([0, 0] if last else episode.actions[t].tolist())
            assert row["action_is_pad"] is last
            assert row["next.reward"] == (0 if last else episode.rewards[t])
            assert row["next.done"] is (t >= episode.num_actions - 1)
            assert row["next.success"] is (t >= episode.num_actions - 1 and episode.success)
            assert row["label.status"] == episode.labels["status"][t].tolist()
            assert row["label.position"] == episode.labels["position"][t].tolist()
            place += 1


def test_hugging_face_metadata(root: Path):
    metadata = pq.read_schema(root / "data/chunk-000/file-000.parquet").metadata
    features = json.loads(metadata[b"huggingface"])["info"]["features"]
    assert features["observation.images.overhead"] == {"_type": "Image"}
    assert features["action"] == {"feature": {"dtype": "float32", "_type": "Value"}, "length": 2, "_type": "Sequence"}
    assert features["label.position"] == {"shape": [5, 2], "dtype": "float32", "_type": "Array2D"}


def test_episode_rows_and_tasks(root: Path):
    rows = pq.read_table(root / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    ends = np.cumsum(LENGTHS).tolist()
    for k, (row, episode) in enumerate(zip(rows, EPISODES, strict=True)):
        assert (row["episode_index"], row["length"], row["tasks"]) == (k, LENGTHS[k], [episode.instruction])
        assert (row["dataset_from_index"], row["dataset_to_index"]) == (ends[k] - LENGTHS[k], ends[k])
        for folder in ("data", "meta/episodes"):
            assert (row[f"{folder}/chunk_index"], row[f"{folder}/file_index"]) == (0, 0)
        assert (row["seed"], row["success"]) == (episode.seed, episode.success)
        np.testing.assert_allclose(row["stats/action/mean"], episode.actions.mean(axis=0), rtol=1e-5)
    tasks = pq.read_table(root / "meta/tasks.parquet")
    assert tasks.to_pylist() == [{"task_index": 0, "task": "clear the table"}, {"task_index": 1, "task": "räum auf"}]
    assert json.loads(tasks.schema.metadata[b"pandas"])["index_columns"] == ["task"]


def test_statistics_are_those_of_all_frames(dataset: Dataset):
    pixels = np.concatenate([e.observations["pixels"] for e in EPISODES]) / 255.0
    stats = dataset.stats["observation.images.overhead"]
    assert stats["mean"].shape == (3, 1, 1)
    np.testing.assert_allclose(stats["mean"].ravel(), pixels.mean(axis=(0, 1, 2)))
    np.testing.assert_allclose(stats["std"].ravel(), pixels.std(axis=(0, 1, 2)))
    np.testing.assert_allclose(stats["max"].ravel(), pixels.max(axis=(0, 1, 2)))
    actions = np.concatenate([e.actions for e in EPISODES]).astype(np.float64)  # without the padding
    for name in ("min", "max", "mean", "std"):
        np.testing.assert_allclose(dataset.stats["action"][name], getattr(actions, name)(axis=0), atol=1e-12)
    assert dataset.stats["action"]["count"].tolist() == [len(actions)]
    position = np.concatenate([e.labels["position"] for e in EPISODES]).astype(np.float64)
    np.testing.assert_allclose(dataset.stats["label.position"]["std"], position.std(axis=0))


def test_card(root: Path):
    text = (root / "README.md").read_text()
    assert text.startswith("---\nlicense: apache-2.0\n")
    for part in ("tests/Tiny-v0", "| episodes | 10 |", "räum auf", "## Known limits", "data_files: data/*/*.parquet"):
        assert part in text
    assert "Recorded in the Gymnasium environment" in text and "Simulation only" in text


def test_finalizing_again_changes_nothing(root: Path):
    before = contents(root)
    finalize(root)
    assert contents(root) == before


def test_appended_episodes_follow_and_old_files_stay(root: Path, tmp_path: Path):
    before = contents(root)
    record_into(root, range(10, 15))
    assert recorded_episodes(root) == set(range(15))
    assert Dataset.open(root).num_episodes == 10  # readers see the new ones when they are finalized
    finalize(root)
    after = contents(root)
    for name in ("data/chunk-000/file-000.parquet", "meta/episodes/chunk-000/file-000.parquet"):
        assert after[name] == before[name]
    dataset = Dataset.open(root)
    assert dataset.verify() == []
    for k in range(15):
        assert_same(dataset.read_episode(k), make_episode(k))
    finalize(record_into(tmp_path / "at once", range(15)))
    assert Dataset.open(tmp_path / "at once").fingerprint == dataset.fingerprint
    for feature, stats in Dataset.open(tmp_path / "at once").stats.items():
        for name, value in stats.items():
            np.testing.assert_allclose(dataset.stats[feature][name], value)


def test_files_are_closed_when_they_are_large_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(assemble, "FILE_MB", 0.004)
    finalize(record_into(tmp_path, range(10)))
    assert len(list((tmp_path / "data").rglob("*.parquet"))) > 2
    dataset = Dataset.open(tmp_path)
    assert dataset.verify() == []
    for k in range(10):
        assert_same(dataset.read_episode(k), make_episode(k))


@pytest.mark.parametrize("step", ["meta/episodes", "meta/tasks.parquet", "meta/info.json", "README.md"])
def test_a_crash_before_any_step_is_mended_by_the_next_run(root: Path, step: str, monkeypatch: pytest.MonkeyPatch):
    record_into(root, range(10, 13))
    real = assemble.publish

    def crash(path: Path, content):
        if str(path.relative_to(root)).startswith(step):
            raise RuntimeError("killed here")
        real(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(assemble, "publish", crash)
        patch.setattr("worldmodel.data.format.files.publish", crash)
        patch.setattr("worldmodel.data.format.meta.publish", crash)
        with pytest.raises(RuntimeError):
            finalize(root)
    assert Dataset.open(root).num_episodes == (13 if step == "README.md" else 10)
    assert recorded_episodes(root) == set(range(13))
    record_into(root, range(13, 14))
    finalize(root)
    dataset = Dataset.open(root)
    assert dataset.verify() == []
    for k in range(14):
        assert_same(dataset.read_episode(k), make_episode(k))
    rows = sum(pq.read_metadata(path).num_rows for path in (root / "data").glob("*/*.parquet"))
    assert rows == dataset.num_frames  # no file of the crashed run is left


def test_gaps_are_refused_by_name(tmp_path: Path):
    with DatasetWriter(tmp_path, SPEC, fps=2.0) as writer:
        for k in (0, 2, 5):
            writer.add(make_episode(k), episode_index=k)
    with pytest.raises(DataError, match=r"lacks 3 episodes \(1, 3, 4\)"):
        finalize(tmp_path)
    assert recorded_episodes(tmp_path) == {0, 2, 5}


def test_an_episode_recorded_twice_counts_once_when_it_is_the_same(tmp_path: Path):
    with DatasetWriter(tmp_path, SPEC, fps=2.0) as a, DatasetWriter(tmp_path, SPEC, fps=2.0) as b:
        a.add(make_episode(0), episode_index=0)
        b.add(make_episode(0), episode_index=0)
    finalize(tmp_path)
    assert Dataset.open(tmp_path).num_episodes == 1


def test_two_different_episodes_of_one_index_are_refused(tmp_path: Path):
    with DatasetWriter(tmp_path, SPEC, fps=2.0) as a, DatasetWriter(tmp_path, SPEC, fps=2.0) as b:
        a.add(make_episode(0), episode_index=0)
        b.add(make_episode(1), episode_index=0)
    with pytest.raises(DataError, match="episode 0 is recorded twice and differs"):
        finalize(tmp_path)


def test_writers_with_other_labels_are_refused(tmp_path: Path):
    with DatasetWriter(tmp_path, SPEC, fps=2.0) as a, DatasetWriter(tmp_path, SPEC, fps=2.0) as b:
        a.add(make_episode(0), episode_index=0)
        b.add(dataclasses.replace(make_episode(1), labels={}), episode_index=1)
    with pytest.raises(DataError, match=r"other columns than the rest: label\.done"):
        finalize(tmp_path)


def test_nobody_finalizes_while_somebody_records(tmp_path: Path):
    with DatasetWriter(tmp_path, SPEC, fps=2.0) as writer:
        writer.add(make_episode(0))
        with pytest.raises(DataError, match="still being recorded"):
            finalize(tmp_path, wait=0)
    finalize(tmp_path, wait=0)


def test_nothing_to_finalize(tmp_path: Path):
    with pytest.raises(DataError, match="no folder"):
        finalize(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"worldmodel\.json is missing"):
        finalize(tmp_path)
    DatasetWriter(tmp_path / "empty", SPEC, fps=2.0).close()
    with pytest.raises(DataError, match="no recorded episodes"):
        finalize(tmp_path / "empty")


def test_rows_made_before_they_told_of_the_world_are_still_read_and_appended_to(root: Path):
    before = Dataset.open(root)
    path = root / "meta/episodes/chunk-000/file-000.parquet"
    columns = ["env_id", "robot", "renderer", "control_mode", "variation"]
    pq.write_table(pq.read_table(path).drop_columns(columns), path)
    old = Dataset.open(root)
    assert old.fingerprint == before.fingerprint
    assert old.episodes == before.episodes
    with DatasetWriter(root, SPEC, fps=2.0) as writer:
        writer.add(dataclasses.replace(make_episode(10), variation={"light": 0.5}))
    finalize(root)
    grown = Dataset.open(root)
    assert (grown.episodes[0].variation, grown.episodes[10].variation) == ({}, {"light": 0.5})
    assert (grown.episodes[0].robot, grown.episodes[10].env_id) == ("gantry", "tests/Tiny-v0")
    assert grown.read_episode(10).variation == {"light": 0.5}


def test_nothing_is_recorded_over_episodes_whose_info_is_lost(root: Path):
    before = contents(root)
    del before["meta/info.json"]
    (root / "meta/info.json").unlink()
    lost = "holds 10 episodes and has lost its meta/info.json; run 'worldmodel repair"
    for attempt in (lambda: DatasetWriter(root, SPEC, fps=2.0), lambda: finalize(root), lambda: recorded_episodes(root)):
        with pytest.raises(DataError, match=lost):
            attempt()
    with pytest.raises(DataError, match=lost):
        Dataset.open(root)
    assert contents(root) == before


@pytest.mark.parametrize("name", ["README.md", "data/chunk-000/file-000.parquet", "recording/mine.parquet"])
def test_somebody_elses_files_of_our_names_are_left_alone(tmp_path: Path, name: str):
    path = tmp_path / "theirs" / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    with pytest.raises(DataError, match="holds other files"):
        DatasetWriter(tmp_path / "theirs", SPEC, fps=2.0)
    assert [p for p in (tmp_path / "theirs").rglob("*") if p.is_file()] == [path] and path.read_text() == "mine"


def test_an_append_keeps_the_licence(tmp_path: Path):
    finalize(record_into(tmp_path / "data", range(2)), licence="cc-by-4.0")
    finalize(record_into(tmp_path / "data", range(2, 4)))
    text = (tmp_path / "data/README.md").read_text()
    assert text.startswith("---\nlicense: cc-by-4.0\n") and "## Licence\n\ncc-by-4.0\n" in text


def test_a_kill_before_the_card_leaves_no_old_card(root: Path):
    card = (root / "README.md").read_text()
    finalize(record_into(root, range(10, 12)))
    (root / "README.md").write_text(card)
    finalize(root)
    assert Dataset.open(root).fingerprint in (root / "README.md").read_text()


def test_joining_tells_how_far_it_is_when_it_takes_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    class Heard:
        def __init__(self) -> None:
            self.told: list[tuple[int, int]] = []

        def update(self, done: int, total: int, **fields: str | float) -> None:
            self.told.append((done, total))

    quick, slow = Heard(), Heard()
    finalize(record_into(tmp_path / "quick", range(3)), progress=quick)
    assert quick.told == []
    clock = iter(range(0, 1000, 3))
    monkeypatch.setattr("worldmodel.data.recording.joining.time.monotonic", lambda: next(clock))
    finalize(record_into(tmp_path / "slow", range(3)), progress=slow, wait=1e9)
    assert slow.told == [(1, 3), (2, 3), (3, 3)]
