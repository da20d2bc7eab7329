"""What several processes need besides a model, seen from one: settings, devices, the state that they leave."""

from __future__ import annotations

import dataclasses
import json
import signal
import warnings
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from train_fakes import CONFIG, FakeWindows, make_trainer

from worldmodel.errors import CheckpointError, ConfigError, LostRankError
from worldmodel.train import device, launch, ranks, sharded_state
from worldmodel.train.device import resolve_device
from worldmodel.train.launch import joined, launched_rank
from worldmodel.train.parallel import Parallel
from worldmodel.train.ranks import Ranks
from worldmodel.train.sharded_state import SHARDED, find_state, has_state, keep_state
from worldmodel.train.state import STATE, TrainingState


@pytest.mark.parametrize(
    ("parallel", "world_size", "shape"),
    [
        (Parallel(), 1, (1, 1)),
        (Parallel(), 4, (4, 1)),
        (Parallel(dp_shard=2), 4, (2, 2)),
        (Parallel(2, 2), 4, (2, 2)),
        (Parallel(dp_replicate=1, dp_shard=4), 4, (1, 4)),
    ],
)
def test_copies_and_shards_are_as_many_as_processes(parallel: Parallel, world_size: int, shape: tuple[int, int]) -> None:
    assert parallel.shape(world_size) == shape


@pytest.mark.parametrize(
    ("parallel", "world_size", "message"),
    [
        (Parallel(2, 2), 2, r"dp_replicate x dp_shard is 2 x 2 = 4, and torchrun started 2 processes; .*--nproc-per-node 4 "),
        (Parallel(dp_shard=2), 1, r"dp_shard is 2, and this is one process; start torchrun .*--nproc-per-node 2 "),
        (Parallel(dp_shard=3), 4, r"dp_shard is 3, and torchrun started 4 processes"),
        (Parallel(dp_replicate=2), 1, r"dp_replicate x dp_shard is 2 x 1 = 2, and this is one process"),
    ],
)
def test_other_numbers_are_refused_in_one_line(parallel: Parallel, world_size: int, message: str) -> None:
    with pytest.raises(ConfigError, match=f"train.parallel: {message}") as caught:
        parallel.shape(world_size)
    assert "\n" not in str(caught.value)


def test_there_is_one_process_at_least() -> None:
    with pytest.raises(ConfigError, match="dp_shard is 0; expected at least 1"):
        Parallel(dp_shard=0)
    with pytest.raises(ConfigError, match="dp_replicate is 0"):
        Parallel(dp_replicate=0)


def test_a_trainer_of_one_process_refuses_shards(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="this is one process"):
        make_trainer(tmp_path, dataclasses.replace(CONFIG, parallel=Parallel(dp_shard=2)))


def test_one_process_alone_decides_for_itself() -> None:
    alone, values = Ranks(), torch.tensor([1.0, float("nan")])
    assert alone.first and alone.mean(values) is values and alone.largest(3, 0) == [3, 0] and alone.same("a") == "a"
    assert alone.seed(5) == 5
    window = FakeWindows().batch(np.arange(3))
    assert alone.gather(window) is window
    with alone.first_then_others():
        alone.wait()
    with pytest.raises(RuntimeError, match="gloo"), alone.watch():
        raise RuntimeError("gloo is a word here")


def test_ranks_draw_apart_and_in_the_same_way_each_time() -> None:
    second = Ranks()
    second.rank, second.world_size = 1, 2
    assert second.seed(5) == second.seed(5) != 5
    assert len({second.seed(5), second.seed(6), second.seed(5, step=3)}) == 3
    torch.Generator().manual_seed(second.seed(2**63 - 1))


def test_a_lost_process_is_told_and_other_errors_are_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = []
    monkeypatch.setattr(ranks.signal, "signal", lambda *words: changed.append(words))
    second = Ranks()
    second.rank, second.world_size = 1, 2
    with (
        pytest.raises(LostRankError, match=r"process 1 of 2 lost another one.*Connection closed by peer.*--resume"),
        second.watch(),
    ):
        raise RuntimeError("[../third_party/gloo/gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:9\nmore")
    with pytest.raises(RuntimeError, match="out of memory"), second.watch():
        raise RuntimeError("out of memory")
    assert changed == [(signal.SIGTERM, signal.SIG_IGN)]  # torchrun's, so that there is time to tell


