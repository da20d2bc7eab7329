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


def test_a_components_own_complaint_names_its_key(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("planner:\n  cem: {horizon: 0}\n")
    with pytest.raises(ConfigError, match=r"x\.yaml: planner\.cem: .*horizon"):
        load_experiment(path)
