"""Settings that came later change nothing where they are not used: a run from before them is still the same run."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from agents import strict
from agents.experiment import ExperimentConfig
from agents.strict import load
from agents.training.shaping import shaping

PLAIN = strict.to_plain(ExperimentConfig())
CHECKPOINT = Path(__file__).parents[3] / "checkpoints/table-clear"


@pytest.mark.parametrize(
    "later", ["objective.target", "objective.variance_coef", "model.context_of", "model.encoder.kind", "data.frame_skip"]
)
def test_a_run_from_before_a_setting_is_still_the_same_run(later: str) -> None:
    old = copy.deepcopy(PLAIN)
    *path, name = later.split(".")
    section = old
    for part in path:
        section = section[part]
    del section[name]
    assert shaping(old) == shaping(PLAIN)
    section[name] = "another"
    assert shaping(old) != shaping(PLAIN)


def test_what_does_not_shape_the_weights_is_left_out() -> None:
    other = copy.deepcopy(PLAIN)
    other["train"]["num_threads"], other["data"]["cache_gb"], other["evaluate"]["num_episodes"] = 1, 2.0, 7
    assert shaping(other) == shaping(PLAIN)


def test_the_shipped_model_is_the_one_that_its_config_makes() -> None:
    manifest = json.loads((CHECKPOINT / "manifest.json").read_text())
    assert shaping(manifest["experiment"]) == shaping(strict.to_plain(load(ExperimentConfig, CHECKPOINT / "config.yaml")))
