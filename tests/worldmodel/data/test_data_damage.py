"""Damage of every kind at the command line: exit code 2 and one clear line; no crash, no hang, nothing written elsewhere."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_data_dataset import DATA, EPISODES, ON_OPENING, ON_READING, edit_column, edit_feature, edit_info
from tiny_world import record_into

from agents import cli
from agents.recording.record import RecordConfig, record
from tests.fakes import LineWorld
from worldmodel.data import Dataset, FrameCache, finalize
from worldmodel.errors import ConfigError, DataError


def linked_out(root: Path, name: str) -> None:
    """A file or folder of the dataset that is a link to one outside of it."""
    shutil.move(root / name, root.parent / "elsewhere")
    os.symlink(root.parent / "elsewhere", root / name)


def replaced(root: Path, name: str, make: Callable[[Path], object]) -> None:
    """Something else under the name of a file."""
    (root / name).unlink()
    make(root / name)


def edit_world(root: Path, change: Callable[[dict], object]) -> None:
    values = json.loads((root / "meta/worldmodel.json").read_text())
    change(values["spec"])
    (root / "meta/worldmodel.json").write_text(json.dumps(values))


def absurd(root: Path) -> None:
    """Both files agree that a picture has a million million pixels."""
    shape = [10**6, 10**6, 3]
    edit_feature(root, "observation.images.overhead", shape=shape)
    edit_world(root, lambda spec: spec["sensors"]["pixels"].update(shape=shape))


def rows_with(root: Path, name: str, value: object, kind: pa.DataType | None = None) -> None:
    """The first episode row has this value."""
    edit_column(root, EPISODES, name, lambda c: pa.array([value, *c.to_pylist()[1:]], kind or c.type))


MORE: dict[str, tuple[Callable[[Path], object], str]] = {
    "symbolic link out, info": (lambda root: linked_out(root, "meta/info.json"), "leads out of the dataset"),
    "symbolic link out, world": (lambda root: linked_out(root, "meta/worldmodel.json"), "leads out of the dataset"),
    "symbolic link out, tasks": (lambda root: linked_out(root, "meta/tasks.parquet"), "leads out of the dataset"),
    "symbolic link out, episode rows": (lambda root: linked_out(root, "meta/episodes"), "leads out of the dataset"),
    "symbolic link out, data folder": (lambda root: linked_out(root, "data"), "leads out of the dataset"),
    "symbolic link to itself": (
        lambda root: replaced(root, DATA, lambda path: os.symlink(path, path)),
        "cannot follow|is missing",
    ),
    "folder for a file, info": (lambda root: replaced(root, "meta/info.json", Path.mkdir), "is damaged"),
    "folder for a file, shard": (lambda root: replaced(root, DATA, Path.mkdir), "is damaged|expected a file"),
    "pipe for a file, info": (lambda root: replaced(root, "meta/info.json", os.mkfifo), "is damaged|no file|no dataset"),
    "pipe for a file, shard": (lambda root: replaced(root, DATA, os.mkfifo), "is damaged|no file|expected a file"),
    "traversal in a camera's name": (
        lambda root: edit_world(root, lambda spec: spec["sensors"]["pixels"].update(camera="../../up")),
        "bad column name",
    ),
    "traversal in a sensor's name": (
        lambda root: edit_world(root, lambda spec: spec["sensors"].update({"../up": spec["sensors"].pop("clock")})),
        "bad sensor name",
    ),
    "lines in a label's name": (
        lambda root: edit_info(root, features={**read_features(root), "label.a\nb": read_features(root)["label.done"]}),
        "no column|bad label name",
    ),
    "digest that is none": (lambda root: rows_with(root, "sha256", "zz"), "episode 0 has the digest 'zz'"),
    "words for a length": (
        lambda root: edit_column(root, EPISODES, "length", lambda c: pa.array(["three"] * len(c))),
        "'length' is string; expected whole numbers",
    ),
    "negative length": (lambda root: rows_with(root, "length", -3), "does not follow"),
    "no task": (lambda root: rows_with(root, "tasks", []), "has a task that is not in"),
    "missing seed": (lambda root: rows_with(root, "seed", None), "missing values"),
    "a picture of a million million pixels": (absurd, "expected video|expected RGB"),
    "rate of zero": (
        lambda root: (root / "meta/worldmodel.json").write_text(
            json.dumps(json.loads((root / "meta/worldmodel.json").read_text()) | {"fps": 0})
        ),
        "fps is 0",
    ),
}
EVERY = {**ON_OPENING, **ON_READING, **MORE}


def read_features(root: Path) -> dict:
    return json.loads((root / "meta/info.json").read_text())["features"]


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny world exists nowhere; `inspect` says so in a line that is not about damage."""

    def refuse(config, **overrides):
        raise ConfigError("no environment here")

    monkeypatch.setattr(cli, "make_env", refuse)


