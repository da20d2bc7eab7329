"""`torchrun -m agents train`: two processes, one run folder, one voice; wrong numbers and lost processes end it with a line."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agents import cli
from agents.training.runs import load_run
from worldmodel.train.logging import read_metrics
from worldmodel.train.sharded_state import find_state

TINY = str(Path(__file__).parents[2] / "configs" / "tiny.yaml")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "agents"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recorded dataset."""
    path = tmp_path_factory.mktemp("torchrun") / "data"
    assert cli.main(["record", "--config", TINY, "--out", str(path), "--episodes", "20"]) == 0
    return path


def start(*words: str) -> subprocess.Popen[str]:
    """`worldmodel WORDS` in two processes."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*TORCHRUN, *words],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.mark.slow
def test_two_processes_leave_one_run_which_one_process_goes_on_with(data: Path, tmp_path: Path) -> None:
    words = ["train", "--config", TINY, "--data", str(data), "--out", str(tmp_path / "run")]
    child = start(*words, "train.parallel.dp_shard=2")
    told = child.communicate(timeout=300)[0]
    assert child.returncode == 0, told
    assert len(re.findall(r"^train: 6/6", told, re.MULTILINE)) == 1 and "Warning" not in told
    run = load_run(tmp_path / "run")
    assert run.heads is not None and run.manifest.step == 6
    assert [row["step"] for row in read_metrics(tmp_path / "run") if "train/loss" in row] == [2, 4, 6]
    # the same run on one process
    alone = tmp_path / "alone"
    assert cli.main([*words[:-1], str(alone)]) == 0
    for mine, yours in zip(read_metrics(tmp_path / "run"), read_metrics(alone), strict=True):
        if "train/loss" in mine:
            assert mine["train/loss"] == pytest.approx(yours["train/loss"], rel=1e-3)  # float32
    # weights that are lost are made again, by one process, from what two have left
    (tmp_path / "run" / "model.safetensors").unlink()
    assert cli.main([*words, "--resume"]) == 0
    for name, tensor in load_run(tmp_path / "run").model.state_dict().items():
        assert tensor.equal(run.model.state_dict()[name]), name


@pytest.mark.slow
def test_a_wrong_number_of_processes_is_one_line(data: Path, tmp_path: Path) -> None:
    child = start("train", "--config", TINY, "--data", str(data), "--out", str(tmp_path), "train.parallel.dp_shard=4")
    told = child.communicate(timeout=120)[0]
    assert child.returncode != 0
    line = "error: train.parallel: dp_shard is 4, and torchrun started 2 processes; start torchrun "
    assert told.count(line) == 1


def worker(parent: int, rank: int) -> int:
    """The process id of a rank, by its environment."""
    for folder in Path("/proc").iterdir():
        try:
            status, words = (folder / "stat").read_text(), (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if f"RANK={rank}".encode() in words and int(status.rpartition(")")[2].split()[1]) == parent:
            return int(folder.name)
    raise AssertionError(f"no process of rank {rank}")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes by /proc")
def test_a_killed_process_ends_the_job_and_what_was_saved_is_gone_on_with(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["train", "--config", TINY, "--data", str(data), "--out", str(run), "train.num_steps=100000"]
    child = start(*words, "train.save_every_seconds=0", "data.val_fraction=0", "train.log_every=1")
    try:
        deadline = time.monotonic() + 200
        while len(read_metrics(run)) < 4:
            assert child.poll() is None and time.monotonic() < deadline, child.communicate()[0]
            time.sleep(0.05)
        os.kill(worker(child.pid, 1), signal.SIGKILL)
        told = child.communicate(timeout=100)[0]
    finally:
        child.terminate()  # its processes as well
        child.communicate(timeout=100)
    assert child.returncode != 0
    assert "error: process 0 of 2 lost another one, which was killed or has failed" in told
    state = find_state(run)
    assert state is not None and state.step >= 3
