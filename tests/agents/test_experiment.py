"""The shipped experiment files are whole, and an experiment survives its way through a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents import strict
from agents.experiment import ExperimentConfig, load_experiment
from agents.planners import PLANNERS
from worldmodel.errors import ConfigError

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_file_is_read_strictly(path: Path, tmp_path: Path) -> None:
    config = load_experiment(path)
    strict.dump(config, tmp_path / "config.yaml")
    assert load_experiment(tmp_path / "config.yaml") == config


def test_the_files_of_the_manual_are_there() -> None:
    assert {"demo", "full", "tiny"} <= {path.stem for path in CONFIGS.glob("*.yaml")}


def test_overrides_reach_every_component(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("")
    words = (
        "env.kwargs.robot=gantry record.num_episodes=3 data.val_fraction=0.5 model.encoder.token_dim=8 objective.sigreg_coef=1 "
        "train.betas=[0.5,0.6] heads.picture_steps=0 planner.name=mppi planner.mppi.horizon=1 cost.name=goal "
        "evaluate.agents=[random] logging.wandb=offline"
    )
    config = load_experiment(path, words.split())
    assert config.env.kwargs == {"robot": "gantry"}
    assert config.record.num_episodes == 3
    assert config.data.val_fraction == 0.5
    assert config.model.encoder.token_dim == 8
    assert config.objective.sigreg_coef == 1.0
    assert config.train.betas == (0.5, 0.6)
    assert config.heads.picture_steps == 0
    assert config.planner.chosen == config.planner.mppi and config.planner.chosen.horizon == 1
    assert config.cost.name == "goal"
    assert config.evaluate.agents == ("random",)
    assert config.logging.wandb == "offline"


def test_every_planner_can_be_chosen() -> None:
    for name, (config_class, _) in PLANNERS.items():
        chosen = strict.build(ExperimentConfig, {"planner": {"name": name}}).planner.chosen
        assert type(chosen) is config_class


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("train.num_frames=2", "x.yaml and command line: train.num_frames is 2; expected at least 3, one more"),
        ("objective.rollout_steps=3", "x.yaml and command line: train.num_frames is 3; expected at least 4"),
        (
            "env.kwargs.max_sweeps=1",
            "x.yaml and command line: train.num_frames is 3, but an episode of env.kwargs.max_sweeps 1 has 2 frames",
        ),
        (
            "heads.max_steps_ahead=5 env.kwargs.max_sweeps=4",
            "command line: heads.max_steps_ahead is 5, which needs 6 frames, but an episode of env.kwargs.max_sweeps 4 has 5",
        ),
        ("model.context_length=3", "x.yaml and command line: train.num_frames is 3; expected at least 4, one more than model"),
        ("model.encoder.frozen=true", "x.yaml and command line: model.encoder.frozen is true, and train.init_from is null"),
        ("train.init_encoder=target", "x.yaml and command line: train.init_encoder is target, and train.init_from is null"),
        (
            "objective.prediction_coef=0 objective.rollout_coef=0 objective.sigreg_coef=0",
            "command line: objective: every weight is 0: nothing would be learned",
        ),
        ('objective.masked.masks=[{"num_blocks":2,"sclae":0.9}]', "unknown key 'objective.masked.masks[0].sclae'"),
        ('data.mixture=[{"path":"D","wieght":1}]', "command line: unknown key 'data.mixture[0].wieght'; did you mean"),
        ("objective.masked.masks=[]", "command line: objective.masked: masks is []"),
        ("objective.masked.width=20", "command line: objective.masked: width is 20; expected a multiple of 8"),
        ("evaluate.seed=-1", "x.yaml and command line: evaluate.seed is -1; expected a whole number from 0"),
        ("evaluate.agents=[]", "x.yaml and command line: evaluate.agents is empty"),
        ("model.predictor.num_heads=5", "command line: model.predictor: width is 96; expected a multiple of 10"),
        ("model.predictor.merge=3", "model: predictor.merge 3 does not divide the grid of 8 places"),
        ("model.encoder.widths=[0]", "command line: model.encoder: widths is [0]"),
        ("objective.sigreg.num_knots=1", "command line: objective.sigreg: num_knots is 1; expected at least 2"),
        ("train.learning_rate=0", "command line: train: learning_rate is 0.0; expected more than 0"),
        ("train.batch_size=1", "command line: train: batch_size is 1; expected at least 2"),
        ("heads.num_labelled_frames=5", "command line: heads: num_labelled_frames is 5; expected at least 20"),
        ("data.val_fraction=1", "command line: data: val_fraction is 1.0; expected a number in [0, 1)"),
        ("data.stride=0", "command line: data: stride is 0"),
        ("record.fps=0", "command line: record: fps is 0.0"),
        ("planner.num_recorded_actions=-1", "command line: planner: num_recorded_actions is -1"),
        ("planner.decision_seconds=0", "command line: planner: decision_seconds is 0.0; expected more than 0"),
        ("planner.elites.std_decay=0", "command line: planner.elites: std_decay is 0.0"),
        ("cost.progress.discount=2", "command line: cost.progress: floor_coef must be"),
    ],
)
def test_an_impossible_setting_is_one_line_when_it_is_read(tmp_path: Path, words: str, expected: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("")
    with pytest.raises(ConfigError) as caught:
        load_experiment(path, words.split())
    assert expected in str(caught.value) and "\n" not in str(caught.value)


def test_parts_that_just_fit_each_other_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("")
    load_experiment(path, ("train.num_frames=2", "objective.rollout_coef=0", "env.kwargs.max_sweeps=2"))
    load_experiment(path, ("model.context_length=2", "train.num_frames=3", "env.kwargs.max_sweeps=2"))
    pretraining = ("objective.prediction_coef=0", "objective.rollout_coef=0", "objective.masked_coef=1")
    load_experiment(path, (*pretraining, "model.context_length=3"))  # films know no context
    load_experiment(path, ("train.num_frames=5", "heads.max_steps_ahead=4", "env.kwargs.max_sweeps=4", "data.val_fraction=0"))
    assert strict.build(ExperimentConfig, {"env": {"kwargs": {"max_sweeps": 1}}}).train.num_frames == 3  # to evaluate there


def test_a_components_own_complaint_names_its_key(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("planner:\n  cem: {horizon: 0}\n")
    with pytest.raises(ConfigError, match=r"x\.yaml: planner\.cem: .*horizon"):
        load_experiment(path)
