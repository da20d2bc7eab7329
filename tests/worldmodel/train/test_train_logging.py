"""What is logged: the JSONL file, and the same numbers in an offline W&B run, read back from its file."""

from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys

import pytest
import wandb
from PIL import Image
from train_fakes import CONFIG, FakeModel, a_manifest, make_trainer
from wandb.errors import UsageError
from wandb_file import BLOCK, HEADER, PREFIX, payloads, read_offline_run

from worldmodel.errors import WorldModelError
from worldmodel.train.checkpoint import save_model
from worldmodel.train.logging import JsonlLogger, LoggingConfig, aliases, open_logger, read_metrics

OFFLINE = LoggingConfig(wandb="offline", project="tables", name="first", group="seeds")
EXPERIMENT = {"train": {"num_steps": 20, "learning_rate": 1e-3}, "model": {"sensors": ["pixels"]}}


@pytest.fixture
def wandb_home(tmp_path, monkeypatch):
    """Keep W&B's caches out of the home folder."""
    for name in ("WANDB_CACHE_DIR", "WANDB_DATA_DIR", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "wandb_home"))


def test_rows_are_strict_json_one_a_line(tmp_path):
    logger = JsonlLogger(tmp_path)
    logger.start(0)
    logger.log(20, {"train/loss": 0.1, "train/std": math.nan})
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    row = json.loads(lines[0], parse_constant=pytest.fail)
    assert len(lines) == 1 and row.pop("time") > 1e9
    assert row == {"step": 20, "train/loss": 0.1, "train/std": None}


def test_resuming_drops_later_rows_and_a_half_one(tmp_path):
    logger = JsonlLogger(tmp_path)
    logger.start(0)
    for step in (10, 20, 30):
        logger.log(step, {"x": float(step)})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 40, "x"')
    assert [row["step"] for row in read_metrics(tmp_path)] == [10, 20, 30]
    logger.start(20)
    logger.log(25, {"x": 0.0})
    assert [row["step"] for row in read_metrics(tmp_path)] == [10, 20, 25]
    with (tmp_path / "metrics.jsonl").open("ab") as file:
        file.write(b"\xff\xfe")  # what a crash left of a block
    assert [row["step"] for row in read_metrics(tmp_path)] == [10, 20, 25]
    logger.start(0)
    assert read_metrics(tmp_path) == []


