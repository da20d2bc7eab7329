"""Every command once, on a tiny experiment: recorded rollouts in, a film, a score and a report out."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import pytest
from PIL import Image

from agents import cli
from agents.report import read_video
from agents.training import command as training
from agents.training import stages
from agents.training.folder import held
from agents.training.runs import load_run
from worldmodel.data import Dataset
from worldmodel.errors import DataError
from worldmodel.train.checkpoint import read_manifest
from worldmodel.train.logging import read_metrics

TINY = str(Path(__file__).parents[2] / "configs" / "tiny.yaml")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A recorded dataset and a trained run."""
    root = tmp_path_factory.mktemp("tiny")
    data, run = root / "data", root / "run"
    assert cli.main(["record", "--config", TINY, "--out", str(data), "--episodes", "20"]) == 0
    assert cli.main(["train", "--config", TINY, "--data", str(data), "--out", str(run)]) == 0
    return data, run


def test_record_wrote_what_was_asked_and_can_be_extended(folders: tuple[Path, Path], tmp_path: Path) -> None:
    data = shutil.copytree(folders[0], tmp_path / "data")
    before = Dataset.open(data)
    assert before.num_episodes == 20 and before.spec.robot == "gantry" and before.verify() == []
    assert cli.main(["record", "--config", TINY, "--out", str(data), "--episodes", "22"]) == 0
    after = Dataset.open(data)
    assert after.num_episodes == 22 and before.seeds < after.seeds


def test_train_left_a_whole_run(folders: tuple[Path, Path]) -> None:
    data, directory = folders
    run = load_run(directory)
    assert run.heads is not None and run.heads.recorded_actions.shape == (32, 4)
    assert run.manifest.data.fingerprint == Dataset.open(data).fingerprint
    assert run.experiment().planner.num_recorded_actions == 32
    rows = read_metrics(directory)
    assert [row["step"] for row in rows if "train/loss" in row] == [2, 4, 6]
    assert any("heads/picture_mse" in row for row in rows)
    (found,) = (row for row in rows if "measure/alarms" in row)
    assert found["step"] == 6 and {"measure/horizon_predicted_cm_1", "measure/probe_labelled_frames"} <= found.keys()
    with Image.open(directory / "figures" / "imagined.png") as picture:
        assert picture.width > 3 * 192 and picture.height > 2 * 192
    assert (directory / "config.yaml").exists() and (directory / "diagnostics.json").exists()


