"""Every kind of damage: what is whole stays to the bit, what is not is named, and the dataset is whole afterwards."""

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
import video_world
from tiny_world import SPEC, assert_same, make_episode, record_into

from worldmodel.data import Dataset, DatasetWriter, finalize, require_free
from worldmodel.data.format.files import sha256_of
from worldmodel.data.upkeep import repair as repair_module
from worldmodel.data.upkeep import swap as swap_module
from worldmodel.data.upkeep.repair import repair
from worldmodel.errors import DataError

FIRST, SECOND, THIRD = (f"data/chunk-000/file-{k:03d}.parquet" for k in range(3))
ROWS = [f"meta/episodes/chunk-000/file-{k:03d}.parquet" for k in range(3)]


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """Nine episodes in three data files of three, appended one file after the other."""
    root = tmp_path / "three"
    for first in (0, 3, 6):
        record_into(root, range(first, first + 3))
        finalize(root)
    assert len(Dataset.open(root).data_files) == 3
    return root


def require(root: Path, ks: list[int]) -> None:
    """The dataset is whole and holds these episodes."""
    dataset = Dataset.open(root)
    assert dataset.verify() == []
    assert [row.seed - 1000 for row in dataset.episodes] == ks
    for place, k in enumerate(ks):
        assert_same(dataset.read_episode(place), make_episode(k))
    assert dataset.info["total_episodes"] == len(ks) and dataset.info["splits"] == {"train": f"0:{len(ks)}"}
    assert dataset.fingerprint in (root / "README.md").read_text()
    assert [path for path in root.rglob("*") if path.name.startswith((".repair", ".file"))] == []
    assert not repair(root).needed


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file() and p.name != ".lock"}


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path, where: float = 0.3) -> None:
    content = bytearray(path.read_bytes())
    content[int(len(content) * where)] ^= 1
    path.write_bytes(content)


def edit(path: Path, name: str, change: Callable[[list], list], kind: pa.DataType | None = None) -> None:
    """Change the values of a column, and keep one row group an episode."""
    table = pq.read_table(path)
    place = table.schema.get_field_index(name)
    kind = kind or table.schema.field(name).type
    table = table.set_column(place, pa.field(name, kind), pa.array(change(table.column(name).to_pylist()), kind))
    pq.write_table(table, path)


def bless(root: Path) -> None:
    """Give every file the checksum that it has now."""
    names = json.loads((root / "meta/checksums.json").read_text())
    (root / "meta/checksums.json").write_text(json.dumps({name: sha256_of(root / name) for name in names}))


def nan_in_the_second_episode(values: list) -> list:
    row = make_episode(3).num_actions + 1 + 1
    values[row] = [float("nan"), 0.0]
    return values


def spoil_image(values: list) -> list:
    values[0] = {**values[0], "bytes": values[0]["bytes"][:50]}
    return values


def test_a_whole_dataset_is_left_as_it_is(three: Path):
    before, fingerprint = contents(three), Dataset.open(three).fingerprint
    done = repair(three)
    assert not done.needed and done.num_episodes == 9 and done.aside is None
    assert contents(three) == before and Dataset.open(three).fingerprint == fingerprint