def test_each_process_has_the_gpu_of_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("auto") == torch.device("cuda")
    monkeypatch.setattr(device, "num_ranks", lambda: 4)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert resolve_device("auto") == resolve_device("cuda") == torch.device("cuda", 1)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(ConfigError, match=r"process 2 of this .* no GPU of its own, there are 2; .*--nproc-per-node 2"):
        resolve_device("cuda")
    assert resolve_device("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert resolve_device("auto") == torch.device("cpu")
    with pytest.raises(ConfigError, match="device 'mps' is not available to 4 processes; choose auto or cpu"):
        resolve_device("mps")


def test_torchrun_is_known_by_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in launch.ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    assert launched_rank() == 0
    with joined() as alone:
        assert alone.world_size == 1
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert launched_rank() == 1
    with pytest.raises(ConfigError, match="WORLD_SIZE is 2, and LOCAL_RANK, MASTER_ADDR, MASTER_PORT is not set"), joined():
        pass
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert launched_rank() == 0


def state(step: int) -> TrainingState:
    tensors = {"model.a": torch.arange(6.0).reshape(3, 2), "generator.torch": torch.get_rng_state(), "s": torch.tensor(step)}
    return TrainingState(step, '{"consumed": 1}', {"loss": 0.5}, {"train": {"lr": 1.0}}, tensors, 2.5)


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> Ranks:
    """One process that writes as if there were another one: alone, torch.distributed.checkpoint writes all of it."""
    monkeypatch.setattr(ranks.dist, "barrier", lambda *_: None)
    monkeypatch.setattr(ranks.dist, "broadcast_object_list", lambda *_, **__: None)
    found = Ranks()
    found.world_size = 2
    return found


def keep(run_dir: Path, step: int, by: Ranks) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that torch.distributed is not there
        keep_state(run_dir, state(step), by)


def test_a_state_of_several_replaces_that_of_one_and_the_other_way_round(tmp_path: Path, two: Ranks) -> None:
    assert find_state(tmp_path) is None and not has_state(tmp_path)
    for by, there, gone in ((Ranks(), STATE, SHARDED), (two, SHARDED, STATE), (two, SHARDED, STATE), (Ranks(), STATE, SHARDED)):
        keep(tmp_path, 4, by)
        found, wanted = find_state(tmp_path), state(4)
        assert found is not None and has_state(tmp_path)
        assert (found.step, found.sampler, found.sums, found.identity, found.cpu_seconds) == (
            wanted.step, wanted.sampler, wanted.sums, wanted.identity, wanted.cpu_seconds
        )  # fmt: skip
        assert found.tensors.keys() == wanted.tensors.keys()
        assert all(torch.equal(found.tensors[name], value) for name, value in wanted.tensors.items())
        assert (tmp_path / there).exists() and not (tmp_path / gone).exists()
        assert len(list((tmp_path / "training").glob("step-*"))) == (by is two)


def test_of_two_states_that_a_kill_left_the_later_one_counts(tmp_path: Path, two: Ranks) -> None:
    for first, second in ((3, 5), (5, 3)):
        folder = tmp_path / f"{first}"
        keep(folder / "a", first, Ranks())
        keep(folder / "b", second, two)
        (folder / "a" / STATE).rename(folder / "b" / STATE)
        found = find_state(folder / "b")
        assert found is not None and found.step == 5


def test_a_state_that_was_not_published_does_not_count(tmp_path: Path, two: Ranks, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(tmp_path, 1, two)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sharded_state, "write_atomic", killed)
        with pytest.raises(KeyboardInterrupt):
            keep(tmp_path, 2, two)
    found = find_state(tmp_path)
    assert found is not None and found.step == 1
    keep(tmp_path, 3, two)
    assert len(list((tmp_path / "training").glob("step-*"))) == 1  # what the kill left is gone


def test_a_damaged_state_of_several_is_one_line(tmp_path: Path, two: Ranks) -> None:
    keep(tmp_path, 1, two)
    file = next((tmp_path / "training").glob("step-*/*.safetensors"))
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(CheckpointError, match=r"is damaged: its checksum is not the one in sharded.json; delete .*training"):
        find_state(tmp_path)
    file.unlink()
    with pytest.raises(CheckpointError, match=r"safetensors is missing, though .*sharded.json names it"):
        find_state(tmp_path)
    pointer = tmp_path / SHARDED
    facts = json.loads(pointer.read_text())
    pointer.write_text(json.dumps({name: value for name, value in facts.items() if name != "folder"}))
    with pytest.raises(CheckpointError, match="is damaged"):
        find_state(tmp_path)
    pointer.write_text("{")
    with pytest.raises(CheckpointError, match="is damaged"):
        find_state(tmp_path)


def test_nothing_in_a_state_of_several_is_pickled(tmp_path: Path, two: Ranks) -> None:
    keep(tmp_path, 1, two)
    files = [file for file in (tmp_path / "training").rglob("*") if file.is_file()]
    assert {file.suffix for file in files} == {".json", ".safetensors"}
    for file in files:
        if file.suffix == ".safetensors":
            safetensors.torch.load_file(file)
