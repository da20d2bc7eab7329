"""Worlds that nobody here wrote, from the command line: recorded, trained on, evaluated; what they lack is told in a line."""

from __future__ import annotations

import dataclasses
import importlib.util
import io
import json
from collections.abc import Iterator
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from agents import cli, strict
from agents.console import Screen
from agents.experiment import ExperimentConfig, load_experiment
from agents.inspect import show_run
from agents.training.recorded import RECORDED, best_frame, load_recorded
from agents.training.runs import load_run
from agents.training.stages import with_goals
from worldmodel.data import Dataset
from worldmodel.errors import CheckpointError
from worldmodel.train.checkpoint import read_manifest, write_manifest

CONFIGS = Path(__file__).parents[2] / "configs"
WORLD = "somebody/Slide-v0"

TINY = f"""
env: {{id: {WORLD}, kwargs: {{image_size: 32, max_steps: 8, success_return: -4.0}}}}
record: {{num_episodes: 20, workers: 1, aimed: 0.5, random: 0.5, expert: 0.0, labels: []}}
data: {{val_fraction: 0.2, frame_skip: 2}}
model:
  encoder: {{widths: [8, 8]}}
  predictor: {{width: 16, depth: 1, num_heads: 2}}
train: {{num_steps: 4, batch_size: 8, log_every: 2, val_every: 4, val_batches: 1, num_frames: 3, device: cpu}}
planner:
  elites: {{horizon: 2, num_samples: [8, 8], num_elites: 2}}
  num_recorded_actions: 16
cost: {{name: goal}}
evaluate: {{num_episodes: 2, agents: [random, worldmodel]}}
"""


class Slide(gym.Env):
    """A bright column that actions push; pays minus its distance to the right edge."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012
    observation_space = gym.spaces.Box(-5, 5, (1,), np.float64)
    action_space = gym.spaces.Box(-0.3, 0.3, (1,), np.float64)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x = self.np_random.uniform(-1, 0)
        return np.array([self.x]), {}

    def step(self, action):
        self.x = float(np.clip(self.x + action[0], -1, 1))
        return np.array([self.x]), self.x - 1, False, False, {}

    def render(self):
        picture = np.zeros((32, 32, 3), np.uint8)
        picture[:, int(15.9 * (self.x + 1)) : int(15.9 * (self.x + 1)) + 3] = 255
        return picture


@pytest.fixture(autouse=True, scope="module")
def registered() -> Iterator[None]:
    gym.register(id=WORLD, entry_point=f"{__name__}:Slide")
    yield
    del gym.registry[WORLD]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Configuration, dataset and trained run."""
    root = tmp_path_factory.mktemp("slide")
    config, data, run = root / "slide.yaml", root / "data", root / "run"
    config.write_text(TINY)
    assert cli.main(["record", "--config", str(config), "--out", str(data)]) == 0
    assert cli.main(["train", "--config", str(config), "--data", str(data), "--out", str(run)]) == 0
    return config, data, run


def test_what_is_recorded_is_what_the_world_shows(folders: tuple[Path, Path, Path]) -> None:
    data = Dataset.open(folders[1])
    assert data.spec.env_id == WORLD and set(data.spec.sensors) == {"pixels", "proprio"} and data.label_names == ()
    for number in range(3):
        episode = data.read_episode(number)
        assert episode.num_actions == 8 and episode.truncated and not episode.terminated
        assert episode.success == (episode.rewards.sum() >= -4)
        np.testing.assert_allclose(episode.rewards, episode.observations["proprio"][1:, 0] - 1, atol=1e-6)


def test_the_goal_is_the_best_frame(folders: tuple[Path, Path, Path]) -> None:
    _, root, run_dir = folders
    data, kept = Dataset.open(root), load_recorded(run_dir)
    assert kept is not None
    episode, frame, reward = best_frame(data)
    assert reward == pytest.approx(kept.reward)
    np.testing.assert_array_equal(kept.best()["pixels"], data.read_episode(episode).observations["pixels"][frame])
    assert kept.actions.shape == (16, 2) and len(kept.frames["pixels"]) > 20  # blocks of two actions; frames of many episodes


def test_a_run_without_labels_has_goals_in_place_of_heads(folders: tuple[Path, Path, Path], tmp_path: Path) -> None:
    run = load_run(folders[2])
    assert run.heads is None and run.recorded is not None and RECORDED in run.manifest.checksums
    measured = json.loads((folders[2] / "diagnostics.json").read_text())
    assert {"effective_rank", "action_rank"} <= measured["measures"].keys()
    screen = io.StringIO()
    assert show_run(folders[2], cli.make_env, Screen(screen)) == []
    assert "none, as there are no labels; " in screen.getvalue() and "16 recorded actions" in screen.getvalue()
    broken = tmp_path / "run"
    broken.mkdir()
    for file in folders[2].glob("*.*"):
        (broken / file.name).write_bytes(file.read_bytes())
    content = bytearray((broken / RECORDED).read_bytes())
    content[-1] ^= 1
    (broken / RECORDED).write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged"):
        load_run(broken)
    # a file that the manifest does not name is of another training
    manifest = read_manifest(broken)
    checksums = {name: checksum for name, checksum in manifest.checksums.items() if name != RECORDED}
    write_manifest(broken, dataclasses.replace(manifest, checksums=checksums))
    assert load_run(broken).recorded is None and not with_goals(broken) and with_goals(folders[2])