DROPPING: dict[str, tuple[Callable[[Path], object], list[int], str]] = {
    "missing file": (lambda root: (root / SECOND).unlink(), [3, 4, 5], "is missing"),
    "truncated file": (lambda root: truncate(root / SECOND), [3, 4, 5], "file-001.parquet"),
    "empty file": (lambda root: (root / SECOND).write_bytes(b""), [3, 4, 5], "file-001.parquet"),
    "first file missing": (lambda root: (root / FIRST).unlink(), [0, 1, 2], "is missing"),
    "last file missing": (lambda root: (root / THIRD).unlink(), [6, 7, 8], "is missing"),
    "NaN action": (lambda root: edit(root / SECOND, "action", nan_in_the_second_episode), [4], "NaN"),
    "broken image": (lambda root: edit(root / SECOND, "observation.images.overhead", spoil_image), [3], "image 0 is damaged"),
    "wrong value": (
        lambda root: edit(root / SECOND, "observation.state", lambda v: [[9.0, 9.0], *v[1:]]),
        [3],
        "reads back otherwise",
    ),
    "missing column": (
        lambda root: pq.write_table(pq.read_table(root / SECOND).drop_columns("action"), root / SECOND),
        [3, 4, 5],
        "no column 'action'",
    ),
    "missing values": (lambda root: edit(root / SECOND, "next.reward", lambda v: [None, *v[1:]]), [3], "missing values"),
    "rows missing": (
        lambda root: pq.write_table(pq.read_table(root / SECOND).slice(0, 10), root / SECOND),
        [5],
        "expected",
    ),
    "link out": (
        lambda root: (
            shutil.move(root / SECOND, root.parent / "elsewhere.parquet"),
            os.symlink(root.parent / "elsewhere.parquet", root / SECOND),
        ),
        [3, 4, 5],
        "leads out of the dataset",
    ),
    "episode rows truncated": (lambda root: truncate(root / ROWS[1]), [3, 4, 5], "row in meta/episodes is lost"),
    "episode rows missing": (lambda root: (root / ROWS[0]).unlink(), [0, 1, 2], "row in meta/episodes is lost"),
    "one episode row missing": (
        lambda root: pq.write_table(pq.read_table(root / ROWS[1]).slice(1), root / ROWS[1]),
        [3],
        "row in meta/episodes is lost",
    ),
    "zero-length episode": (
        lambda root: edit(root / ROWS[1], "length", lambda v: [0, *v[1:]]),
        [3],
        "impossible numbers",
    ),
    "wrong digest": (lambda root: edit(root / ROWS[1], "sha256", lambda v: ["0" * 64, *v[1:]]), [3], "reads back otherwise"),
    "wrong seed": (lambda root: edit(root / ROWS[1], "seed", lambda v: [7, *v[1:]]), [3], "reads back otherwise"),
    "null task": (lambda root: edit(root / ROWS[1], "tasks", lambda v: [None, *v[1:]]), [3], "names no task"),
    "path traversal": (
        lambda root: edit(root / ROWS[1], "data/chunk_index", lambda v: [-1, *v[1:]]),
        [3],
        "impossible numbers",
    ),
}


@pytest.mark.parametrize("damage", DROPPING)
def test_exactly_the_damaged_episodes_are_dropped(three: Path, damage: str):
    spoil, lost, why = DROPPING[damage]
    spoil(three)
    before = contents(three)
    would = repair(three, dry_run=True)
    assert contents(three) == before
    done = repair(three)
    assert [index for index, _ in done.dropped] == lost
    assert all(why in reason and "\n" not in reason for _, reason in done.dropped), done.dropped
    assert done.dropped == would.dropped and done.notes == would.notes and done.num_episodes == would.num_episodes
    require(three, [k for k in range(9) if k not in lost])


@pytest.mark.parametrize("damage", ["NaN action", "wrong value", "missing values"])
def test_a_checksum_of_the_damage_does_not_hide_it(three: Path, damage: str):
    spoil, lost, _ = DROPPING[damage]
    spoil(three)
    bless(three)
    if damage == "wrong value":  # a finite number under a right checksum is believed: only the digest tells
        (three / "meta/checksums.json").unlink()
    assert [index for index, _ in repair(three).dropped] == lost
    require(three, [k for k in range(9) if k not in lost])


