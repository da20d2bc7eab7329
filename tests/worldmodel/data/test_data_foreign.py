"""A v3.0 dataset that was built by hand to the public schema is read by us, equal in every value."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from foreign_v3 import DATA_FILES, FPS, LENGTHS, TASKS, VIDEO_FILES, VIDEOS, WRIST, build, decode, picture, values_of

from worldmodel.data import Dataset, FrameCache
from worldmodel.errors import DataError

ALL = range(len(LENGTHS))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("foreign") / "data")


@pytest.fixture
def root(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "data"))


def frames_of(root: Path, camera: str, k: int) -> np.ndarray:
    """What PyAV alone decodes for episode `k`."""
    file = decode(root / "videos" / camera / "chunk-{:03d}/file-{:03d}.mp4".format(*VIDEO_FILES[k]))
    before = sum(LENGTHS[j] for j in range(k) if VIDEO_FILES[j] == VIDEO_FILES[k])
    return np.stack(file[before : before + LENGTHS[k]])


def test_the_world_follows_from_info(built: Path):
    dataset = Dataset.open(built)
    spec = dataset.spec
    assert (dataset.fps, dataset.num_episodes, dataset.num_frames) == (FPS, 5, sum(LENGTHS))
    assert spec.robot == "so100"
    kinds = {key: (sensor.kind, sensor.dtype, sensor.shape) for key, sensor in spec.sensors.items()}
    assert kinds == {
        "front": ("image", "uint8", (48, 64, 3)),
        "side": ("image", "uint8", (48, 64, 3)),
        "wrist": ("image", "uint8", (6, 8, 3)),  # channels were named first
        "proprio": ("vector", "float32", (3,)),
        "state": ("vector", "float32", (2,)),
        "force": ("vector", "float32", (1,)),
        "touch": ("vector", "uint8", (2, 3)),
    }
    assert spec.sensors["proprio"].names == ("shoulder", "elbow", "gripper")
    assert [key for key, sensor in spec.sensors.items() if sensor.privileged] == ["state"]
    assert spec.sensors["side"].camera == "side"
    actions = np.concatenate([values_of(k)["action"] for k in ALL])
    assert spec.action.names == ("dx", "dy")
    np.testing.assert_allclose(spec.action.low, actions.min(axis=0))
    np.testing.assert_allclose(spec.action.high, actions.max(axis=0))


def test_every_value_is_the_same(built: Path):
    dataset = Dataset.open(built)
    for k in (3, 0, 4, 2, 1):
        episode, values = dataset.read_episode(k), values_of(k)
        assert episode.num_actions == LENGTHS[k] - 1
        expected = {
            "front": frames_of(built, VIDEOS[0], k),
            "side": frames_of(built, VIDEOS[1], k),
            "wrist": values[WRIST],
            "proprio": values["observation.state"],
            "state": values["observation.environment_state"],
            "force": values["observation.force"].astype(np.float32)[:, None],
            "touch": values["observation.touch"],
        }
        assert set(episode.observations) == set(expected)
        for key, array in expected.items():
            np.testing.assert_array_equal(episode.observations[key], array, strict=True)
        for t in range(LENGTHS[k]):  # and the frames are those that were shown, not only those that were decoded
            for camera, got in ((VIDEOS[0], episode.observations["front"]), (VIDEOS[1], episode.observations["side"])):
                assert np.abs(got[t, :, :, 2].astype(int) - picture(camera, k, t)[0, 0, 2]).mean() < 4
        np.testing.assert_array_equal(episode.actions, values["action"][:-1], strict=True)
        np.testing.assert_array_equal(episode.rewards, values["next.reward"][:-1], strict=True)
        assert (episode.success, episode.seed, episode.instruction) == (k == 2, k, TASKS[k % 2])


def test_rows_of_episodes(built: Path):
    dataset = Dataset.open(built)
    assert [row.file for row in dataset.episodes] == ["data/chunk-{:03d}/file-{:03d}.parquet".format(*p) for p in DATA_FILES]
    assert dataset.episodes[2].success and not dataset.episodes[1].success
    assert dataset.episodes[1].total_reward == pytest.approx(values_of(1)["next.reward"].sum())
    assert dataset.verify() == []
    assert dataset.clips(0) == {}
    json.dumps(dataset.summary())


def test_frames_selections_and_the_cache(built: Path, tmp_path: Path):
    dataset = Dataset.open(built)
    columns = ["observation.images.side", "observation.state"]
    states = np.concatenate([values_of(k)["observation.state"] for k in ALL])
    pictures = np.concatenate([frames_of(built, VIDEOS[1], k) for k in ALL])
    for start, values in dataset.frames(columns, batch_size=4):
        end = start + len(values[columns[1]])
        np.testing.assert_array_equal(values[columns[0]], pictures[start:end])
        np.testing.assert_array_equal(values[columns[1]], states[start:end])
    some = dataset.select([4, 1])
    np.testing.assert_array_equal(some.read_episode(0).actions, values_of(4)["action"][:-1])
    reference = np.concatenate([values_of(k)["observation.state"] for k in (4, 1)]).astype(np.float64)
    np.testing.assert_allclose(some.stats["observation.state"]["mean"], reference.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(dataset.stats["observation.state"]["std"], states.astype(np.float64).std(axis=0), rtol=1e-6)
    cache = FrameCache.build(dataset, ("side", "proprio"), tmp_path)
    np.testing.assert_array_equal(cache.arrays["side"], pictures)
    np.testing.assert_array_equal(cache.arrays["proprio"], states)


def test_one_camera_alone_is_called_pixels(tmp_path: Path):
    dataset = Dataset.open(build(tmp_path, without=VIDEOS))
    assert dataset.spec.sensors["pixels"].camera == "wrist"
    np.testing.assert_array_equal(dataset.read_episode(2).observations["pixels"], values_of(2)[WRIST])


def test_what_is_missing_is_zero(tmp_path: Path):
    dataset = Dataset.open(build(tmp_path, without=("next.reward", "next.success", *VIDEOS)))
    episode = dataset.read_episode(2)
    np.testing.assert_array_equal(episode.rewards, np.zeros(6, np.float32), strict=True)
    assert not episode.success
    rewards = [values["next.reward"] for _, values in dataset.frames(["next.reward"])]
    np.testing.assert_array_equal(np.concatenate(rewards), np.zeros(sum(LENGTHS)))


def test_bounds_of_actions_come_from_the_episodes_when_there_is_no_stats_file(root: Path):
    expected = Dataset.open(root).spec.action
    (root / "meta/stats.json").unlink()
    dataset = Dataset.open(root)
    np.testing.assert_allclose(dataset.spec.action.low, expected.low)
    np.testing.assert_allclose(dataset.stats["action"]["max"], expected.high)


def test_the_fingerprint_follows_what_is_in_it(built: Path, root: Path):
    assert Dataset.open(root).fingerprint == Dataset.open(built).fingerprint
    edit_rows(root, lambda row: row | {"stats/action/mean": [0.5, 0.5]} if row["episode_index"] == 1 else row)
    assert Dataset.open(root).fingerprint != Dataset.open(built).fingerprint


def edit_rows(root: Path, change: Callable[[dict], dict]) -> None:
    for path in (root / "meta/episodes").rglob("*.parquet"):
        table = pq.read_table(path)
        pq.write_table(pa.Table.from_pylist([change(row) for row in table.to_pylist()]), path)


def edit_info(root: Path, **changes) -> None:
    info = json.loads((root / "meta/info.json").read_text())
    (root / "meta/info.json").write_text(json.dumps(info | changes))


def without_feature(root: Path, *names: str) -> None:
    features = json.loads((root / "meta/info.json").read_text())["features"]
    edit_info(root, features={name: feature for name, feature in features.items() if not name.startswith(names)})


def same_key(root: Path) -> None:
    features = json.loads((root / "meta/info.json").read_text())["features"]
    edit_info(root, features={**features, "observation.proprio": features["observation.state"]})


def no_stats(root: Path) -> None:
    (root / "meta/stats.json").write_text("{}")


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no action": (lambda root: without_feature(root, "action"), "no feature 'action'"),
    "no observations": (lambda root: without_feature(root, "observation."), "no feature named observation"),
    "no fps": (lambda root: edit_info(root, fps=None), "fps is None"),
    "no statistics": (no_stats, "bounds are unknown"),
    "two of one key": (same_key, "both be the sensor 'proprio'"),
    "wrong totals": (lambda root: edit_info(root, total_frames=7), "total_frames is 7"),
    "traversal": (lambda root: edit_info(root, data_path="../{chunk_index}/{file_index}"), "leads out of the dataset"),
    "video traversal": (lambda root: edit_info(root, video_path="/{video_key}"), "leads out of the dataset"),
    "rows without tasks": (
        lambda root: edit_rows(root, lambda row: {key: value for key, value in row.items() if key != "tasks"}),
        "no column 'tasks'",
    ),
    "an episode of no frame": (
        lambda root: edit_rows(root, lambda row: row | {"length": 0, "dataset_to_index": row["dataset_from_index"]}),
        "has 0 frames",
    ),
    "no video time": (
        lambda root: edit_rows(root, lambda row: row | {f"videos/{VIDEOS[0]}/to_timestamp": None}),
        "is damaged: observation.images.front",
    ),
    "missing data": (lambda root: (root / "data/chunk-000/file-000.parquet").unlink(), "is missing"),
    "missing video": (lambda root: shutil.rmtree(root / "videos" / VIDEOS[0]), "is missing"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_one_line(root: Path, damage: str):
    spoil, message = DAMAGE[damage]
    spoil(root)
    with pytest.raises(DataError, match=message) as caught:
        Dataset.open(root).read_episode(0)
    assert "\n" not in str(caught.value)
