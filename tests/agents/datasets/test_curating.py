"""The commands that mend, join, choose and show datasets, and training on what was chosen."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agents import cli
from agents.datasets.contact_sheet import FAILURE, PAGE, SUCCESS, Row, draw_sheet, write_sheet
from agents.datasets.inspect_data import histogram
from worldmodel.data import Dataset
from worldmodel.errors import DataError
from worldmodel.train.checkpoint import read_manifest

TINY = str(Path(__file__).parents[3] / "configs" / "tiny.yaml")
FILE = "data/chunk-000/file-000.parquet"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen episodes."""
    data = tmp_path_factory.mktemp("recorded") / "data"
    assert cli.main(["record", "--config", TINY, "--out", str(data), "--episodes", "16"]) == 0
    return data


@pytest.fixture
def data(recorded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(recorded, tmp_path / "data"))


def said(capsys: pytest.CaptureFixture[str], *words: object, code: int = 0) -> str:
    """What a command writes; a mistake is one line."""
    capsys.readouterr()
    assert cli.main([str(word) for word in words]) == code
    captured = capsys.readouterr()
    if code:
        assert captured.err.count("\n") <= 1, captured.err
    return captured.out + captured.err


def test_repair_says_what_it_does_and_inspect_says_whole(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "is whole, 16 episodes; nothing was changed" in said(capsys, "repair", data)
    assert cli.main(["record", "--config", TINY, "--out", str(data), "--episodes", "20"]) == 0
    second = data / "data/chunk-000/file-001.parquet"
    second.write_bytes(second.read_bytes()[:1000])
    text = said(capsys, "inspect", data, code=2)
    assert "PROBLEM" in text and "'worldmodel repair" in text
    assert "would drop  episodes 16 to 19: data/chunk-000/file-001.parquet" in said(capsys, "repair", data, "--dry-run")
    assert "PROBLEM" in said(capsys, "inspect", data, code=2)
    text = said(capsys, "repair", data)
    assert "dropped   episodes 16 to 19" in text and "16 episodes kept, 4 dropped" in text and "damaged/1" in text
    assert "whole, and fits its environment" in said(capsys, "inspect", data)


def test_repair_into_another_folder_and_its_mistakes(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "meta/stats.json").write_text("{")
    assert f"data: {tmp_path / 'out'}" in said(capsys, "repair", data, "--out", tmp_path / "out")
    assert Dataset.open(tmp_path / "out").verify() == [] and (data / "meta/stats.json").read_text() == "{"
    assert "leave one of them out" in said(capsys, "repair", data, "--out", tmp_path / "o", "--dry-run", code=2)
    assert "is no folder" in said(capsys, "repair", tmp_path / "nowhere", code=2)
    for name in ("worldmodel.json", "info.json"):
        (data / "meta" / name).unlink()
    assert "cannot be repaired" in said(capsys, "repair", data, code=2)


def test_merge_joins_and_says_each_difference(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "curate", data, "--where", "index < 10", "--out", tmp_path / "a.json")
    said(capsys, "curate", data, "--where", "index >= 8", "--out", tmp_path / "b.json")
    text = said(capsys, "merge", tmp_path / "a.json", tmp_path / "b.json", "--out", tmp_path / "whole")
    assert "16 episodes, 2 duplicates left out" in text and "left out  episode 0 of" in text
    assert Dataset.open(tmp_path / "whole").fingerprint == Dataset.open(data).fingerprint
    other = shutil.copytree(data, tmp_path / "other")
    world = json.loads((other / "meta/worldmodel.json").read_text())
    world["spec"]["action"]["low"][0], world["spec"]["control_mode"] = -2.0, "poke"
    (other / "meta/worldmodel.json").write_text(json.dumps(world))
    lines = said(capsys, "merge", data, other, "--out", tmp_path / "never", code=2).splitlines()
    assert sum(line.startswith(f"{other}: ") for line in lines) == 2
    assert lines[-1] == f"error: not merged: 2 differences from {data}"
    assert not (tmp_path / "never").exists()
    assert "name two or more" in said(capsys, "merge", data, "--out", tmp_path / "never", code=2)


def test_a_view_is_inspected_and_trained_on(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    view = tmp_path / "view.json"
    before = {path for path in data.rglob("*") if path.is_file()}
    text = said(capsys, "curate", data, "--where", "not frozen and (success or seed % 3 != 0)", "--out", view)
    chosen = [row.seed for row in Dataset.open(data).episodes if row.success or row.seed % 3]
    assert 4 <= len(chosen) < 16 and f"{len(chosen)} of 16 episodes" in text
    assert {path.name.split("-")[1] for path in data.rglob("*") if path.is_file() and path not in before} == {"quality.parquet"}
    text = said(capsys, "inspect", view)
    assert f"{len(chosen)} of 16" in text and "Quality flags" in text and "an action jumps" in text
    with Image.open(tmp_path / "view.png") as sheet:
        assert sheet.width > 300
    run = tmp_path / "run"
    said(capsys, "train", "--config", TINY, "--data", view, "--out", run, "data.val_fraction=0")
    manifest = read_manifest(run)
    assert manifest.data.num_episodes == len(chosen) and manifest.data.fingerprint == Dataset.open(view).fingerprint


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("sucess", "did you mean 'success'"),
        ("length >", "cannot read the condition"),
        ("__import__('os')", "a call is not part of the language"),
        ("length > 100", "none of the 16 episodes"),
        ("task > 3", "cannot be compared"),
    ],
)
def test_a_bad_condition_is_one_line(
    where: str, expected: str, recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert expected in said(capsys, "curate", recorded, "--where", where, "--out", tmp_path / "v.json", code=2)
    assert not (tmp_path / "v.json").exists()


def test_a_view_of_changed_data_is_refused(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "curate", data, "--where", "index < 5", "--out", tmp_path / "v.json")
    assert cli.main(["record", "--config", TINY, "--out", str(data), "--episodes", "17"]) == 0
    assert "is stale" in said(capsys, "inspect", tmp_path / "v.json", code=2)
    assert "is no view" in said(capsys, "curate", data, "--where", "success", "--out", data / "meta/info.json", code=2)


def test_inspect_shows_what_is_in_a_dataset(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "inspect", data, "--sheet", tmp_path / "sheet.png")
    dataset = Dataset.open(data)
    share = sum(row.success for row in dataset.episodes) / 16
    for words in (f"{share:.1%}", "clear the table", "64 x 64 x 3", "Length of episodes", "not measured", dataset.fingerprint):
        assert words in text
    assert (tmp_path / "sheet.png").exists() and not (data / "contact_sheet.png").exists()
    said(capsys, "inspect", data)
    assert (data / "contact_sheet.png").exists()
    assert "ends in .png" in said(capsys, "inspect", data, "--sheet", tmp_path / "sheet.txt", code=2)


def test_a_damaged_episode_is_left_out_of_the_sheet(data: Path, tmp_path: Path) -> None:
    assert write_sheet(Dataset.open(data), tmp_path / "a.png") == 16
    assert write_sheet(Dataset.open(data), tmp_path / "b.png", num_episodes=3) == 3
    (data / FILE).write_bytes(b"")
    with pytest.raises(DataError, match="no contact sheet"):
        write_sheet(Dataset.open(data), tmp_path / "c.png")


def test_the_border_tells_success_from_failure_and_every_picture_is_there() -> None:
    colours = [(200, 10, 10), (10, 200, 10), (10, 10, 200)]
    pictures = [[Image.new("RGB", (128, 128), colour) for colour in colours]]
    rows = [Row("episode 0", ("two lines",), True, pictures), Row("episode 1", (), False, pictures)]
    page = np.asarray(draw_sheet("a title", "a subtitle", ["overhead"], rows))
    counts = {colour: int((page == colour).all(axis=-1).sum()) for colour in (*colours, SUCCESS, FAILURE, PAGE)}
    assert all(counts[colour] == 2 * 128 * 128 for colour in colours)
    assert counts[SUCCESS] > 2000 and counts[FAILURE] > 1000 and counts[PAGE] > page.shape[0] * page.shape[1] / 3
    long = draw_sheet("t", "s", ["a", "b"], [Row("e", ("x" * 500,), True, pictures * 2)] * 40)
    assert long.width < 1700


def test_a_histogram_has_a_bar_for_every_bin() -> None:
    assert histogram(np.array([3])) == [f"3  {'█' * 32}  1"]
    assert histogram(np.array([1, 1, 1, 1, 2, 4])) == [
        f"1  {'█' * 32}  4",
        f"2  {'█' * 8:<32}  1",
        f"3  {'':<32}  0",
        f"4  {'█' * 8:<32}  1",
    ]
    many = histogram(np.arange(1000))
    assert len(many) == 12 and many[0].startswith("   0 to 83") and sum(int(line.split()[-1]) for line in many) == 1000