KEEPING: dict[str, tuple[Callable[[Path], object], str]] = {
    "wrong checksum": (lambda root: edit(root / SECOND, "action", lambda v: v), "file-001.parquet differs, but every episode"),
    "wrong checksum of the rows": (
        lambda root: pq.write_table(pq.read_table(root / ROWS[2]), root / ROWS[2], compression="gzip"),
        "file-002.parquet differs, but",
    ),
    "wrong dtype": (
        lambda root: edit(root / SECOND, "action", lambda v: v, pa.list_(pa.float64(), 2)),
        "made anew of the 3 of its 3",
    ),
    "wrong dtype, blessed": (
        lambda root: (edit(root / SECOND, "action", lambda v: v, pa.list_(pa.float64(), 2)), bless(root)),
        "made anew of the 3 of its 3",
    ),
    "wrong index": (lambda root: (edit(root / SECOND, "index", lambda v: [0] * len(v)), bless(root)), "made anew"),
    "wrong times": (lambda root: edit(root / SECOND, "timestamp", lambda v: [0.0] * len(v)), "made anew"),
    "README missing": (lambda root: (root / "README.md").unlink(), "README.md is made anew: it is missing"),
    "README binary": (lambda root: (root / "README.md").write_bytes(b"\xff\x00"), "it is no text"),
    "README of another": (lambda root: (root / "README.md").write_text("hello"), "does not name the fingerprint"),
    "stats missing": (lambda root: (root / "meta/stats.json").unlink(), "stats.json is made anew: it is missing"),
    "stats bad": (lambda root: (root / "meta/stats.json").write_text("{"), "stats.json is made anew: it cannot be read"),
    "stats wrong": (lambda root: (root / "meta/stats.json").write_text("{}"), "does not follow from the episodes"),
    "tasks missing": (lambda root: (root / "meta/tasks.parquet").unlink(), "tasks.parquet is made anew: it is missing"),
    "tasks bad": (lambda root: truncate(root / "meta/tasks.parquet"), "tasks.parquet is made anew: it cannot be read"),
    "tasks wrong": (
        lambda root: edit(root / "meta/tasks.parquet", "task_index", lambda v: v[::-1]),
        "does not number the task",
    ),
    "checksums missing": (lambda root: (root / "meta/checksums.json").unlink(), "checksums.json is made anew: it is missing"),
    "checksums bad": (lambda root: (root / "meta/checksums.json").write_text("[]"), "checksums.json is made anew"),
    "checksum lost": (lambda root: (root / "meta/checksums.json").write_text("{}"), "is not in it"),
    "info missing": (lambda root: (root / "meta/info.json").unlink(), "info.json is made anew: it is missing"),
    "info bad": (lambda root: (root / "meta/info.json").write_text("{"), "info.json is made anew: expected JSON"),
    "info of another version": (lambda root: info(root, codebase_version="v2.1"), "has version 'v2.1'"),
    "info counts too few": (lambda root: info(root, total_episodes=4), "total_episodes is 4; the episodes say 9"),
    "info counts absurdly": (lambda root: info(root, total_episodes=10**30), "total_episodes is 1000"),
    "info leads out": (lambda root: info(root, data_path="../{chunk_index}/{file_index}"), "its paths are"),
    "info lacks a column": (lambda root: info(root, features={}), "is not that of the world"),
    "temporary file": (lambda root: (root / "data/chunk-000/.file-009.parquet.1-a.part").write_bytes(b"x"), "unfinished"),
    "half-made repair": (lambda root: (root / ".repair/new/data").mkdir(parents=True), "unfinished"),
}


def info(root: Path, **changes: object) -> None:
    values = json.loads((root / "meta/info.json").read_text())
    (root / "meta/info.json").write_text(json.dumps(values | changes))


@pytest.mark.parametrize("damage", KEEPING)
def test_what_can_be_made_anew_costs_no_episode(three: Path, damage: str):
    fingerprint, before = Dataset.open(three).fingerprint, contents(three)
    spoil, note = KEEPING[damage]
    spoil(three)
    spoiled = contents(three)
    would = repair(three, dry_run=True)
    assert contents(three) == spoiled and would.needed
    done = repair(three)
    assert done.dropped == [] and any(note in line for line in done.notes), done.notes
    assert all("\n" not in line for line in done.notes) and done.notes == would.notes
    require(three, list(range(9)))
    assert Dataset.open(three).fingerprint == fingerprint
    after = {name: content for name, content in contents(three).items() if not name.startswith("damaged/")}
    if not damage.startswith("wrong "):  # no data file was written anew: every byte is what it was
        assert set(after) == set(before)
        assert json.loads(after.pop("meta/checksums.json")) == json.loads(before["meta/checksums.json"])
        assert all(after[name] == before[name] for name in after)


def test_more_episodes_counted_than_there_are(three: Path):
    info(three, total_episodes=11)
    done = repair(three)
    assert done.dropped == [(9, "its row in meta/episodes is lost"), (10, "its row in meta/episodes is lost")]
    require(three, list(range(9)))


def test_the_damaged_files_are_kept_aside_unless_told(three: Path):
    truncate(three / SECOND)
    truncated = (three / SECOND).read_bytes()
    whole = (three / THIRD).read_bytes()
    shutil.copytree(three, three.parent / "again")
    done = repair(three)
    assert done.aside is not None and done.aside == three / "damaged/1"
    assert (done.aside / SECOND).read_bytes() == truncated
    assert [path.name for path in done.aside.rglob("*") if path.is_file()] == ["file-001.parquet"]
    (three / FIRST).unlink()
    assert repair(three).aside is None  # it was missing: nothing to keep
    (three / FIRST).write_bytes(whole[:100]) if (three / FIRST).exists() else None
    assert repair(three.parent / "again", delete=True).aside is None
    assert not (three.parent / "again/damaged").exists()
    require(three.parent / "again", [0, 1, 2, 6, 7, 8])


