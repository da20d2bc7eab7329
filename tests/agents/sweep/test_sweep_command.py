"""A sweep from its file to its table: finished trials are never run again, a stopped one goes on, a failed one is told."""

from __future__ import annotations

import dataclasses
import io
import json
import signal
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agents import cli
from agents.console import Screen
from agents.evaluation.evaluate import EvalConfig
from agents.evaluation.protocol import wilson
from agents.experiment import EnvConfig, load_experiment
from agents.recording.record import RecordConfig, record
from agents.sweep import command, table
from agents.sweep.space import Trial, load_sweep, trials_of
from agents.sweep.trial import Result, run_trial
from agents.training import stages
from tests.agents.sweep import killed_sweep
from tests.agents.sweep.sweep_fakes import BASE, make_env, results
from tests.fakes import LineWorld
from worldmodel.errors import ConfigError, MismatchError, WorldModelError
from worldmodel.progress import NoProgress
from worldmodel.train.checkpoint import read_manifest, write_manifest
from worldmodel.train.logging import read_metrics
from worldmodel.train.state import load_state
from worldmodel.train.trainer import Trainer

ROOT = Path(__file__).parents[3]
SWEEP = """
method: grid
parameters:
  train.seed: {values: [0, 1]}
  config: {value: BASE}
  objective.sigreg_coef: {values: [0.05, 0.0]}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "base.yaml").write_text(BASE)
    path = tmp_path / "regulariser.yaml"
    path.write_text(SWEEP.replace("BASE", str(tmp_path / "base.yaml")))
    return path


def swept(file: Path, data: Path, *words: str) -> str:
    screen = io.StringIO()
    assert command.run(file, data, file.parent / "out", words, make_env, Screen(screen)) == 0
    return screen.getvalue()


def test_a_stopped_sweep_goes_on_and_ends_like_one_that_was_not(
    file: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, fit, calls = file.parent / "out", Trainer.fit, []

    def stopped(self: Trainer, **given: Any) -> int:
        calls.append(self.run_dir)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return fit(self, **given)

    monkeypatch.setattr(Trainer, "fit", stopped)
    with pytest.raises(KeyboardInterrupt):
        swept(file, data)
    first, second = calls
    assert (first / "result.json").exists() and not (second / "result.json").exists()
    kept = (first / "result.json").read_bytes()
    said = swept(file, data)
    assert "4 trials, 1 finished already" in said and "[1/3]" in said and "left" in said
    assert calls.count(first) == 1 and calls.count(second) == 2 and len(calls) == 5
    assert (first / "result.json").read_bytes() == kept

    # the table: two rows of two seeds each, with the interval of all episodes of a row
    found = json.loads((out / "results.json").read_text())
    assert [(row["group"], row["num_runs"]) for row in found["rows"]] == [("sigreg_coef0.05", 2), ("sigreg_coef0", 2)]
    assert found["missing"] == {} and len(found["runs"]) == 4 and len(found["protocols"]) == 1
    row, runs = found["rows"][0], [run for run in found["runs"] if run["group"] == "sigreg_coef0.05"]
    want = wilson(sum(run["successes"]["worldmodel"] for run in runs), 8)
    assert row["success"] == {"rate": want.rate, "low": want.low, "high": want.high} and row["num_episodes"] == 8
    for name in ("loss", "effective_rank", "probe_cm_0", "probe_cm_1", "probe_cm_2", "samples_per_cpu_s"):
        assert row["metrics"][name] == pytest.approx(sum(run["metrics"][name] for run in runs) / 2)
        assert row["metrics"][name] > 0
    assert set(row["cpu_seconds"]) == {"train", "heads", "measure", "evaluate"}
    spent = [row["train/cpu_seconds"] for row in read_metrics(first) if "train/cpu_seconds" in row]
    assert runs[0]["cpu_seconds"]["train"] == spent[-1] and runs[0]["metrics"]["updates"] == 6
    markdown = (out / "results.md").read_text()
    assert "seen, +1, +2 cm" in said and "…" not in said
    assert "| sigreg_coef0.05 | 2 |" in markdown and "expert 100 %" in markdown and "Missing" not in markdown
    header = (out / "results.png").read_bytes()[:24]
    assert header[:4] == b"\x89PNG" and struct.unpack(">2I", header[16:24])[0] > 500
    assert all(line in said for line in ("sigreg_coef0.05", "table: "))


def test_a_killed_sweep_ends_on_the_same_bits(file: Path, data: Path) -> None:
    base = file.parent / "base.yaml"
    base.write_text(base.read_text().replace("num_steps: 6", "num_steps: 6, save_every_seconds: 0"))
    program = [sys.executable, "-m", "tests.agents.sweep.killed_sweep", str(file), str(data)]
    done = subprocess.run([*program, str(file.parent / "killed" / "out")], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    (unfinished,) = (path.parent for path in file.parent.glob("killed/out/*/training") if not _whole(path.parent))
    state = load_state(unfinished)
    assert state is not None and state.step == killed_sweep.UPDATE - 1
    for place in ("killed", "straight"):  # apart, so that neither takes over what the other has run
        assert command.run(file, data, file.parent / place / "out", killed_sweep.WORDS, make_env, Screen(io.StringIO())) == 0
    weights = [(file.parent / p / "out" / unfinished.name / "model.safetensors").read_bytes() for p in ("killed", "straight")]
    assert weights[0] == weights[1]


def _whole(folder: Path) -> bool:
    return (folder / "result.json").exists()


def test_finished_trials_are_not_run_again_and_one_can_be_asked_for(file: Path, data: Path, quick: list[str]) -> None:
    said = swept(file, data, "train.seed=0", "objective.sigreg_coef=0.0")
    assert "1 trials, 0 finished already" in said
    found = json.loads((file.parent / "out" / "results.json").read_text())
    assert len(found["runs"]) == 1 and len(found["missing"]) == 3 and set(found["missing"].values()) == {"not finished"}
    assert "1 trials, 1 finished already" in swept(file, data, "train.seed=0", "objective.sigreg_coef=0.0")
    assert len(quick) == 1
    assert "Missing: " in (file.parent / "out" / "results.md").read_text()


def test_other_settings_in_the_same_folder_are_refused(file: Path, data: Path, quick: list[str]) -> None:
    swept(file, data, "train.seed=0", "objective.sigreg_coef=0.0")
    base = file.parent / "base.yaml"
    base.write_text(base.read_text().replace("num_steps: 6", "num_steps: 8"))
    with pytest.raises(ConfigError, match=r"was begun with other settings \(train\.num_steps was 6, is 8\)"):
        swept(file, data)
    # where it was not asked for, the table goes without it, and says why
    swept(file, data, "train.seed=1", "objective.sigreg_coef=0.0")
    found = json.loads((file.parent / "out" / "results.json").read_text())
    assert len(found["runs"]) == 1 and any("num_steps was 6, is 8" in why for why in found["missing"].values())


def test_an_experiment_that_a_neighbouring_sweep_has_run_is_taken_over(file: Path, data: Path, quick: list[str]) -> None:
    swept(file, data, "train.seed=0", "objective.sigreg_coef=0.05")
    other = file.parent / "rollout.yaml"
    base = str(file.parent / "base.yaml")
    text = "method: grid\nparameters:\n  config: {value: BASE}\n  objective.rollout_steps: {values: [2, 1]}\n"
    other.write_text(text.replace("BASE", base))
    quick.clear()
    out = file.parent / "other"
    assert command.run(other, data, out, (), make_env, Screen(io.StringIO())) == 0
    assert [name[:14] for name in quick] == ["rollout_steps1"]
    two, one = json.loads((out / "results.json").read_text())["runs"]
    assert two["name"].startswith("rollout_steps2") and two["parameters"]["objective.rollout_steps"] == 2
    assert two["cpu_seconds"] and one["group"] == "rollout_steps1"


def test_what_began_with_other_weights_is_not_taken_over(file: Path, data: Path, tmp_path: Path, quick: list[str]) -> None:
    words = ("train.seed=0", "objective.sigreg_coef=0.05", f"train.init_from={tmp_path / 'parent'}")
    parent = load_experiment(tmp_path / "base.yaml", ["train.num_steps=1"])
    stages.fit_model(parent, data, tmp_path / "parent", resume=False, progress=NoProgress())
    first, second, third = tmp_path / "first", tmp_path / "second", tmp_path / "third"

    def swept_into(out: Path) -> int:
        quick.clear()
        assert command.run(file, data, out, words, make_env, Screen(io.StringIO())) == 0
        return len(quick)

    assert swept_into(first) == 1 and swept_into(second) == 0
    manifest = read_manifest(tmp_path / "parent")
    write_manifest(tmp_path / "parent", dataclasses.replace(manifest, checksums={"model.safetensors": "0" * 64}))
    assert swept_into(third) == 1
    for out in (first, second):  # what was taken over knows too
        with pytest.raises(MismatchError, match=r"began with .*parent, which was trained again since.*delete it") as caught:
            swept_into(out)
        assert "\n" not in str(caught.value)


def test_a_failed_trial_is_told_and_the_others_run(
    file: Path, data: Path, quick: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = command.run_trial

    def failing(trial: Trial, *given: Any) -> Result:
        if trial.experiment.train.seed == 1:
            raise WorldModelError("it burns")
        return run(trial, *given)

    monkeypatch.setattr(command, "run_trial", failing)
    with pytest.raises(ConfigError, match=r"2 of 4 trials failed; sigreg_coef0\.05-seed1-\w+: it burns"):
        swept(file, data)
    found = json.loads((file.parent / "out" / "results.json").read_text())
    assert len(found["runs"]) == 2 and set(found["missing"].values()) == {"it burns"}


def test_a_trial_killed_after_training_does_not_train_again(file: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trial = trials_of(load_sweep(file))[0]
    folder, screen = file.parent / "run", Screen(io.StringIO())

    def killed(*given: Any, **named: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(stages, "score", killed)
        with pytest.raises(KeyboardInterrupt):
            run_trial(trial, data, folder, make_env, screen.stage)
    assert not (folder / "result.json").exists()
    monkeypatch.setattr(stages, "fit_model", None)
    monkeypatch.setattr(stages, "fit_heads_of", None)
    result = run_trial(trial, data, folder, make_env, screen.stage)
    assert result.num_episodes == 4 and result.cpu_seconds["heads"] > 0


def test_a_limit_in_processor_time_is_a_trial_like_any_other(file: Path, data: Path) -> None:
    words = ("train.seed=0", "objective.sigreg_coef=0.0", "train.max_cpu_seconds=0.05", "train.num_steps=100000")
    swept(file, data, *words)
    (run,) = json.loads((file.parent / "out" / "results.json").read_text())["runs"]
    assert 1 <= run["metrics"]["updates"] < 1000 and 0.05 <= run["cpu_seconds"]["train"] < 5
    assert "1 trials, 1 finished already" in swept(file, data, *words)


def test_a_world_without_labels_is_planned_in_by_goals(file: Path, tmp_path: Path) -> None:
    settings = RecordConfig(num_episodes=24, workers=1, aimed=0.0, random=1.0, expert=0.0, labels=())
    record(lambda: LineWorld(3, 6), settings, tmp_path / "plain")
    swept(file, tmp_path / "plain", "train.seed=0", "objective.sigreg_coef=0.0", "cost.name=goal")
    (run,) = json.loads((file.parent / "out" / "results.json").read_text())["runs"]
    assert run["metrics"]["probe_cm_0"] is None and run["metrics"]["effective_rank"] > 0 and run["num_episodes"] == 4


PRETRAINING = ("objective.prediction_coef=0", "objective.rollout_coef=0", "objective.masked_coef=1")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("evaluate.agents=[random]",), r"evaluate\.agents is \['random'\]; expected worldmodel among them"),
        (
            ("objective.prediction_coef=0", "objective.rollout_coef=0", "objective.masked_coef=1"),
            r"objective\.prediction_coef is 0, which is pretraining",
        ),
        (("objective.actions=inferred",), r"objective\.actions is inferred, which is pretraining"),
        (("data.val_fraction=0",), r"data\.val_fraction is 0; expected more"),
    ],
)
def test_trials_that_could_not_be_compared_are_refused(file: Path, data: Path, words: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        swept(file, data, *words)


def test_the_command_line_has_it(file: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["sweep", str(file.parent / "nowhere.yaml"), "--data", str(data)]) == 2
    assert "nowhere.yaml: no such configuration file" in capsys.readouterr().err
    assert cli.main(["sweep", str(file), "--data", str(file.parent / "none"), "--out", str(file.parent / "out")]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and str(file.parent / "none") in err


def test_rows_are_means_and_pooled_rates() -> None:
    one, other = table.rows_of([results("a", 0, 4, 1.0), results("b", 0, 10, None), results("a", 1, 8, 3.0)])
    assert (one.group, one.num_runs, one.num_episodes, one.metrics["loss"]) == ("a", 2, 20, 2.0)
    assert one.success == wilson(12, 20) and one.cpu_seconds == {"train": 2.5}
    assert other.metrics["loss"] is None and other.success == wilson(10, 10)
    assert EvalConfig().seed == 0


def test_the_tables_of_several_sweeps_are_gathered(file: Path, data: Path, quick: list[str]) -> None:
    from benchmarks.ablations import gathered

    swept(file, data, "train.seed=0", "objective.sigreg_coef=0.0")
    found = gathered(file.parent)
    assert set(found["sweeps"]) == {"out"} and len(found["hardware"]) == len(found["commits"]) == 1
    (run,) = found["sweeps"]["out"]["runs"]
    assert "machine" not in run and run["successes"]["expert"] == 10 and len(found["sweeps"]["out"]["missing"]) == 3
    with pytest.raises(ValueError, match="no finished run of any sweep"):
        gathered(data)


def test_a_world_without_an_expert_has_a_table_without_a_ceiling(tmp_path: Path) -> None:
    plain = results("a", 0, 4, 1.0)
    bare = dataclasses.replace(plain, successes={name: n for name, n in plain.successes.items() if name != "expert"})
    table.save(tmp_path, "bare", Path("bare.yaml"), [bare], {})
    assert set(json.loads((tmp_path / "results.json").read_text())["bounds"]) == {"random"}
    assert "On the same starts: random 10 %." in (tmp_path / "results.md").read_text()


def test_trials_that_mix_their_data_differently_are_each_gone_on_with(file: Path, data: Path, quick: list[str]) -> None:
    more = file.parent / "more"
    record(lambda: LineWorld(3, 6), RecordConfig(num_episodes=8, seed=1, workers=1, aimed=0.0, random=1.0, expert=0.0), more)
    weights = "data.weights: {values: [[1.0, 1.0], [1.0, 3.0]]}"
    file.write_text(file.read_text().replace("objective.sigreg_coef: {values: [0.05, 0.0]}", weights))
    for finished in (0, 4):
        screen = io.StringIO()
        assert command.run(file, (data, more), file.parent / "out", (), make_env, Screen(screen)) == 0
        assert f"4 trials, {finished} finished already" in screen.getvalue()
    assert len(quick) == 4


@pytest.mark.parametrize(
    ("parameter", "told"),
    [
        ("evaluate.agents: {values: [[worldmodel], [worldmodel, wordlmodel]]}", "unknown agent 'wordlmodel'"),
        ("train.num_frames: {values: [3, 9]}", "lower train.num_frames"),
        ("evaluate.num_objects: {values: [2, 99]}", "no room for 99"),
        ("data.image_size: {values: [null, 3]}", "a picture of 3 x 3"),
        ("train.init_from: {values: [null, nowhere]}", "train.init_from: no such folder"),
    ],
)
def test_a_trial_that_could_not_end_is_told_before_the_first_begins(
    parameter: str, told: str, file: Path, data: Path, quick: list[str]
) -> None:
    def crowded(config: EnvConfig, **overrides: Any) -> LineWorld:
        if overrides.get("num_objects") == 99:
            raise ConfigError("no room for 99")
        return make_env(config, **overrides)

    base = file.parent / "base.yaml"
    base.write_text(base.read_text().replace("{kwargs: {num_objects: 2, max_sweeps: 4}}", "{kwargs: {num_objects: 2}}"))
    file.write_text(f"method: grid\nparameters:\n  config: {{value: {base}}}\n  {parameter}\n")
    with pytest.raises(ConfigError, match=f"^trial .*: .*{told}"):
        command.run(file, data, file.parent / "out", (), crowded, Screen(io.StringIO()))
    assert quick == [] and not (file.parent / "out").exists()