@pytest.fixture(autouse=True)
def no_hang() -> Iterator[None]:
    """Ten seconds, then the alarm."""

    def ring(*_: object) -> None:
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(10)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def said(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    """Exit code, the lines on the standard output and those on the error output."""
    code = cli.main([str(word) for word in words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_whole_dataset_passes(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert said(capsys, "export", root, "--to", "lerobot", "--out", tmp_path / "out")[0] == 0
    code, out, _ = said(capsys, "inspect", root)
    assert code == 2 and out.count("PROBLEM") == 1 and "no environment here" in out


def test_there_are_thirty_kinds():
    assert len(EVERY) >= 30


@pytest.mark.parametrize("damage", EVERY)
def test_damage_is_one_line_and_exit_code_2(root: Path, damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    spoil, message = EVERY[damage]
    spoil(root)
    before = sorted(tmp_path.iterdir())
    code, _, err = said(capsys, "export", root, "--to", "lerobot", "--out", tmp_path / "out")
    assert code == 2 and err.startswith("error: ") and err.count("\n") == 1, err
    assert re.search(message, err), err
    assert sorted(tmp_path.iterdir()) == before  # nothing half-written is left
    code, out, err = said(capsys, "inspect", root)
    lines = [line for line in (*out.splitlines(), *err.splitlines()) if line.startswith(("PROBLEM", "error: "))]
    assert code == 2 and any("no environment" not in line for line in lines), (out, err)


@contextlib.contextmanager
def full_disk(limit: int) -> Iterator[None]:
    """No file may become longer than this [bytes]: what a full disk does, for this process alone."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("target", ["lerobot", "lerobot --labels", "minari"])
def test_a_full_disk_while_exporting(
    root: Path, target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    words = ("export", root, "--out", tmp_path / "out", "--to", *target.split())
    with monkeypatch.context() as patch, contextlib.ExitStack() as stack:
        if target == "minari":  # libhdf5 crashes at the end of a disk: it must not get there
            patch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
        else:
            stack.enter_context(full_disk(3000))
        code, _, err = said(capsys, *words)
    assert code == 2 and err.count("\n") == 1 and "cannot write" in err, err
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    assert said(capsys, *words)[0] == 0


def test_a_full_disk_while_importing(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with full_disk(4000):
        code, _, err = said(capsys, "import", root, "--out", tmp_path / "out")
    assert code == 2 and err.count("\n") == 1 and "cannot write" in err, err
    assert said(capsys, "import", root, "--out", tmp_path / "out")[0] == 0
    assert Dataset.open(tmp_path / "out").fingerprint == Dataset.open(root).fingerprint


def test_a_full_disk_while_recording(tmp_path: Path):
    config = RecordConfig(num_episodes=12, workers=1, episodes_per_shard=4)
    with full_disk(2000), pytest.raises(DataError, match="cannot write") as caught:
        record(LineWorld, config, tmp_path / "data")
    assert "\n" not in str(caught.value)
    assert record(LineWorld, config, tmp_path / "data").num_episodes == 12
    assert Dataset.open(tmp_path / "data").verify() == []


def test_a_full_disk_while_building_the_cache(root: Path):
    dataset = Dataset.open(root)
    with full_disk(2000), pytest.raises(DataError, match="cannot write the cache") as caught:
        FrameCache.build(dataset, ("pixels",))
    assert "\n" not in str(caught.value)
    assert FrameCache.build(dataset, ("pixels",)).num_frames == dataset.num_frames


def read_only(tmp_path: Path) -> Path:
    """A folder in which nothing can be made, whoever runs the tests."""
    if os.geteuid() == 0:
        return Path("/proc")
    folder = tmp_path / "read-only"
    folder.mkdir()
    folder.chmod(0o555)
    return folder


@pytest.mark.parametrize(
    "words", ["export DATA --to lerobot --out OUT", "export DATA --to minari --out OUT", "import DATA --out OUT"]
)
def test_a_read_only_folder(root: Path, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    given = [{"DATA": str(root), "OUT": str(read_only(tmp_path) / "out")}.get(word, word) for word in words.split()]
    code, _, err = said(capsys, *given)
    assert code == 2 and err.count("\n") == 1 and "cannot write" in err, err


def test_letters_of_every_kind_are_no_damage(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    root = record_into(tmp_path / "räume\u202e und\n机器人", range(3))
    finalize(root)
    out = tmp_path / "aus-ß"
    assert said(capsys, "export", root, "--to", "lerobot", "--out", out)[0] == 0
    assert "räum auf" in pq.read_table(out / "meta/tasks.parquet").column("task").to_pylist()
    (root / "meta/info.json").write_text("{")
    code, _, err = said(capsys, "inspect", root)
    assert code == 2 and err.count("\n") == 1