def test_untouched_files_are_not_even_rewritten(three: Path):
    truncate(three / THIRD)
    inode = (three / FIRST).stat().st_ino
    repair(three)
    assert (three / FIRST).stat().st_ino == inode


def test_into_another_folder(three: Path):
    flip(three / SECOND)
    (three / "meta/stats.json").unlink()
    before = contents(three)
    done = repair(three, out=three.parent / "out")
    assert contents(three) == before
    require(three.parent / "out", [k for k in range(9) if k not in [index for index, _ in done.dropped]])
    with pytest.raises(DataError, match="is there already"):
        repair(three, out=three.parent / "out")


def test_a_recording_policy_does_not_outlive_its_numbers(three: Path):
    (three / "meta/policy.json").write_text("{}")
    (three / SECOND).unlink()
    done = repair(three)
    assert any("recording cannot go on" in line for line in done.notes)
    assert not (three / "meta/policy.json").exists() and (three / "damaged/1/meta/policy.json").exists()
    require(three, [0, 1, 2, 6, 7, 8])


def shard(root: Path, ks: range) -> None:
    with DatasetWriter(root, SPEC, fps=2.0, episodes_per_shard=2) as writer:
        for k in ks:
            writer.add(make_episode(k), episode_index=k)


def test_an_append_that_was_not_finished_is_finished(three: Path):
    shard(three, range(9, 12))
    done = repair(three)
    assert done.dropped == [] and any("taken up" in line for line in done.notes)
    require(three, list(range(12)))


def test_an_append_that_died_half_way_is_finished(three: Path, monkeypatch: pytest.MonkeyPatch):
    shard(three, range(9, 12))
    copy = shutil.copytree(three, three.parent / "copy")
    finalize(copy)
    for name in ("data/chunk-000/file-003.parquet", "meta/episodes/chunk-000/file-003.parquet"):
        shutil.copy(copy / name, three / name)  # killed before info.json
    repair(three)
    require(three, list(range(12)))


def test_a_damaged_shard_is_set_aside_and_the_rest_is_kept(three: Path):
    shard(three, range(9, 13))
    frames = sorted((three / "recording").glob("*.frames.parquet"))
    truncate(frames[1])
    done = repair(three)
    assert any("is set aside" in line and frames[1].name in line for line in done.notes)
    require(three, list(range(11)))
    assert sorted((three / "damaged/1/recording").iterdir())


def test_a_recording_with_damage_before_it_is_not_renumbered_away(three: Path):
    (three / SECOND).unlink()
    shard(three, range(9, 12))
    done = repair(three)
    assert [index for index, _ in done.dropped] == [3, 4, 5]
    require(three, [0, 1, 2, 6, 7, 8, 9, 10, 11])


def test_a_recording_that_was_never_finished(tmp_path: Path):
    record_into(tmp_path / "new", range(3))
    assert repair(tmp_path / "new").num_episodes == 3
    require(tmp_path / "new", [0, 1, 2])


BEYOND: dict[str, tuple[Callable[[Path], object], str]] = {
    "no world, no info": (
        lambda root: ((root / "meta/worldmodel.json").unlink(), (root / "meta/info.json").unlink()),
        "worldmodel.json is missing",
    ),
    "no world": (lambda root: (root / "meta/worldmodel.json").unlink(), "copy it from a dataset of the same world"),
    "another program's": (
        lambda root: ((root / "meta/worldmodel.json").unlink(), (root / "meta/checksums.json").unlink()),
        "was made by another program",
    ),
    "bad world": (lambda root: (root / "meta/worldmodel.json").write_text("{"), "copy meta/worldmodel.json"),
    "no rows at all": (lambda root: shutil.rmtree(root / "meta/episodes"), "no row of meta/episodes"),
    "no data at all": (lambda root: shutil.rmtree(root / "data"), "none of its episodes can be read"),
    "no folder": (shutil.rmtree, "is no folder"),
    "no dataset": (lambda root: (shutil.rmtree(root), root.mkdir()), "no meta folder"),
}