def test_training_again_is_refused_and_resuming_a_finished_run_is_harmless(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data, run = folders[0], shutil.copytree(folders[1], tmp_path / "run")
    (run / "evaluation.json").write_text("{}")
    before = {name: (run / name).read_bytes() for name in ("manifest.json", "evaluation.json", "metrics.jsonl")}
    words = ["train", "--config", TINY, "--data", str(data), "--out", str(run)]
    assert cli.main(words) == 2
    assert "resume" in capsys.readouterr().err
    with monkeypatch.context() as patch:
        patch.setattr(stages, "fit_heads", None)  # they are fitted already
        assert cli.main([*words, "--resume", "train.log_every=3"]) == 0
    assert "is trained already, 6 updates" in capsys.readouterr().out
    assert {name: (run / name).read_bytes() for name in before} == before
    assert cli.main([*words, "--resume", "model.encoder.token_dim=8"]) == 2
    assert "token_dim" in capsys.readouterr().err

    # other heads are fitted, and take the scores of the old ones with them, and what was drawn of their decisions
    (run / "figures" / "planner.npz").write_bytes(b"old")
    assert cli.main([*words, "--resume", "heads.progress_steps=30"]) == 0
    drawn = {path.name for path in (run / "figures").iterdir()}
    assert not (run / "evaluation.json").exists() and drawn == {"strips.npz", "imagined.png"}
    after = read_manifest(run)
    assert after.experiment["heads"]["progress_steps"] == 30
    assert after.checksums["model.safetensors"] in before["manifest.json"].decode()
    # weights that are not whole are made again from the training state
    (run / "model.safetensors").write_bytes(b"torn")
    assert cli.main([*words, "--resume"]) == 0
    assert read_manifest(run).checksums["model.safetensors"] == after.checksums["model.safetensors"]


def test_a_training_that_is_not_finished_is_told(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    (run / "training").mkdir(parents=True)
    for command in (["inspect", str(run)], ["report", "--run", str(run)]):  # nothing told yet: as before
        assert cli.main(command) == 2
        assert "is no checkpoint" in capsys.readouterr().err

    rows = [row for row in read_metrics(folders[1]) if "train/loss" in row]
    rows[-1] |= {"val/loss": 0.125, "val/action_ratio": 0.01, "val/std": 0.75}
    rows = [*rows, {"step": 8, "time": 0.0, "train/loss": 0.25}]
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert cli.main(["inspect", str(run)]) == 0
    told = capsys.readouterr().out
    assert "not finished" in told and "no manifest.json yet" in told
    (train,) = (line for line in told.splitlines() if line.startswith("  train "))
    assert "loss 0.25" in train and "after 8 updates" in train and "lr" not in train
    (val,) = (line for line in told.splitlines() if line.startswith("  val "))
    assert "loss 0.125" in val and "after 6 updates" in val and "std" not in val
    health = [line for line in told.splitlines() if line.startswith("  health ")]
    assert "ALARM predictions ignore the action (action ratio 0.01; expected > 0.2)" in health[0]
    assert "std 0.75" in health[-1] and "at the last validation" in health[-1] and "whole" not in told

    assert cli.main(["report", "--run", str(run)]) == 0
    assert "the run is not finished: the report shows its training so far" in capsys.readouterr().out
    html = (run / "report.html").read_text(encoding="utf-8")
    for words in (
        "The run is not finished: it has no manifest.json after 8 updates.", "At the last validation, after 6 updates.",
        "Alarm: predictions ignore the action", "loss (train and val)",
    ):  # fmt: skip
        assert words in html, words
    assert "clearing a table" not in html

    (run / "metrics.jsonl").write_text("")  # before the first update that is told of
    assert cli.main(["inspect", str(run)]) == 0
    assert capsys.readouterr().out.count("nothing told yet") == 2


def test_evaluate_writes_the_promised_json(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, path = shutil.copytree(folders[1], tmp_path / "run"), tmp_path / "scores.json"
    names = ["random", "worldmodel", "worldmodel:goal", "expert"]
    words = ["evaluate", "--run", str(run), "--episodes", "2", "--agents", ",".join(names), "--json", str(path)]
    assert cli.main(words) == 0
    scores = json.loads(path.read_text())
    assert list(scores["agents"]) == names and len(scores["protocol"]["hash"]) >= 8
    for score in scores["agents"].values():
        assert score["n"] == 2
        assert 0 <= score["success"]["low"] <= score["success"]["rate"] <= score["success"]["high"] <= 1
        assert set(score) >= {"objects_cleared", "dropped", "plan_ms"} and set(score["plan_ms"]) == {"p50", "p95"}
    assert scores["protocol"]["hash"] in capsys.readouterr().out
    (kept,) = read_manifest(run).evaluations
    assert kept["protocol"]["hash"] == scores["protocol"]["hash"] and list(kept["agents"]) == names


def test_a_casual_evaluation_leaves_the_runs_own_alone(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(folders[1], tmp_path / "run")
    words = ["evaluate", "--run", str(run)]
    assert cli.main(words) == 0
    own = (run / "evaluation.json").read_bytes()
    assert list(json.loads(own)["agents"]) == ["random", "worldmodel", "expert"]
    casual = (
        ["--episodes", "1"],
        ["--seed", "1"],
        ["evaluate.agents=[random]"],
        ["--agents", "worldmodel:goal"],
        ["planner.elites.num_samples=[8,8]"],
        ["cost.name=goal"],
        ["evaluate.num_objects=1"],
        ["evaluate.num_objects=1", "cost.name=goal"],
    )
    for given in casual:
        assert cli.main([*words, *given]) == 0
        assert (run / "evaluation.json").read_bytes() == own
    others = [json.loads(path.read_text()) for path in run.glob("evaluation-*.json")]
    assert len(others) == len(casual)
    assert all({"random", "expert"} <= set(other["agents"]) for other in others)  # also with --agents worldmodel:goal

    # the manifest tells them apart by protocol and agents, the curves by name; the same question replaces its answer
    evaluations = read_manifest(run).evaluations
    assert len(evaluations) == 1 + len(casual) and all(set(e["identities"]) == set(e["agents"]) for e in evaluations)
    names = [name for row in read_metrics(run) for name in row if name.endswith("/random/success_rate")]
    assert len(names) == len(set(names)) == 1 + len(casual) and "eval/random/success_rate" in names
    assert cli.main([*words, *casual[0]]) == 0 and cli.main([*words, "--agents", "worldmodel"]) == 0
    assert len(read_manifest(run).evaluations) == 1 + len(casual) == 1 + len(list(run.glob("evaluation-*.json")))
    assert (run / "evaluation.json").read_bytes() == own  # the journal has every episode with its times


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        ("evaluate.num_objects=1 env.kwargs.num_objects=2", "sets evaluate.num_objects=1; use evaluate.num_objects=2"),
        ("evaluate.num_objects=1 'env.kwargs={robot: gantry, num_objects: 3}'", "use evaluate.num_objects=3"),
        ("env.kwargs.max_sweeps=2 evaluate.budget=3", "sets evaluate.budget=3; use evaluate.budget=2"),
        ("env.kwargs.max_steps=2 evaluate.budget=3", "env.kwargs.max_steps=2 would do nothing"),
    ],
)
def test_a_setting_that_the_evaluation_overrides_is_refused(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str], given: str, advice: str
) -> None:
    assert cli.main(["evaluate", "--run", str(folders[1]), *shlex.split(given)]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and "would do nothing" in message and advice in message


def test_play_films_an_episode(folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = tmp_path / "out.mp4"
    assert cli.main(["play", "--run", str(folders[1]), "--seed", "3", "--video", str(video)]) == 0
    frames, _ = read_video(video)
    assert frames.shape[1:] == (514, 640, 3) and len(frames) > 20 and frames[0].std() > 5
    out = capsys.readouterr().out
    assert "sweep 1: " in out and f"video: {video}" in out


def test_play_takes_the_evaluations_settings(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["play", "--run", str(folders[1]), "--video", str(tmp_path / "out.mp4"), "evaluate.num_objects=1"]
    assert cli.main([*words, "evaluate.budget=1"]) == 0
    out = capsys.readouterr().out
    assert " of 1 in the bin" in out and "in 1 sweeps" in out
    assert cli.main([*words, "env.kwargs.num_objects=2"]) == 2
    assert "would do nothing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("--agents worldmodel:", "unknown agent 'worldmodel:'; available: "),
        ("--episodes 0", "num_episodes is 0; expected at least 1"),
        ("evaluate.budget=0", "evaluate: budget is 0; expected at least 1"),
        ("planer.name=cem", "unknown key 'planer'; did you mean 'planner'?"),
        ("planner.nmae=cem", "unknown key 'planner.nmae'; did you mean 'planner.name'?"),
    ],
)
def test_a_slip_in_an_evaluation_is_told(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str], given: str, told: str
) -> None:
    assert cli.main(["evaluate", "--run", str(folders[1]), *given.split()]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and told in message


def test_a_model_that_is_there_is_not_overwritten(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(folders[1], tmp_path / "run", ignore=shutil.ignore_patterns("training"))  # as one is passed on
    before = (run / "model.safetensors").read_bytes()
    assert cli.main(["train", "--config", TINY, "--data", str(folders[0]), "--out", str(run), "train.seed=5"]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and f"{run} holds a trained model" in message and "choose another folder" in message
    assert (run / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("env.kwargs={} heads.max_steps_ahead=20", "no window of 21 frames in the train split"),
        ("evaluate.agents=[wroldmodel]", "unknown agent 'wroldmodel'"),
        ("env.id=worldmodel/TableCler-v0", "`TableCler` doesn't exist in namespace worldmodel"),
        ("env.kwargs.robot=amr", "unknown robot 'amr'"),
        ("train.init_from=nowhere", "train.init_from: no such folder: nowhere"),
    ],
)
def test_what_would_fail_after_training_is_told_before(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], given: str, told: str
) -> None:
    words = ["train", "--config", TINY, "--data", str(folders[0]), "--out", str(tmp_path / "run"), *given.split()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "fit_model", None)  # it is not trained
        assert cli.main(words) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and told in message
    assert not (tmp_path / "run").exists()


def test_two_trainings_do_not_share_a_folder(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "--config", TINY, "--data", str(folders[0]), "--out", str(tmp_path)]
    with held(tmp_path), pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "fit_model", None)
        for given in ([], ["train.seed=1"], ["--resume"]):
            assert cli.main([*words, *given]) == 2
            message = capsys.readouterr().err
            assert message.count("\n") == 1 and f"{tmp_path} is in use" in message

    def measure(*_: object) -> dict[str, float]:
        with pytest.raises(DataError, match="in use"), held(tmp_path):  # to the last stage
            pass
        return {}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "measure", measure)
        assert cli.main(words) == 0


