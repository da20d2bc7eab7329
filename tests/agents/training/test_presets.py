"""Every preset is a short file that is read strictly, and goes all the way from recordings to a score; so does every sweep."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from agents import cli
from agents.experiment import ExperimentConfig, load_experiment
from agents.sweep.space import load_sweep, trials_of
from agents.training.runs import load_run

CONFIGS = Path(__file__).parents[3] / "configs"
PRESETS = {path.stem: path for path in sorted((CONFIGS / "presets").glob("*.yaml"))}
SWEEPS = sorted((CONFIGS / "sweeps").glob("*.yaml"))
FROZEN = {"dino_wm": "pixels", "vjepa2_ac": "pixels,proprio"}
"""Presets that begin with a pretrained encoder, and what it sees."""

SMALL: tuple[str, ...] = (
    "env.kwargs.robot=gantry", "env.kwargs.num_objects=2", "data.val_fraction=0.2", "train.num_steps=2", "train.batch_size=4",
    "train.val_batches=1", "heads.num_labelled_frames=40", "heads.progress_steps=20", "heads.batch_size=8",
    "planner.elites.num_samples=[8,8]", "planner.elites.num_proposals=4", "planner.num_recorded_actions=16",
)  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("presets") / "data"
    words = ["record.num_episodes=30", "record.aimed=0", "record.random=1", "record.expert=0", "env.kwargs.max_sweeps=8"]
    assert cli.main(["record", "--config", str(CONFIGS / "tiny.yaml"), "--out", str(root), *words]) == 0
    return root


def test_the_presets_are_these_and_short() -> None:
    assert set(PRESETS) == {"ours", "lewm", "dino_wm", "pldm", "vjepa2_ac"}
    for path in PRESETS.values():
        assert len(path.read_text().splitlines()) < 40


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_trains_plans_and_is_scored(name: str, data: Path, tmp_path: Path) -> None:
    words = list(SMALL)
    if name in FROZEN:
        before = tmp_path / "pretrained"
        pretrain = [*SMALL[2:6], f"model.sensors=[{FROZEN[name]}]"]
        config = str(CONFIGS / "pretrain_masked.yaml")
        pretrained = load_experiment(Path(config), pretrain).model.encoder
        assert load_experiment(PRESETS[name]).model.encoder == dataclasses.replace(pretrained, frozen=True)
        assert cli.main(["train", "--config", config, "--data", str(data), "--out", str(before), *pretrain]) == 0
        words.append(f"train.init_from={before}")
    run = tmp_path / "run"
    assert cli.main(["train", "--config", str(PRESETS[name]), "--data", str(data), "--out", str(run), *words]) == 0
    found = tmp_path / "scores.json"
    assert cli.main(["evaluate", "--run", str(run), "--episodes", "1", "--json", str(found)]) == 0
    assert set(json.loads(found.read_text())["agents"]) == {"random", "worldmodel", "expert"}
    model = load_run(run).model
    assert model.encoder.num_tokens == {"lewm": 1, "pldm": 1, "vjepa2_ac": 65}.get(name, 64)
    assert model.config.context_length == (1 if name in ("ours", "pldm") else 3)


def test_presets_are_compared_on_one_task_with_one_budget_for_heads_and_on_other_starts_than_the_reported_ones() -> None:
    configs = [load_experiment(path) for path in PRESETS.values()]
    for part in ("env", "heads", "planner", "cost", "evaluate"):
        assert all(getattr(config, part) == getattr(configs[0], part) for config in configs)
    assert configs[0].evaluate.seed > 0 and configs[0].evaluate.num_episodes == 100


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_every_sweep_is_of_two_seeds_at_one_price_and_names_itself(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CONFIGS.parent)
    sweep = load_sweep(path)
    trials = trials_of(sweep)
    groups = {trial.group for trial in trials}
    assert len(trials) == 2 * len(groups) and len(groups) >= 2
    assert {trial.experiment.train.max_cpu_seconds for trial in trials} == {480}
    assert {trial.experiment.train.seed for trial in trials} == {0, 1}
    assert all(trial.experiment.evaluate.seed > 0 for trial in trials)
    assert f"configs/sweeps/{path.name}" in sweep.command and "${args_no_hyphens}" in sweep.command


def test_every_ablation_has_our_default_among_its_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CONFIGS.parent)
    assert {path.stem for path in SWEEPS} == {
        "presets", "tokens", "normalisation", "rollout", "regulariser", "inverse_dynamics", "actions", "sensors",
        "pretraining", "touch",
    }  # fmt: skip

    def shape(experiment: ExperimentConfig) -> tuple[object, ...]:
        return experiment.model, experiment.objective, experiment.train

    presets = trials_of(load_sweep(CONFIGS / "sweeps" / "presets.yaml"))
    ours = [shape(trial.experiment) for trial in presets if trial.group == "ours"]
    for path in SWEEPS:
        found = [shape(trial.experiment) for trial in trials_of(load_sweep(path))]
        assert all(one in found for one in ours)