def test_it_is_scored_by_success_and_return_and_without_a_ceiling(
    folders: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(folders[2])
    assert cli.main(["evaluate", "--run", run]) == 0
    told = capsys.readouterr().out
    assert "success" in told and "return" in told and "no expert: this world has no scripted expert" in told
    found = json.loads((folders[2] / "evaluation.json").read_text())
    assert set(found["agents"]) == {"random", "worldmodel"} and set(found["absent"]) == {"expert"}
    for row in found["episodes"]:
        assert row["num_actions"] == 8 and row["success"] == (row["total_reward"] >= -4)
    assert cli.main(["inspect", run]) == 0
    assert "no expert" in capsys.readouterr().out
    assert cli.main(["evaluate", "--run", run, "evaluate.budget=4", "--episodes", "1"]) == 0


def test_it_is_played_and_filmed(folders: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film = tmp_path / "film.mp4"
    assert cli.main(["play", "--run", str(folders[2]), "--video", str(film)]) == 0
    assert "in 8 steps, return -" in capsys.readouterr().out and film.stat().st_size > 0


def test_the_demo_goes_through_it_once(
    folders: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["demo", "--config", str(folders[0]), "--out", str(tmp_path / "run")]
    assert cli.main(words) == 0
    report = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    for fact in ("2 held\u2011out episodes of somebody/Slide-v0", "No expert: this world has no scripted expert", "return"):
        assert fact in report, fact
    assert (tmp_path / "run" / RECORDED).exists()
    assert "fit the heads" not in capsys.readouterr().out
    assert cli.main(words) == 0
    assert capsys.readouterr().out.count("done already") >= 6


def test_what_a_run_without_heads_cannot_do_is_told(
    folders: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["evaluate", "--run", str(folders[2]), "--agents", "worldmodel:progress"]) == 2
    assert "plan with cost.name=goal" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("env_id", "words"),
    [
        ("CartPole-v1", "Discrete(2)"),
        ("Nowhere-v0", "Nowhere"),
        ("nomodule_at_all:World-v0", "nomodule_at_all, which is not installed: pip install 'worldmodel[worlds]'"),
    ],
)
def test_a_world_that_cannot_be_had_is_one_line(
    env_id: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "world.yaml"
    config.write_text(TINY.replace(WORLD, env_id))
    assert cli.main(["record", "--config", str(config), "--out", str(tmp_path / "data")]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


WORLDS = {
    "inverted_pendulum": ("imageio", "a return of at least 100"),
    "pendulum": ("pygame", "a return of at least -300"),
    "point_mass": ("dm_control", "a return of at least 20"),
    "pointmaze": ("ogbench", 'info["success"]'),
}


def test_the_configurations_are_short_and_these() -> None:
    files = sorted((CONFIGS / "worlds").glob("*.yaml"))
    assert [file.stem for file in files] == sorted(WORLDS)
    for file in files:
        assert len(file.read_text().splitlines()) < 30
        config = load_experiment(file)
        assert config.cost.name == "goal" and config.record.labels == () and config.record.expert == 0
        assert strict.build(ExperimentConfig, strict.to_plain(config), source="again") == config


@pytest.mark.slow
@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.filterwarnings("default")  # other projects' own warnings are theirs
def test_a_configured_world_is_seen_and_repeats_itself(name: str) -> None:
    module, rule = WORLDS[name]
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed: the extra `worlds`")
    config = load_experiment(CONFIGS / "worlds" / f"{name}.yaml")
    worlds = [cli.make_env(config.env) for _ in range(2)]
    episodes = []
    for world in worlds:
        assert world.unwrapped.tells.rule.startswith(rule)  # pyright: ignore[reportAttributeAccessIssue]
        frames = [world.reset(seed=3)[0]]
        rng = np.random.default_rng(0)
        for _ in range(4):
            worlds[0].render()  # whoever draws in between changes nothing
            frames.append(world.step(world.unwrapped.aimed_action(rng))[0])  # pyright: ignore[reportAttributeAccessIssue]
        episodes.append(frames)
    for one, other in zip(*episodes, strict=True):
        np.testing.assert_array_equal(one["pixels"], other["pixels"])
        np.testing.assert_array_equal(one["proprio"], other["proprio"])
    assert episodes[0][0]["pixels"].std() > 1 and np.any(episodes[0][0]["pixels"] != episodes[0][-1]["pixels"])
    if name == "pointmaze":
        goal = worlds[0].unwrapped.goal_observation()  # pyright: ignore[reportAttributeAccessIssue]
        assert goal["pixels"].shape == (64, 64, 3) and goal["proprio"].shape == (2,)
    for world in worlds:
        world.close()