def test_a_folder_of_something_else_takes_no_run(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.txt").write_text("")
    for out, told in ((folders[0], "holds a dataset"), (tmp_path, "holds other files"), (Path(TINY), "is a file")):
        assert cli.main(["train", "--config", TINY, "--data", str(folders[0]), "--out", str(out)]) == 2
        message = capsys.readouterr().err
        assert message.count("\n") == 1 and f"{out} {told}" in message


def test_report_and_inspect(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    data, run = folders
    assert cli.main(["report", "--run", str(run)]) == 0
    assert (run / "report.html").stat().st_size > 10_000
    assert cli.main(["inspect", str(run)]) == 0
    assert cli.main(["inspect", str(data)]) == 0
    out = capsys.readouterr().out
    assert "20 episodes" in out and out.count("whole, and fits its environment") == 2


def test_a_damaged_folder_is_told(folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, run = shutil.copytree(folders[0], tmp_path / "data"), shutil.copytree(folders[1], tmp_path / "run")
    shard = next((data / "data").rglob("*.parquet"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 0xFF
    shard.write_bytes(content)
    assert cli.main(["inspect", str(data)]) == 2
    assert "PROBLEM" in capsys.readouterr().out
    weights = run / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    for words in (["inspect", str(run)], ["play", "--run", str(run)], ["evaluate", "--run", str(run)]):
        assert cli.main(words) == 2
        captured = capsys.readouterr()
        assert captured.err.count("\n") == 1 and "model.safetensors is damaged" in captured.err


def test_an_environment_that_does_not_fit_is_refused(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("evaluate", "play"):
        assert cli.main([command, "--run", str(folders[1]), "env.kwargs.image_size=32"]) == 2
        message = capsys.readouterr().err
        assert message.count("\n") == 1 and "(64, 64, 3) expected, (32, 32, 3) got" in message
    assert cli.main(["evaluate", "--run", str(folders[1]), "train.num_steps=3"]) == 2
    assert "cannot be changed after training" in capsys.readouterr().err


def test_the_demo_does_everything_and_goes_on_after_an_interruption(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["demo", "--out", str(tmp_path), "--config", TINY, "evaluate.agents=[random,worldmodel]", "record.num_episodes=20"]
    fit_heads_of = stages.fit_heads_of

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(stages, "fit_heads_of", interrupted)
    assert cli.main(words) == 130
    monkeypatch.setattr(stages, "fit_heads_of", fit_heads_of)
    capsys.readouterr()
    assert cli.main(words) == 0
    out = capsys.readouterr().out
    assert "[1/8] record 20 episodes: done already" in out and "[3/8] train the world model, 6 updates: done already" in out
    assert "measure: 3/3" in out and "evaluate: 6/6" in out  # three agents, two starts
    assert str(tmp_path / "report.html") in out and str(tmp_path / "videos" / "episode.mp4") in out
    assert "worldmodel" in out and "95 % interval" in out
    assert (tmp_path / "report.html").exists() and (tmp_path / "videos" / "episode.mp4").exists()
