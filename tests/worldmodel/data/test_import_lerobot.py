"""LeRobot v2.1 and v3 datasets, built by hand or by us, arrive field by field."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from import_sources import TASKS, decoded, episode_of, imported, lerobot_rows, lines, make_lerobot_v2, write_film
from tiny_world import assert_same, make_episode

from worldmodel.data import Dataset
from worldmodel.data.importers import MappedImporter, open_source
from worldmodel.errors import DataError


@pytest.mark.parametrize("in_table", [True, False])
def test_v2_arrives_field_by_field(tmp_path: Path, in_table: bool):
    lengths = (5, 7, 4)
    dataset = imported(make_lerobot_v2(tmp_path / "v2", lengths, in_table=in_table), tmp_path / "out")
    spec = dataset.spec
    assert (spec.robot, dataset.fps, dataset.num_episodes) == ("so100", 10, 3)
    assert set(spec.sensors) == {"pixels", "proprio"}
    assert spec.sensors["pixels"].camera == "top"
    assert spec.sensors["proprio"].names == ("x", "y", "z")
    assert spec.action.names == ("dx", "dy")
    every = np.concatenate([lerobot_rows(k, n)["action"] for k, n in enumerate(lengths)])
    np.testing.assert_array_equal(spec.action.low, every.min(axis=0))
    np.testing.assert_array_equal(spec.action.high, every.max(axis=0))
    for k, length in enumerate(lengths):
        rows, episode = lerobot_rows(k, length), dataset.read_episode(k)
        np.testing.assert_array_equal(episode.observations["pixels"], rows["observation.images.top"], strict=True)
        np.testing.assert_array_equal(episode.observations["proprio"], rows["observation.state"], strict=True)
        np.testing.assert_array_equal(episode.actions, rows["action"][:-1], strict=True)
        np.testing.assert_array_equal(episode.rewards, rows["next.reward"][:-1], strict=True)
        np.testing.assert_array_equal(episode.labels["phase"], rows["phase"], strict=True)
        assert (episode.terminated, episode.truncated, episode.success) == (True, False, k % 2 == 0)
        assert (episode.instruction, episode.seed) == (TASKS[k % 2], k)


def test_v2_says_what_it_leaves_out(tmp_path: Path):
    world = MappedImporter(open_source(make_lerobot_v2(tmp_path / "v2"))).describe()
    assert world.dropped == ("note (dtype string)",)
    assert any("last action" in note for note in world.notes)
    assert "observation.images.top -> sensor pixels" in world.taken


def test_v2_films_are_what_pyav_decodes(tmp_path: Path):
    make_lerobot_v2(tmp_path / "v2", (5, 6), film=True)
    expected = decoded(tmp_path / "v2/videos/chunk-000/observation.images.wrist/episode_000001.mp4")
    episode = episode_of(tmp_path / "v2", 1)
    assert set(episode.observations) == {"top", "wrist", "proprio"}
    np.testing.assert_array_equal(episode.observations["wrist"], expected, strict=True)


def test_v2_without_statistics_searches_the_bounds(tmp_path: Path):
    source = make_lerobot_v2(tmp_path / "v2")
    expected = MappedImporter(open_source(source)).spec.action
    (source / "meta/episodes_stats.jsonl").unlink()
    importer = MappedImporter(open_source(source))
    assert importer.spec.action == expected
    assert any("bounds of the action" in note for note in importer.notes)


def test_v3_of_ours_arrives_unchanged(tmp_path: Path, root: Path):
    dataset = imported(root, tmp_path / "out")
    assert dataset.fingerprint == Dataset.open(root).fingerprint
    for k in range(10):
        assert_same(dataset.read_episode(k), make_episode(k))


def damage_length(source: Path) -> None:
    lines(source / "meta/episodes.jsonl", [{"episode_index": k, "tasks": [], "length": 9} for k in range(3)])


def damage_film(source: Path) -> None:
    write_film(source / "videos/chunk-000/observation.images.wrist/episode_000001.mp4", 3)


def rewrite(source: Path, name: str, values: pa.Array) -> None:
    path = source / "data/chunk-000/episode_000001.parquet"
    table = pq.read_table(path)
    pq.write_table(table.set_column(table.schema.get_field_index(name), name, values), path)


def damage_nan(source: Path) -> None:
    rewrite(source, "observation.state", pa.array([[np.nan, 0, 0]] * 7, pa.list_(pa.float32())))


def damage_ragged(source: Path) -> None:
    rewrite(source, "observation.state", pa.array([[0.0], *[[0.0, 0, 0]] * 6], pa.list_(pa.float32())))


def damage_picture(source: Path) -> None:
    cells = [{"bytes": b"no picture", "path": None}] * 7
    rewrite(source, "observation.images.top", pa.array(cells, pa.struct({"bytes": pa.binary(), "path": pa.string()})))


def damage_column(source: Path) -> None:
    path = source / "data/chunk-000/episode_000001.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["observation.state"]), path)


def damage_path(source: Path) -> None:
    info = json.loads((source / "meta/info.json").read_text())
    info["data_path"] = "../../etc/{episode_index}.parquet"
    (source / "meta/info.json").write_text(json.dumps(info))


def damage_json(source: Path) -> None:
    (source / "meta/tasks.jsonl").write_text('{"task_index": 0')


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (damage_length, ("episode 0", "5 rows", "expected 9")),
        (damage_film, ("episode 1", "observation.images.wrist", "3 rows")),
        (damage_nan, ("episode 1", "observation.state", "NaN")),
        (damage_ragged, ("episode 1", "observation.state", "ragged")),
        (damage_picture, ("episode 1", "observation.images.top", "picture 0")),
        (damage_column, ("episode 1", "observation.state", "no field")),
        (damage_path, ("leads out of the dataset",)),
        (damage_json, ("tasks.jsonl", "damaged")),
    ],
)
def test_v2_damage_is_one_line_that_names_the_place(tmp_path: Path, damage, words: tuple[str, ...]):
    source = make_lerobot_v2(tmp_path / "v2", film=True)
    damage(source)
    with pytest.raises(DataError) as error:
        list(MappedImporter(open_source(source)).episodes(0))
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)
