"""From films without actions to an agent: masked pretraining, then what actions do on top of it."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agents import cli, strict
from agents.experiment import CostConfig, ExperimentConfig, load_experiment
from agents.recording.record import RecordConfig, record
from agents.report.write import write_report
from agents.training import stages
from agents.training.measure import measure
from agents.training.runs import Run, build_agent, load_run
from tests.fakes import LineWorld
from worldmodel.data import Dataset, DatasetWriter, finalize
from worldmodel.errors import CheckpointError
from worldmodel.progress import NoProgress
from worldmodel.train.checkpoint import load_checkpoint
from worldmodel.types import ActionSpec

ENCODER = {"kind": "vit", "grid": 2, "token_dim": 4, "vit": {"width": 16, "depth": 1, "num_heads": 2}}
PRETRAIN = {
    "prediction_coef": 0.0,
    "rollout_coef": 0.0,
    "masked_coef": 1.0,
    "masked": {"width": 16, "depth": 1, "num_heads": 2},
}
QUIET = NoProgress()


def config(objective: dict[str, Any], train: dict[str, Any], encoder: dict[str, Any], **model: Any) -> ExperimentConfig:
    values = {
        "data": {"val_fraction": 0.25},
        "model": {
            "encoder": ENCODER | encoder,
            "predictor": {"width": 16, "depth": 1, "num_heads": 2, "cond_dim": 8, "action_width": 8},
            **model,
        },
        "objective": objective,
        "train": {"num_steps": 4, "batch_size": 4, "num_frames": 3, "val_batches": 1, "device": "cpu", **train},
        "heads": {
            "num_labelled_frames": 40, "num_unlabelled_frames": 0, "progress_steps": 20, "progress_width": 8,
            "picture_steps": 20, "max_steps_ahead": 1,
        },
        "planner": {"elites": {"horizon": 2, "num_samples": [8, 8], "num_proposals": 4}, "num_recorded_actions": 16},
        "logging": {"wandb": "disabled"},
    }  # fmt: skip
    return strict.build(ExperimentConfig, values)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "lines"
    settings = RecordConfig(num_episodes=24, workers=1, aimed=0.0, random=1.0, expert=0.0)
    record(partial(LineWorld, 3, 6), settings, root)
    return root


@pytest.fixture(scope="module")
def films(data: Path) -> Path:
    """The same frames as a film: one action of a single zero, and no labels."""
    recorded, root = Dataset.open(data), data.parent / "films"
    none = ActionSpec(names=("none",), low=(-1.0,), high=(1.0,))
    sensors = {"pixels": recorded.spec.sensors["pixels"]}
    spec = dataclasses.replace(recorded.spec, env_id="", sensors=sensors, action=none, control_mode="none")
    with DatasetWriter(root, spec, fps=1.0) as writer:
        for number in range(recorded.num_episodes):
            episode = recorded.read_episode(number)
            actions = np.zeros((episode.num_actions, 1), np.float32)
            observations = {"pixels": episode.observations["pixels"]}
            writer.add(dataclasses.replace(episode, observations=observations, actions=actions, labels={}))
    finalize(root)
    return root


@pytest.fixture(scope="module")
def pretrained(films: Path) -> Path:
    run_dir = films.parent / "pretrained"
    experiment = config(PRETRAIN | {"target": "ema", "sigreg_coef": 0.0}, {}, {})
    stages.fit_model(experiment, films, run_dir, resume=False, progress=QUIET)
    assert stages.trained(experiment, films, run_dir)
    return run_dir


def weights(run_dir: Path) -> dict[str, torch.Tensor]:
    return load_run(run_dir).model.state_dict()


def assert_acts(run: Run) -> None:
    """Its agent's first action is one of the world's."""
    env = LineWorld(3, 6)
    agent = build_agent(run, run.experiment().planner, run.experiment().cost, env)
    agent.reset([0])
    observation, _ = env.reset(seed=5)
    assert env.action_space.contains(agent.act({key: value[None] for key, value in observation.items()})[0])


def test_pretraining_on_films_leaves_a_run_whose_encoder_has_learned(pretrained: Path) -> None:
    run = load_run(pretrained)
    assert run.heads is None and run.manifest.spec.control_mode == "none"
    assert int(run.model.encoder.norm.num_updates) == 4  # type: ignore[arg-type, union-attr]


@pytest.mark.parametrize("frozen", [True, False])
def test_posttraining_begins_with_the_pretrained_encoder(pretrained: Path, data: Path, tmp_path: Path, frozen: bool) -> None:
    experiment = config({"sigreg_coef": 0.0}, {"init_from": str(pretrained)}, {"frozen": frozen})
    stages.fit_model(experiment, data, tmp_path, resume=False, progress=QUIET)
    before, after = weights(pretrained), weights(tmp_path)
    same = [torch.equal(before[name], after[name]) for name in before if name.startswith("encoder.")]
    assert all(same) if frozen else not any(same)
    assert before["predictor.frame_action.mlp.0.weight"].shape == (16, 1)  # of no use here, and not taken
    assert after["predictor.frame_action.mlp.0.weight"].shape == (16, 2)
    stages.fit_heads_of(experiment, data, tmp_path, progress=QUIET)
    assert_acts(load_run(tmp_path))


def test_the_ema_target_is_kept_and_can_be_begun_with(pretrained: Path, data: Path, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(pretrained)
    assert checkpoint.target is not None and checkpoint.target.keys() == {
        name.removeprefix("encoder.") for name in checkpoint.model if name.startswith("encoder.")
    }
    assert not torch.equal(checkpoint.target["out.weight"], checkpoint.model["encoder.out.weight"])
    experiment = config({"sigreg_coef": 0.0}, {"init_from": str(pretrained), "init_encoder": "target"}, {"frozen": True})
    stages.fit_model(experiment, data, tmp_path, resume=False, progress=QUIET)
    after = weights(tmp_path)
    assert all(torch.equal(after[f"encoder.{name}"], value) for name, value in checkpoint.target.items())
    assert load_checkpoint(tmp_path).target is None and not (tmp_path / "target.safetensors").exists()


def test_another_start_is_another_run(pretrained: Path, data: Path, tmp_path: Path) -> None:
    experiment = config({"sigreg_coef": 0.0}, {"init_from": str(pretrained)}, {})
    stages.fit_model(experiment, data, tmp_path, resume=False, progress=QUIET)
    assert stages.trained(experiment, data, tmp_path)
    assert not stages.trained(config({"sigreg_coef": 0.0}, {}, {}), data, tmp_path)


def test_a_sensor_that_comes_later_starts_anew_but_not_in_a_frozen_encoder(
    pretrained: Path, data: Path, tmp_path: Path
) -> None:
    sensors = {"sensors": ["pixels", "state"]}
    with pytest.raises(CheckpointError, match=r"model\.encoder\.frozen is true, and .* has no weights for encoder\.sensors"):
        frozen = config({}, {"init_from": str(pretrained)}, {"frozen": True}, **sensors)
        stages.fit_model(frozen, data, tmp_path / "no", resume=False, progress=QUIET)
    free = config({}, {"init_from": str(pretrained), "num_steps": 1, "learning_rate": 1e-12}, {}, **sensors)
    stages.fit_model(free, data, tmp_path / "yes", resume=False, progress=QUIET)
    before, after = weights(pretrained), weights(tmp_path / "yes")
    torch.testing.assert_close(after["encoder.out.weight"], before["encoder.out.weight"])


def test_another_encoder_is_refused(pretrained: Path, data: Path, tmp_path: Path) -> None:
    for encoder, message in (({"token_dim": 8}, r"has another encoder \(encoder\.out\.weight: \(8, 16\) expected, \(4, 16\)"),
                             ({"kind": "conv", "widths": [8, 8], "stem_stride": 2}, "no weights in common")):  # fmt: skip
        with pytest.raises(CheckpointError, match=message):
            experiment = config({}, {"init_from": str(pretrained)}, encoder)
            stages.fit_model(experiment, data, tmp_path / "no", resume=False, progress=QUIET)
    with pytest.raises(CheckpointError, match="no such folder"):
        experiment = config({}, {"init_from": str(tmp_path / "nowhere")}, {})
        stages.fit_model(experiment, data, tmp_path / "no", resume=False, progress=QUIET)


def test_a_predictor_that_learned_inferred_actions_goes_on_with_recorded_ones(data: Path, tmp_path: Path) -> None:
    first = config({"actions": "inferred"}, {}, {})
    stages.fit_model(first, data, tmp_path / "first", resume=False, progress=QUIET)
    still = config({}, {"init_from": str(tmp_path / "first"), "num_steps": 1, "learning_rate": 1e-12}, {})
    stages.fit_model(still, data, tmp_path / "still", resume=False, progress=QUIET)
    before, after = weights(tmp_path / "first"), weights(tmp_path / "still")
    assert any(name.startswith("predictor.") for name in before) and not any("latent_actions" in name for name in before)
    for name, value in before.items():
        if "norm." not in name:
            torch.testing.assert_close(after[name], value)


def test_the_command_line_ends_where_such_a_model_cannot_plan(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "inferred.yaml"
    strict.dump(config({"actions": "inferred"}, {}, {}), path)
    assert cli.main(["train", "--config", str(path), "--data", str(data), "--out", str(tmp_path / "run")]) == 0
    told = capsys.readouterr().out
    assert "its predictor goes by inferred actions, and no heads yet; train on with train.init_from=" in told
    assert load_run(tmp_path / "run").heads is None


def test_a_pretraining_has_no_agent(pretrained: Path, data: Path, tmp_path: Path) -> None:
    """Whatever it is asked to plan for: nothing that it knows is what the robot's actions do."""
    stages.fit_model(config({"actions": "inferred"}, {}, {}), data, tmp_path, resume=False, progress=QUIET)
    for run_dir, lacking in ((tmp_path, "goes by inferred actions"), (pretrained, "has no trained predictor")):
        run = load_run(run_dir)
        for cost in ("progress", "goal"):
            with pytest.raises(CheckpointError, match=rf"cannot plan: it.* {lacking}; train on with train\.init_from="):
                build_agent(run, run.experiment().planner, CostConfig(name=cost), LineWorld(3, 6))