@pytest.mark.parametrize("damage", BEYOND)
def test_what_is_beyond_repair_is_one_line_and_changes_nothing(three: Path, damage: str):
    spoil, message = BEYOND[damage]
    spoil(three)
    before = contents(three)
    with pytest.raises(DataError, match=message) as caught:
        repair(three)
    assert "\n" not in str(caught.value) and contents(three) == before
    assert list(three.glob(".repair*")) == [] and (before or not list(three.rglob("*")))


class Killed(BaseException):
    pass


def test_missing_and_spoiled_video(tmp_path: Path):
    """Two cameras' worth of clips in two video files: only the episodes of the bad one go."""
    root = tmp_path / "films"
    for first in (0, 2):
        with DatasetWriter(root, video_world.SPEC, fps=video_world.FPS) as writer:
            for k in range(first, first + 2):
                writer.add(video_world.make_episode(k))
        finalize(root)
    whole = Dataset.open(root)
    files = sorted(whole.video_files)
    films = [whole.read_episode(i) for i in range(4)]
    lost = [i for i, row in enumerate(whole.episodes) if any(place.file == files[-1] for place in row.videos.values())]
    assert 0 < len(lost) < 4
    shutil.copytree(root, tmp_path / "spoiled")
    (root / files[-1]).unlink()
    truncate(tmp_path / "spoiled" / files[-1])
    for folder in (root, tmp_path / "spoiled"):
        done = repair(folder)
        assert [index for index, _ in done.dropped] == lost
        got = Dataset.open(folder)
        assert got.verify() == [] and not repair(folder).needed
        for place, k in enumerate(k for k in range(4) if k not in lost):
            assert_same(got.read_episode(place), films[k])


@pytest.mark.parametrize("step", range(12))
def test_a_kill_at_any_step_loses_nothing(three: Path, step: int, monkeypatch: pytest.MonkeyPatch):
    (three / FIRST).write_bytes(b"")
    flip(three / THIRD, 0.9)  # its footer
    calls = 0

    def count(function: Callable) -> Callable:
        def counted(*words, **flags):
            nonlocal calls
            calls += 1
            if calls > step:
                raise Killed
            return function(*words, **flags)

        return counted

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(swap_module.os, "replace", count(os.replace))
        patch.setattr(swap_module.shutil, "rmtree", count(shutil.rmtree))
        repair(three)
        raise Killed  # fewer steps than that: it ended
    if swap_module.interrupted(three):
        for touch in (lambda: repair(three, dry_run=True), lambda: Dataset.open(three), lambda: require_free(three)):
            with pytest.raises(DataError, match="run 'worldmodel repair"):
                touch()
    repair(three)
    kept = [row.seed - 1000 for row in Dataset.open(three).episodes]
    assert set(range(3, 6)) <= set(kept)
    require(three, kept)
    assert (three / "damaged/1" / FIRST).exists()


def test_somebody_who_records_is_not_disturbed(three: Path):
    (three / "README.md").unlink()
    with DatasetWriter(three, SPEC, fps=2.0), pytest.raises(DataError, match="being recorded"):
        repair(three)
    assert repair_module.repair(three).needed


def test_a_dataset_without_vector_damage_keeps_its_statistics(three: Path):
    stats = Dataset.open(three).stats
    (three / THIRD).unlink()
    repair(three)
    after = Dataset.open(three).stats
    lengths = [make_episode(k).num_actions for k in range(6)]
    assert after["action"]["count"].tolist() == [sum(lengths)] != stats["action"]["count"].tolist()
    expected = np.concatenate([make_episode(k).actions for k in range(6)])
    np.testing.assert_allclose(after["action"]["mean"], expected.mean(axis=0), rtol=1e-5)


def test_a_lost_info_next_to_a_recording_costs_no_episode(three: Path):
    shard(three, range(9, 12))
    (three / "meta/info.json").unlink()
    done = repair(three)
    assert done.dropped == []
    require(three, list(range(12)))


def test_an_import_does_not_go_on_after_its_numbers(three: Path):
    (three / "meta/import.json").write_text("{}")
    (three / SECOND).unlink()
    done = repair(three)
    assert any("the import cannot go on" in line for line in done.notes)
    assert not (three / "meta/import.json").exists() and (three / "damaged/1/meta/import.json").exists()
    require(three, [0, 1, 2, 6, 7, 8])
