"""`worldmodel import`: what it prints, what it refuses, and how it reads a map."""

from __future__ import annotations

import typing
from pathlib import Path

import h5py
import numpy as np
import pytest

from agents import arguments, cli, parsing
from worldmodel.data import Dataset
from worldmodel.data.importers import FORMATS, Kind

ROWS = 12


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A D4RL file of two episodes of six steps."""
    rng = np.random.default_rng(0)
    with h5py.File(tmp_path / "maze.hdf5", "w") as file:
        file["observations"] = rng.normal(size=(ROWS, 3)).astype(np.float32)
        file["actions"] = rng.uniform(-1, 1, (ROWS, 2)).astype(np.float32)
        file["rewards"] = np.arange(ROWS, dtype=np.float32)
        file["terminals"] = np.isin(np.arange(ROWS), [5, 11])
        file["infos/name"] = np.full(ROWS, b"maze")
    return tmp_path / "maze.hdf5"


def write_map(folder: Path, text: str) -> Path:
    (folder / "map.yaml").write_text(text)
    return folder / "map.yaml"


def complaint(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """The one line of a user's mistake."""
    assert cli.main(["import", *map(str, words)]) == cli.USER_MISTAKE
    said = capsys.readouterr().err
    assert said.count("\n") == 1, said
    return said


def test_the_words_are_understood():
    words = ["import", "S", "--out", "D", "--map", "m.yaml", "--kind", "d4rl"]
    assert parsing.parse(words) == arguments.Import(Path("S"), Path("D"), Path("m.yaml"), "d4rl")
    assert typing.get_args(arguments.Kind) == typing.get_args(Kind) == tuple(FORMATS)


def test_an_import_says_what_became_of_everything(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["import", str(source), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    for line in (
        "imported  observations -> sensor proprio",
        "imported  actions -> action",
        "left out  infos/name (|S4 [12])",
        "note      the last action of each episode, and its reward, are left out: no frame follows them",
        "2 episodes imported in",
        f"data: {tmp_path / 'out'}, 2 episodes at 1 frames a second",
    ):
        assert line in said
    assert Dataset.open(tmp_path / "out").num_frames == ROWS
    assert cli.main(["import", str(source), "--out", str(tmp_path / "out")]) == 0
    assert "0 episodes imported" in capsys.readouterr().out


def test_an_import_is_whole_without_an_environment(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["import", str(source), "--out", str(tmp_path / "out")]) == 0
    assert cli.main(["inspect", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "names no environment to compare with" in said and said.endswith("\nwhole\n")


def test_an_environment_of_somebody_need_not_be_here(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with h5py.File(tmp_path / "lift.hdf5", "w") as file:
        demo = file.create_group("data/demo_0")
        file["data"].attrs["env_args"] = '{"env_name": "Lift", "env_kwargs": {}}'
        demo["obs/eef"], demo["actions"] = np.zeros((4, 3)), np.zeros((4, 2))
    assert cli.main(["import", str(tmp_path / "lift.hdf5"), "--out", str(tmp_path / "out")]) == 0
    assert cli.main(["inspect", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "note      env 'Lift' cannot be made" in said and "PROBLEM" not in said
    assert said.rstrip().endswith("\nwhole")


def test_a_map_reaches_the_dataset(source: Path, tmp_path: Path):
    mapping = write_map(
        tmp_path,
        """
        names: {observations: joints}
        units: {observations: {scale: [1, 2, 4], unit: rad}}
        rates: {source_fps: 20, fps: 10, actions: stack}
        robot: maze
        licence: cc-by-4.0
        action_low: [-1, -1]
        action_high: [1, 1]
        """,
    )
    assert cli.main(["import", str(source), "--out", str(tmp_path / "out"), "--map", str(mapping)]) == 0
    dataset = Dataset.open(tmp_path / "out")
    assert (dataset.fps, dataset.spec.robot, dataset.spec.action.dim) == (10, "maze", 4)
    assert dataset.spec.sensors["joints"].names == ("joints_0 [rad]", "joints_1 [rad]", "joints_2 [rad]")
    with h5py.File(source) as file:
        observations, actions = np.asarray(file["observations"]), np.asarray(file["actions"])
    episode = dataset.read_episode(1)
    np.testing.assert_allclose(episode.observations["joints"], observations[6:12:2] * [1, 2, 4], rtol=1e-6)
    np.testing.assert_array_equal(episode.actions, actions[6:10].reshape(2, 4))
    np.testing.assert_array_equal(episode.rewards, [6 + 7, 8 + 9])
    assert "cc-by-4.0" in (tmp_path / "out/README.md").read_text()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nmes: {}", "map.yaml: unknown key 'nmes'; did you mean 'names'?"),
        ("rates: {fsp: 3}", "map.yaml: unknown key 'rates.fsp'; did you mean 'rates.fps'?"),
        ("units: {actions: {scael: 3}}", "map.yaml: unknown key 'units.actions.scael'; did you mean 'units.actions.scale'?"),
        ("units: {actions: {scale: 0}}", "map.yaml: units.actions: scale is 0.0"),
        ("units: {actions: 3}", "units.actions: expected keys with values, got 3"),
        ("rates: {actions: mean}", "rates.actions: expected 'sum' or 'last' or 'stack'"),
        ("image_size: [64]", "image_size: expected list [integer, integer]"),
        ("names: {obs: x}", "map.yaml: names: unknown field 'obs'"),
        ("rates: {source_fps: 30, fps: 20, actions: sum}", "map.yaml: rates: 30 frames a second are no whole multiple"),
    ],
)
def test_a_slip_in_a_map_is_one_line(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, words: str):
    said = complaint(capsys, source, "--out", tmp_path / "out", "--map", write_map(tmp_path, text))
    assert words in said
    assert not (tmp_path / "out").exists()


def test_other_mistakes_are_one_line(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert "looked for lerobot-v2" in complaint(capsys, tmp_path, "--out", tmp_path / "out")
    assert "no robomimic source" in complaint(capsys, source, "--out", tmp_path / "out", "--kind", "robomimic")
    assert "holds other files" in complaint(capsys, source, "--out", tmp_path)
    assert "needs --out" in complaint(capsys, source)
    with h5py.File(source, "a") as file:
        values = np.asarray(file["observations"])
        values[8] = np.nan
        file["observations"][...] = values  # type: ignore[index]
    said = complaint(capsys, source, "--out", tmp_path / "out")
    assert "maze.hdf5: episode 1: field 'observations' holds NaN" in said
