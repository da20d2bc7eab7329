"""The checkpoint folder: the same weights come back, and damage is one clear line."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn
from train_fakes import FakeModel, a_manifest

from worldmodel.errors import CheckpointError
from worldmodel.train.checkpoint import load_checkpoint, load_weights, read_manifest, save_model, write_manifest


@pytest.fixture
def run_dir(tmp_path):
    save_model(tmp_path / "run", FakeModel(seed=1), nn.Linear(2, 2), a_manifest())
    return tmp_path / "run"


def test_weights_come_back_bit_for_bit(run_dir):
    checkpoint = load_checkpoint(run_dir)
    model = FakeModel(seed=2)
    load_weights(model, checkpoint.model, "here")
    for name, value in FakeModel(seed=1).state_dict().items():
        assert torch.equal(model.state_dict()[name], value)
    assert checkpoint.heads is not None and set(checkpoint.heads) == {"weight", "bias"}
    assert set(checkpoint.manifest.checksums) == {"model.safetensors", "heads.safetensors"}
    assert not list(run_dir.glob("*.part"))


def test_saving_without_heads_forgets_the_old_ones(run_dir):
    save_model(run_dir, FakeModel(), None, a_manifest())
    assert load_checkpoint(run_dir).heads is None
    assert not (run_dir / "heads.safetensors").exists()


def test_an_evaluation_is_added_without_touching_the_weights(run_dir):
    result = {"protocol": {"hash": "abc"}, "agents": {"random": {"n": 3}}}
    write_manifest(run_dir, dataclasses.replace(read_manifest(run_dir), evaluations=(result,)))
    assert load_checkpoint(run_dir).manifest.evaluations == (result,)


def one_line(run_dir) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(run_dir)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_missing_folder_and_a_folder_that_is_no_checkpoint(tmp_path):
    assert "no such folder" in one_line(tmp_path / "nothing")
    assert "is no checkpoint: it has no manifest.json; finish its training first" in one_line(tmp_path)
    (tmp_path / "meta").mkdir()
    assert "is no checkpoint: it is a dataset" in one_line(tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "heads.safetensors"])
def test_damaged_and_missing_weights(run_dir, name):
    content = bytearray((run_dir / name).read_bytes())
    content[-1] ^= 1
    (run_dir / name).write_bytes(content)
    assert f"{name} is damaged" in one_line(run_dir)
    (run_dir / name).write_bytes(content[:20])
    assert f"{name} is damaged" in one_line(run_dir)
    (run_dir / name).unlink()
    assert f"{name} is missing" in one_line(run_dir) and one_line(run_dir).endswith("or train again")


def test_weights_of_another_model_are_refused(run_dir):
    weights = load_checkpoint(run_dir).model
    with pytest.raises(CheckpointError, match=r"here: weights 'encoder.weight' .* shape: \(8, 3\) expected, \(8, 4\) got"):
        load_weights(FakeModel(), {**weights, "encoder.weight": torch.zeros(8, 4)}, "here")
    with pytest.raises(CheckpointError, match="unknown weights 'more'"):
        load_weights(FakeModel(), {**weights, "more": torch.zeros(1)}, "here")
    with pytest.raises(CheckpointError, match=r"lacks the weights 'encoder.bias'"):
        load_weights(FakeModel(), {k: v for k, v in weights.items() if k != "encoder.bias"}, "here")


def test_a_crash_between_the_files_is_refused_rather_than_mixed(run_dir, monkeypatch):
    monkeypatch.setattr("worldmodel.train.checkpoint.write_manifest", lambda *_: (_ for _ in ()).throw(OSError("power cut")))
    with pytest.raises(OSError, match="power cut"):
        save_model(run_dir, FakeModel(seed=5), nn.Linear(2, 2), a_manifest())
    assert "is damaged" in one_line(run_dir)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "run").write_text("a file where a folder should be")
    with pytest.raises(CheckpointError, match=r"cannot write .*choose another folder"):
        save_model(tmp_path / "run", FakeModel(), None, a_manifest())


def test_the_targets_weights_stay_when_heads_come_and_go_with_another_model(tmp_path) -> None:
    manifest = save_model(tmp_path, FakeModel(), None, a_manifest(), target=FakeModel(seed=3))
    save_model(tmp_path, FakeModel(), nn.Linear(2, 2), manifest)
    target = load_checkpoint(tmp_path).target
    assert target is not None and target["encoder.weight"].equal(FakeModel(seed=3).state_dict()["encoder.weight"])
    save_model(tmp_path, FakeModel(seed=5), None, a_manifest())
    assert load_checkpoint(tmp_path).target is None and not (tmp_path / "target.safetensors").exists()