def test_the_two_configurations_have_one_encoder() -> None:
    one, two = (load_experiment(Path("configs") / f"{name}.yaml") for name in ("pretrain_masked", "posttrain"))
    assert dataclasses.replace(two.model.encoder, frozen=False) == one.model.encoder and two.model.encoder.frozen
    assert not one.objective.predicts and two.objective.predicts and two.train.init_from == "runs/pretrained"


@pytest.mark.parametrize("output", ["vector", "pooled"])
def test_a_latent_without_places_has_heads_and_an_agent(data: Path, tmp_path: Path, output: str) -> None:
    experiment = config({}, {}, {"output": output, "num_pooled": 3, "token_dim": 8})
    stages.fit_model(experiment, data, tmp_path, resume=False, progress=QUIET)
    stages.fit_heads_of(experiment, data, tmp_path, progress=QUIET)
    run = load_run(tmp_path)
    assert_acts(run)
    assert run.heads is not None
    picture = run.heads.picture.draw(torch.zeros(2, 1 if output == "vector" else 3, 8))
    assert picture.shape == (2, 8, 8, 3)


def test_a_model_without_a_camera_is_measured_reported_and_acts(data: Path, tmp_path: Path) -> None:
    experiment = config({}, {}, {"output": "vector", "token_dim": 8}, sensors=["state"])
    stages.fit_model(experiment, data, tmp_path, resume=False, progress=QUIET)
    stages.fit_heads_of(experiment, data, tmp_path, progress=QUIET)
    assert "position_cm_0" in measure(experiment, data, tmp_path)
    assert write_report(tmp_path).stat().st_size > 1000
    run = load_run(tmp_path)
    assert_acts(run)
