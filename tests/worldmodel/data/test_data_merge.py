"""Datasets joined: equal to having recorded them as one, nothing twice, nothing half-written."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import video_world
from tiny_world import SPEC, assert_same, make_episode, record_into

from worldmodel.data import Dataset, DatasetWriter, finalize
from worldmodel.data.upkeep.merge import merge
from worldmodel.data.view import write_view
from worldmodel.errors import DataError, MismatchError
from worldmodel.types import WorldSpec

FILE = "data/chunk-000/file-{:03d}.parquet"


def write(root: Path, ks: list[int], spec: WorldSpec = SPEC, fps: float = 2.0) -> Path:
    with DatasetWriter(root, spec, fps=fps) as writer:
        for k in ks:
            writer.add(make_episode(k))
    finalize(root)
    return root


def test_the_merge_of_a_split_is_the_whole(root: Path, dataset: Dataset, tmp_path: Path):
    parts = [write(tmp_path / "a", [0, 1, 2]), write(tmp_path / "b", [3]), write(tmp_path / "c", [4, 5, 6, 7, 8, 9])]
    merged = merge(parts, tmp_path / "out")
    assert (merged.num_episodes, merged.duplicates) == (10, ())
    got = Dataset.open(tmp_path / "out")
    assert got.fingerprint == dataset.fingerprint
    assert got.verify() == []
    for k in range(10):
        assert_same(got.read_episode(k), make_episode(k))
    for name, stats in dataset.stats.items():
        for key, value in stats.items():
            assert got.stats[name][key] == pytest.approx(value), (name, key)
    assert {k: v for k, v in got.info.items() if k != "features"} == {k: v for k, v in dataset.info.items() if k != "features"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c", "data", "out"]


def test_the_first_file_is_copied_and_the_pictures_of_the_others_pass_through(tmp_path: Path):
    parts = [write(tmp_path / "a", [0, 1, 2]), write(tmp_path / "b", [3, 4])]
    merge(parts, tmp_path / "out")
    assert (tmp_path / "out" / FILE.format(0)).read_bytes() == (parts[0] / FILE.format(0)).read_bytes()
    column = "observation.images.overhead"
    ours, theirs = (
        pq.read_table(path, columns=[column]) for path in (tmp_path / "out" / FILE.format(1), parts[1] / FILE.format(0))
    )
    assert ours.equals(theirs)
    file = pq.ParquetFile(tmp_path / "out" / FILE.format(1))
    assert file.num_row_groups == 2
    assert file.schema_arrow.metadata == pq.read_schema(parts[1] / FILE.format(0)).metadata


def test_an_episode_that_is_in_several_is_taken_once(tmp_path: Path):
    parts = [write(tmp_path / "a", [0, 1, 2]), write(tmp_path / "b", [2, 3, 1]), write(tmp_path / "c", [0, 1])]
    merged = merge(parts, tmp_path / "out")
    got = Dataset.open(tmp_path / "out")
    assert [row.seed for row in got.episodes] == [1000, 1001, 1002, 1003]
    a, b, c = map(str, parts)
    assert merged.duplicates == ((b, 0, a, 2), (b, 2, a, 1), (c, 0, a, 0), (c, 1, a, 1))
    assert got.verify() == []


def test_views_are_merged_as_what_they_show(root: Path, dataset: Dataset, tmp_path: Path):
    write_view(tmp_path / "v.json", root, dataset.fingerprint, [7, 2, 3], "")
    merge([write(tmp_path / "a", [11]), tmp_path / "v.json"], tmp_path / "out")
    got = Dataset.open(tmp_path / "out")
    for i, k in enumerate([11, 7, 2, 3]):
        assert_same(got.read_episode(i), make_episode(k))
    assert got.verify() == []


def test_a_dataset_of_several_files_and_a_merge_of_merges(tmp_path: Path):
    root = write(tmp_path / "a", [0, 1])
    with DatasetWriter(root, SPEC, fps=2.0) as writer:
        writer.add(make_episode(2))
    finalize(root)
    merge([write(tmp_path / "b", [8]), root], tmp_path / "c")
    merge([tmp_path / "c", write(tmp_path / "d", [9])], tmp_path / "e")
    got = Dataset.open(tmp_path / "e")
    assert [row.seed for row in got.episodes] == [1008, 1000, 1001, 1002, 1009] and got.verify() == []


def test_robot_renderer_and_arguments_may_differ(tmp_path: Path):
    other = dataclasses.replace(SPEC, robot="arm", renderer="mesa", env_kwargs={"num_objects": 3})
    merge([write(tmp_path / "a", [0]), write(tmp_path / "b", [1], other)], tmp_path / "out")
    assert Dataset.open(tmp_path / "out").num_episodes == 2


def test_every_difference_has_its_line_and_nothing_is_written(tmp_path: Path):
    action = dataclasses.replace(SPEC.action, low=(-2.0, -1.0))
    other = dataclasses.replace(SPEC, action=action, control_mode="poke", env_id="tests/Other-v0")
    parts = [write(tmp_path / "a", [0]), write(tmp_path / "b", [1], other), write(tmp_path / "c", [1], fps=4.0)]
    with pytest.raises(MismatchError) as caught:
        merge(parts, tmp_path / "out")
    lines = str(caught.value).splitlines()
    assert len(lines) == 5 and lines[0].startswith("not merged: 4 differences")
    for word, line in zip(("action low", "control mode", "environment", "frames per second"), lines[1:], strict=True):
        assert word in line and line.startswith(str(parts[2] if "frames" in word else parts[1]))
    assert not (tmp_path / "out").exists()


def test_other_sensors_and_labels_do_not_fit(tmp_path: Path):
    sensors = {key: sensor for key, sensor in SPEC.sensors.items() if key != "clock"}
    episode = make_episode(1)
    observations = {key: value for key, value in episode.observations.items() if key != "clock"}
    bare = dataclasses.replace(episode, observations=observations, labels={})
    with DatasetWriter(tmp_path / "b", dataclasses.replace(SPEC, sensors=sensors), fps=2.0) as writer:
        writer.add(bare)
    finalize(tmp_path / "b")
    write(tmp_path / "a", [0])
    with pytest.raises(MismatchError, match=r"(?s)sensor 'clock' is missing.*label\.status"):
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    with pytest.raises(MismatchError, match="sensor 'clock' is not expected"):
        merge([tmp_path / "b", tmp_path / "a"], tmp_path / "out")


def test_what_is_in_the_way_stays(root: Path, tmp_path: Path):
    other = write(tmp_path / "a", [11])
    (tmp_path / "out").mkdir()
    (tmp_path / "out/letter").write_text("dear")
    for out, message in ((tmp_path / "out", "is there already"), (root / "new", "lies in")):
        with pytest.raises(DataError, match=message):
            merge([root, other], out)
    with pytest.raises(DataError, match="two or more"):
        merge([root], tmp_path / "new")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["letter"] and not (root / "new").exists()


def test_a_merge_that_failed_or_was_killed_can_be_run_again(root: Path, tmp_path: Path):
    other = write(tmp_path / "a", [11])
    file = other / FILE.format(0)
    content = file.read_bytes()
    file.write_bytes(content[:200])
    with pytest.raises(DataError, match="is damaged"):
        merge([root, other], tmp_path / "out")
    assert not (tmp_path / "out").exists() and not list(tmp_path.rglob("*.part"))
    file.write_bytes(content)
    leftover = tmp_path / ".out.1-abc.part" / "data"
    leftover.mkdir(parents=True)
    merge([root, other], tmp_path / "out")
    assert Dataset.open(tmp_path / "out").num_episodes == 11 and not leftover.exists()


def test_films_are_copied_as_they_are(tmp_path: Path):
    for name, ks in (("a", range(0, 2)), ("b", range(2, 4))):
        with DatasetWriter(tmp_path / name, video_world.SPEC, fps=video_world.FPS) as writer:
            for k in ks:
                writer.add(video_world.make_episode(k))
        finalize(tmp_path / name)
    merge([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    got, a, b = (Dataset.open(tmp_path / name) for name in ("out", "a", "b"))
    assert got.verify() == [] and len(got.video_files) == 4
    for place, (source, i) in enumerate([(a, 0), (a, 1), (b, 0), (b, 1)]):
        assert_same(got.read_episode(place), source.read_episode(i))
    for ours, theirs in (("000", a), ("001", b)):
        name = "videos/observation.images.front/chunk-000/file-{}.mp4"
        assert (tmp_path / "out" / name.format(ours)).read_bytes() == (theirs.root / name.format("000")).read_bytes()
    with DatasetWriter(tmp_path / "out", video_world.SPEC, fps=video_world.FPS) as writer:
        writer.add(video_world.make_episode(4))
    finalize(tmp_path / "out")
    assert Dataset.open(tmp_path / "out").verify() == []


def test_damage_does_not_get_a_new_checksum(root: Path, tmp_path: Path):
    other = write(tmp_path / "a", [11])
    content = bytearray((other / FILE.format(0)).read_bytes())
    content[100] ^= 1
    (other / FILE.format(0)).write_bytes(content)
    with pytest.raises(DataError, match="its checksum differs; run 'worldmodel repair'"):
        merge([root, other], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_more_can_be_recorded_into_a_merge(tmp_path: Path):
    merge([write(tmp_path / "a", [0, 1]), write(tmp_path / "b", [2])], tmp_path / "out")
    record_into(tmp_path / "out", range(3, 5))
    finalize(tmp_path / "out")
    got = Dataset.open(tmp_path / "out")
    assert got.num_episodes == 5 and got.verify() == []


def test_every_licence_is_told(tmp_path: Path):
    for k, licence in enumerate(("mit", "cc-by-4.0", "mit")):
        finalize(record_into(tmp_path / str(k), range(k + 1)), licence=licence)
    merge([tmp_path / "0", tmp_path / "1", tmp_path / "2"], tmp_path / "out")
    text = (tmp_path / "out/README.md").read_text()
    assert text.startswith("---\nlicense: other\n")  # the hub knows no two at once
    assert "## Licence\n\nmit; cc-by-4.0\n" in text


def test_remote_datasets_are_fetched(root: Path, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "kept"))
    merge([f"file://{root}", write(tmp_path / "a", [10])], tmp_path / "out")
    got = Dataset.open(tmp_path / "out")
    assert got.verify() == [] and [row.sha256 for row in got.episodes[:10]] == [row.sha256 for row in dataset.episodes]
