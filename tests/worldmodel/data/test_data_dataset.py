"""Opening and reading a dataset, and every damage as one clear line."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_world import SPEC, assert_same, make_episode, record_into

from worldmodel.data import Dataset, finalize
from worldmodel.errors import DataError

DATA = "data/chunk-000/file-000.parquet"
EPISODES = "meta/episodes/chunk-000/file-000.parquet"


def test_episodes_read_back_as_recorded(dataset: Dataset):
    for k in range(10):
        assert_same(dataset.read_episode(k), make_episode(k))


def test_what_is_known_without_reading(dataset: Dataset):
    assert dataset.num_episodes == 10
    assert dataset.num_frames == sum(make_episode(k).num_actions + 1 for k in range(10))
    assert dataset.seeds == set(range(1000, 1010))
    assert dataset.spec.sensors == SPEC.sensors
    assert dataset.spec.action == SPEC.action
    assert dataset.fps == 2.0
    row = dataset.episodes[3]
    assert (row.seed, row.success, row.truncated, row.instruction) == (1003, True, True, "räum auf")
    assert row.total_reward == pytest.approx(make_episode(3).rewards.sum())
    summary = dataset.summary()
    assert (summary["success_share"], summary["actions"]) == (0.4, dataset.num_frames - 10)
    assert summary["hours"] == pytest.approx(summary["actions"] / 2 / 3600)
    json.dumps(summary)


def test_fingerprint_is_stable_and_tells_contents_apart(root: Path, dataset: Dataset, tmp_path: Path):
    shutil.copytree(root, tmp_path / "moved")
    assert Dataset.open(tmp_path / "moved").fingerprint == dataset.fingerprint
    finalize(record_into(tmp_path / "fewer", range(9)))
    assert Dataset.open(tmp_path / "fewer").fingerprint != dataset.fingerprint


def test_there_is_no_such_episode(dataset: Dataset):
    for i in (-1, 10):
        with pytest.raises(DataError, match=f"has no episode {i}; it has 0 to 9"):
            dataset.read_episode(i)


def edit_info(root: Path, **changes) -> None:
    info = json.loads((root / "meta/info.json").read_text())
    (root / "meta/info.json").write_text(json.dumps(info | changes))


def edit_feature(root: Path, name: str, **changes) -> None:
    features = json.loads((root / "meta/info.json").read_text())["features"]
    edit_info(root, features={**features, name: features[name] | changes})


def edit_column(root: Path, file: str, name: str, change: Callable[[pa.ChunkedArray], pa.Array]) -> None:
    table = pq.read_table(root / file)
    place = table.schema.get_field_index(name)
    pq.write_table(table.set_column(place, name, change(table.column(name))), root / file)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def link_out(root: Path) -> None:
    shutil.move(root / DATA, root.parent / "elsewhere.parquet")
    os.symlink(root.parent / "elsewhere.parquet", root / DATA)


ON_OPENING: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (shutil.rmtree, "is no folder"),
    "no info": (lambda root: (root / "meta/info.json").unlink(), "has lost its meta/info.json; run .worldmodel repair"),
    "bad json": (lambda root: (root / "meta/info.json").write_text("{"), "expected JSON"),
    "binary json": (lambda root: (root / "meta/info.json").write_bytes(b"\xff\x00"), "expected JSON"),
    "deep json": (lambda root: (root / "meta/info.json").write_text("[" * 100_000), "is damaged"),
    "a list": (lambda root: (root / "meta/info.json").write_text("[]"), "expected a JSON object, got list"),
    "other version": (lambda root: edit_info(root, codebase_version="v2.1"), "has version 'v2.1'"),
    "no episodes": (lambda root: edit_info(root, total_episodes=0), "total_episodes is 0"),
    "words for numbers": (lambda root: edit_info(root, total_frames="many"), "total_frames is 'many'"),
    "more episodes than rows": (lambda root: edit_info(root, total_episodes=11), "expected the episodes 0 to 10"),
    "absurdly many": (lambda root: edit_info(root, total_episodes=10**30), "each once"),
    "other frames": (lambda root: edit_info(root, total_frames=3), "total_frames is 3"),
    "no features": (lambda root: edit_info(root, features=[]), "features are not a table"),
    "wrong shape": (lambda root: edit_feature(root, "action", shape=[3]), "'action' has shape"),
    "wrong dtype": (lambda root: edit_feature(root, "action", dtype="int64"), "'action' has dtype"),
    "unknown dtype": (lambda root: edit_feature(root, "action", dtype="object"), "does not read"),
    "video": (lambda root: edit_feature(root, "observation.images.overhead", dtype="video"), "video_path is None"),
    "path traversal": (lambda root: edit_info(root, data_path="../{chunk_index}/{file_index}"), "leads out of the dataset"),
    "absolute path": (lambda root: edit_info(root, data_path="/etc/passwd"), "leads out of the dataset"),
    "null in the path": (lambda root: edit_info(root, data_path="a\0b"), "cannot follow|is damaged"),
    "bad pattern": (lambda root: edit_info(root, data_path="data/{chunk}"), "data_path is"),
    "no pattern": (lambda root: edit_info(root, data_path=None), "data_path is None"),
    "symbolic link out": (link_out, "leads out of the dataset"),
    "no world": (lambda root: (root / "meta/worldmodel.json").unlink(), "worldmodel.json is missing"),
    "bad world": (
        lambda root: (root / "meta/worldmodel.json").write_text('{"schema_version": 1, "spec": [], "fps": 1}'),
        "is damaged",
    ),
    "later world": (lambda root: (root / "meta/worldmodel.json").write_text('{"schema_version": 9}'), "schema version 9"),
    "no episode rows": (lambda root: shutil.rmtree(root / "meta/episodes"), "expected the rows of 10 episodes"),
    "truncated episode rows": (lambda root: truncate(root / EPISODES), "is damaged"),
    "episode row missing": (
        lambda root: pq.write_table(pq.read_table(root / EPISODES).slice(1), root / EPISODES),
        "0 to 9, each once",
    ),
    "zero-length episode": (
        lambda root: edit_column(root, EPISODES, "length", lambda c: pa.array([0, *c.to_pylist()[1:]])),
        "episode 0 does not follow",
    ),
    "no tasks": (lambda root: (root / "meta/tasks.parquet").unlink(), "tasks.parquet is missing"),
}


@pytest.mark.parametrize("damage", ON_OPENING)
def test_damage_that_is_seen_on_opening(root: Path, damage: str):
    spoil, message = ON_OPENING[damage]
    spoil(root)
    with pytest.raises(DataError, match=message) as caught:
        Dataset.open(root)
    assert "\n" not in str(caught.value)


def nan_action(column: pa.ChunkedArray) -> pa.Array:
    values = np.array(column.to_pylist(), np.float32)
    values[0, 0] = np.nan
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])


def bad_image(column: pa.ChunkedArray) -> pa.Array:
    images = column.to_pylist()
    images[0]["bytes"] = images[0]["bytes"][:40]
    return pa.array(images, column.type)


def huge_image(column: pa.ChunkedArray) -> pa.Array:
    images = column.to_pylist()
    header = bytearray(images[0]["bytes"])
    header[16:24] = b"\x00\x00\xff\xff\x00\x00\xff\xff"  # width and height; its checksum no longer fits either
    images[0]["bytes"] = bytes(header)
    return pa.array(images, column.type)


ON_READING: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing shard": (lambda root: (root / DATA).unlink(), "is missing"),
    "truncated shard": (lambda root: truncate(root / DATA), "is damaged"),
    "empty shard": (lambda root: (root / DATA).write_bytes(b""), "is damaged"),
    "rows missing": (lambda root: pq.write_table(pq.read_table(root / DATA).slice(0, 2), root / DATA), "is damaged: 2 frames"),
    "rows out of place": (lambda root: pq.write_table(pq.read_table(root / DATA)[::-1], root / DATA), "not in their place"),
    "wrong dtype": (
        lambda root: edit_column(root, DATA, "action", lambda c: c.cast(pa.list_(pa.float64(), 2))),
        "double; expected float32",
    ),
    "missing values": (
        lambda root: edit_column(root, DATA, "next.reward", lambda c: pa.nulls(len(c), pa.float32())),
        "missing values",
    ),
    "missing column": (
        lambda root: pq.write_table(pq.read_table(root / DATA).drop_columns("action"), root / DATA),
        "no column 'action'",
    ),
    "NaN action": (lambda root: edit_column(root, DATA, "action", nan_action), "NaN"),
    "broken image": (lambda root: edit_column(root, DATA, "observation.images.overhead", bad_image), "image 0 is damaged"),
    "bomb": (lambda root: edit_column(root, DATA, "observation.images.overhead", huge_image), "image 0 is"),
}


@pytest.mark.parametrize("damage", ON_READING)
def test_damage_that_is_seen_on_reading(root: Path, damage: str):
    spoil, message = ON_READING[damage]
    spoil(root)
    dataset = Dataset.open(root)
    with pytest.raises(DataError, match=message) as caught:
        dataset.read_episode(0)
    assert "\n" not in str(caught.value)
    problems = dataset.verify()
    assert problems and all("\n" not in line for line in problems)
    assert any("file-000.parquet" in line for line in problems)


def test_verify_sees_one_flipped_bit(root: Path, dataset: Dataset):
    assert dataset.verify() == []
    content = bytearray((root / DATA).read_bytes())
    content[len(content) // 3] ^= 1
    (root / DATA).write_bytes(content)
    assert f"{DATA} is not what was written: its checksum differs" in dataset.verify()


def test_an_unfinished_recording_says_so(tmp_path: Path):
    record_into(tmp_path, range(3))
    with pytest.raises(DataError, match="is not finished: 3 episodes so far"):
        Dataset.open(tmp_path)


def test_what_is_no_dataset_is_told_from_a_run(tmp_path: Path):
    with pytest.raises(DataError, match=r"is no dataset: meta/info.json is missing; make one with 'worldmodel record'"):
        Dataset.open(tmp_path)
    (tmp_path / "manifest.json").touch()
    with pytest.raises(DataError, match=r"is no dataset: it is a run$"):
        Dataset.open(tmp_path)