def test_wandb_is_not_imported_when_disabled(tmp_path):
    code = f"""
import sys
from pathlib import Path
from worldmodel.train.logging import LoggingConfig, open_logger
with open_logger(LoggingConfig(), Path({str(tmp_path)!r}), {{}}) as logger:
    logger.start(0)
    logger.log(1, {{"x": 1.0}})
assert "wandb" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_offline_wandb_run_holds_the_training_that_was_done(tmp_path, wandb_home):
    run_dir = tmp_path / "run"
    with open_logger(OFFLINE, run_dir, EXPERIMENT) as logger:
        make_trainer(run_dir, logger=logger).fit()
        logger.summarise({"eval/success_rate": 0.75})
    (run,) = read_offline_run(run_dir)
    assert (run.project, run.name, run.group) == ("tables", "first", "seeds")
    assert run.run_id == (run_dir / "training" / "wandb_id").read_text()
    assert {key: run.config[key] for key in EXPERIMENT} == EXPERIMENT
    assert run.metrics == {"step": "", "*": "step"}
    rows = read_metrics(run_dir)
    assert [row["step"] for row in rows] == [4, 8, 12, 16, 20]
    assert "val/loss" in rows[1]
    told = [{key: value for key, value in row.items() if not key.startswith("_")} for row in run.history]
    assert told == [{key: value for key, value in row.items() if key != "time"} for row in rows]
    assert run.summary["eval/success_rate"] == 0.75


def test_a_resumed_training_goes_on_in_the_same_wandb_run(tmp_path, wandb_home):
    for resume in (False, True):
        with open_logger(OFFLINE, tmp_path, EXPERIMENT) as logger:
            make_trainer(tmp_path, logger=logger).fit(resume=resume)
    first, second = read_offline_run(tmp_path)
    assert first.run_id == second.run_id


def test_a_run_that_a_sweeps_agent_started_has_the_agents_id(tmp_path, wandb_home, monkeypatch):
    monkeypatch.setenv("WANDB_RUN_ID", "agent123")
    with open_logger(OFFLINE, tmp_path, {}) as logger:
        logger.start(0)
        logger.log(1, {"train/loss": 1.0})
    (run,) = read_offline_run(tmp_path)
    assert (run.run_id, run.group) == ("agent123", "seeds")
    assert (tmp_path / "training" / "wandb_id").read_text() == "agent123"


def test_pictures_and_the_checkpoint_reach_wandb(tmp_path, wandb_home):
    save_model(tmp_path, FakeModel(), None, a_manifest())
    Image.new("RGB", (8, 8), "red").save(tmp_path / "strip.png")
    with open_logger(dataclasses.replace(OFFLINE, name=""), tmp_path, {}) as logger:
        logger.start(0)
        logger.log_file(20, "imagined", tmp_path / "strip.png")
        logger.publish_model(tmp_path, ["model.safetensors", "manifest.json"], aliases=("latest", "best"))
    (run,) = read_offline_run(tmp_path)
    assert run.name == tmp_path.name
    assert run.history[0]["step"] == 20
    assert run.history[0]["imagined"]["_type"] == "image-file"
    assert any(path.startswith("media/images/imagined") for path in run.files)
    assert (f"model-{run.run_id}", "model", ("best", "latest")) in run.artifacts


@pytest.mark.parametrize(
    ("losses", "wanted"), [((3.0, 2.0, 1.0), ("best", "latest")), ((3.0, 1.0, 2.0), ("latest",)), ((), ("latest",))]
)
def test_a_checkpoint_is_the_best_when_no_validation_of_its_run_was_better(tmp_path, wandb_home, losses, wanted):
    save_model(tmp_path, FakeModel(), None, a_manifest())
    with open_logger(OFFLINE, tmp_path, {}) as logger:
        logger.start(0)
        for step, loss in enumerate(losses):
            logger.log(step, {"val/loss": loss})
            logger.log(step, {"train/loss": 0.0, "val/other": 0.0})
        logger.log(99, {"val/loss": math.nan})  # no number is no record
        logger.publish_model(tmp_path, ["model.safetensors", "manifest.json"], aliases(tmp_path))
    (run,) = read_offline_run(tmp_path)
    assert [(kind, tuple(sorted(names))) for _, kind, names in run.artifacts] == [("model", wanted)]


def test_seeds_are_one_group_of_several_runs(tmp_path, wandb_home):
    for seed in range(2):
        run_dir = tmp_path / str(seed)
        config = dataclasses.replace(CONFIG, seed=seed, num_steps=4)
        with open_logger(dataclasses.replace(OFFLINE, name=f"seed {seed}"), run_dir, {"train": {"seed": seed}}) as logger:
            make_trainer(run_dir, config, logger=logger).fit()
    runs = [read_offline_run(tmp_path / str(seed))[0] for seed in range(2)]
    assert [(run.group, run.name, run.config["train"]["seed"]) for run in runs] == [
        ("seeds", "seed 0", 0),
        ("seeds", "seed 1", 1),
    ]
    assert runs[0].run_id != runs[1].run_id


def test_wandb_that_does_not_start_is_one_line(tmp_path, wandb_home, monkeypatch):
    def refuse(**_):
        raise UsageError("No API key configured.\nUse `wandb login` to log in.")

    monkeypatch.setattr(wandb, "init", refuse)
    with (
        pytest.raises(WorldModelError, match=r"W&B did not start: No API key configured\. Use .*offline or disabled$"),
        open_logger(OFFLINE, tmp_path, {}) as logger,
    ):
        logger.start(0)


def test_a_record_cut_at_a_block_is_put_together_again():
    big = bytes(range(256)) * 200  # 51,200 bytes: longer than a block
    room = BLOCK - HEADER - PREFIX.size
    content = b"x" * HEADER + PREFIX.pack(0, room, 2) + big[:room] + PREFIX.pack(0, len(big) - room, 4) + big[room:]
    assert list(payloads(content + PREFIX.pack(0, 3, 1) + b"end")) == [big, b"end"]


def test_training_rows_are_those_of_the_configuration(tmp_path):
    make_trainer(tmp_path, dataclasses.replace(CONFIG, log_every=5, val_every=100)).fit()
    assert [row["step"] for row in read_metrics(tmp_path)] == [5, 10, 15, 20]
