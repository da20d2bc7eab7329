"""Recording a small world: the same episodes whoever records them, and after any interruption."""

from __future__ import annotations

import json
import os
import signal
from functools import partial
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from agents.evaluation.protocol import recording_seed
from agents.experiment import load_experiment
from agents.recording.record import RecordConfig, missing_episodes, play_recorded, record
from tests.agents.recording.deadly import Deadly
from tests.fakes import LineWorld
from worldmodel.data import Dataset, VideoConfig
from worldmodel.errors import ConfigError, DataError, MismatchError

CONFIG = RecordConfig(num_episodes=12, seed=3, workers=1, episodes_per_shard=4)


def changed(**values) -> RecordConfig:
    return RecordConfig(**{**vars(CONFIG), **values})


class Listening:
    """Notes what it is told, and does something at a given count."""

    def __init__(self, at: int = -1, action=lambda: None) -> None:
        self.at, self.action, self.counts, self.fields = at, action, [], {}

    def update(self, done: int, total: int, **fields: str | float) -> None:
        self.counts.append((done, total))
        self.fields = fields
        if done == self.at:
            self.action()


class ShortLine(LineWorld):
    """Another world: two slots in place of three."""

    slots = 2


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = tmp_path_factory.mktemp("line") / "data"
    listening = Listening()
    recording = record(LineWorld, CONFIG, root, listening)
    dataset = Dataset.open(root)
    assert (recording.num_episodes, recording.num_new) == (12, 12)
    assert recording.num_actions == dataset.num_frames - 12
    assert listening.counts == [(k, 12) for k in range(1, 13)] and float(listening.fields["actions_per_s"]) > 0
    return dataset


def test_episodes_are_whole_and_labelled(recorded: Dataset) -> None:
    assert recorded.num_episodes == 12 and recorded.verify() == []
    for k in range(12):
        episode = recorded.read_episode(k)
        assert episode.seed == recording_seed(3, k) and episode.instruction == "clear the line"
        assert episode.terminated != episode.truncated
        assert episode.success == (episode.labels["status"][-1] != 1).all() & (episode.labels["status"][-1] != 3).all()
        assert episode.labels["status"].shape == (episode.num_actions + 1, 3)
        np.testing.assert_array_equal(episode.observations["state"][:, 3:], episode.labels["status"])
        assert np.abs(episode.actions).max() <= 1


def test_the_number_of_workers_changes_nothing(recorded: Dataset, tmp_path: Path) -> None:
    recording = record(LineWorld, changed(workers=2), tmp_path / "data")
    assert recording.num_new == 12
    assert Dataset.open(tmp_path / "data").fingerprint == recorded.fingerprint


def test_goes_on_after_an_interruption(recorded: Dataset, tmp_path: Path) -> None:
    root = tmp_path / "data"
    with pytest.raises(KeyboardInterrupt):
        record(LineWorld, CONFIG, root, Listening(5, lambda: os.kill(os.getpid(), signal.SIGINT)))
    assert missing_episodes(root, CONFIG) == list(range(5, 12))
    listening = Listening()
    assert record(LineWorld, CONFIG, root, listening).num_new == 7
    assert listening.counts[0] == (6, 12)
    assert Dataset.open(root).fingerprint == recorded.fingerprint
    assert record(LineWorld, CONFIG, root).num_new == 0


def test_interrupted_workers_publish_what_they_have(tmp_path: Path) -> None:
    config, root = changed(num_episodes=4000, workers=2, episodes_per_shard=5000), tmp_path / "data"
    with pytest.raises(KeyboardInterrupt):
        record(LineWorld, config, root, Listening(20, lambda: os.kill(os.getpid(), signal.SIGINT)))
    kept = 4000 - len(missing_episodes(root, config))
    assert 20 <= kept < 4000


def test_more_episodes_extend_the_dataset(recorded: Dataset, tmp_path: Path) -> None:
    root = tmp_path / "data"
    record(LineWorld, changed(num_episodes=5), root)
    record(LineWorld, CONFIG, root)
    assert Dataset.open(root).num_episodes == 12
    np.testing.assert_array_equal(Dataset.open(root).read_episode(11).actions, recorded.read_episode(11).actions)


def test_a_whole_dataset_is_compared_too(tmp_path: Path) -> None:
    """Nothing is missing, so nothing is written; but what was asked for is not what lies there."""
    root = tmp_path / "data"
    record(LineWorld, changed(num_episodes=4), root)
    assert record(LineWorld, changed(num_episodes=2), root).num_episodes == 4
    before = Dataset.open(root).fingerprint
    with pytest.raises(MismatchError, match=r"holds another world: .*sensors"):
        record(ShortLine, changed(num_episodes=4), root)
    with pytest.raises(DataError, match="has the labels position, status, not stauts; record into a new folder"):
        record(LineWorld, changed(num_episodes=4, labels=("stauts",)), root)
    assert Dataset.open(root).fingerprint == before


def test_another_policy_is_not_mixed_in(tmp_path: Path) -> None:
    root = tmp_path / "data"
    record(LineWorld, changed(num_episodes=2), root)
    with pytest.raises(DataError, match="was recorded with"):
        record(LineWorld, changed(seed=4), root)
    with pytest.raises(DataError, match="record into a new folder"):
        record(LineWorld, changed(aimed=0.1, random=0.8), root)
    (root / "meta/policy.json").unlink()
    with pytest.raises(DataError, match="was not recorded here"):
        record(LineWorld, changed(num_episodes=3), root)


def test_a_damaged_policy_is_one_line(recorded: Dataset, tmp_path: Path) -> None:
    root = tmp_path / "data"
    record(LineWorld, changed(num_episodes=2), root)
    (root / "meta/policy.json").write_text("{")
    with pytest.raises(DataError, match=r"policy.json is damaged"):
        record(LineWorld, changed(num_episodes=3), root)


def test_a_folder_of_somebody_else_is_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("dear")
    with pytest.raises(DataError, match=r"holds other files \(letters.txt\)"):
        record(LineWorld, CONFIG, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letters.txt"]
    with pytest.raises(DataError, match="is a file"):
        record(LineWorld, CONFIG, tmp_path / "letters.txt")


def test_asking_what_is_missing_writes_nothing(tmp_path: Path) -> None:
    assert len(missing_episodes(tmp_path / "data", CONFIG)) == 12
    assert not (tmp_path / "data").exists()


def test_a_policy_that_recorded_nothing_binds_nobody(tmp_path: Path) -> None:
    def refuse() -> LineWorld:
        raise MismatchError("no such world")

    root = tmp_path / "data"
    with pytest.raises(MismatchError, match="no such world"):
        record(refuse, CONFIG, root)
    assert (root / "meta/policy.json").exists()
    record(LineWorld, changed(num_episodes=2, seed=4), root)
    assert Dataset.open(root).read_episode(0).seed == recording_seed(4, 0)
    with pytest.raises(DataError, match="was recorded with"):
        record(LineWorld, CONFIG, root)


@pytest.mark.parametrize("policy", ["aimed", "random", "expert"])
def test_the_shares_choose_the_policy(policy: str) -> None:
    config = changed(**{name: float(name == policy) for name in ("aimed", "random", "expert")})
    world, actions = LineWorld(num_objects=3), []
    for k in range(20):
        actions += list(play_recorded(world, config, k).actions)
    sides = np.array(actions)[:, 1]
    if policy == "expert":
        assert (sides == 1).all()
    else:
        assert sides.min() < (-0.6 if policy == "random" else -0.2)
        assert policy == "random" or sides.min() >= -0.5


def test_a_workers_mistake_arrives_as_it_was(tmp_path: Path) -> None:
    for workers in (1, 2):
        with pytest.raises(MismatchError, match="info has no 'colour'"):
            record(LineWorld, changed(workers=workers, labels=("colour",)), tmp_path / str(workers))


def test_a_world_that_kills_every_worker_is_reported(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"3 recording workers died of episodes \d+ to \d+, the last one was killed by signal 9"
    ):
        record(partial(Deadly, deaths=9, at=1, folder=tmp_path), changed(workers=2, num_episodes=2), tmp_path / "data")


def test_the_episodes_of_a_killed_worker_are_dealt_again(recorded: Dataset, tmp_path: Path) -> None:
    listening = Listening()
    recording = record(partial(Deadly, deaths=1, at=3, folder=tmp_path), changed(workers=2), tmp_path / "data", listening)
    assert len(list(tmp_path.glob("death-*"))) == 1
    assert (recording.num_new, recording.num_actions) == (12, recorded.num_frames - 12)
    assert listening.counts[-1] == (12, 12)
    again = Dataset.open(tmp_path / "data")
    assert [row.sha256 for row in again.episodes] == [row.sha256 for row in recorded.episodes]
    assert again.verify() == []


def test_mistakes_are_named() -> None:
    with pytest.raises(ConfigError, match=r"aimed \+ random \+ expert = 1\.3"):
        RecordConfig(aimed=1.0)
    for name in ("num_episodes", "workers", "episodes_per_shard"):
        with pytest.raises(ConfigError, match=f"{name} is 0; expected at least 1"):
            changed(**{name: 0})
    with pytest.raises(ConfigError, match="fps is nan; expected more than 0"):
        RecordConfig(fps=float("nan"))
    for share in (float("nan"), 0.7000001, 0.6):
        with pytest.raises(ConfigError, match="expected shares of at least 0 that add up to 1"):
            RecordConfig(aimed=share)
    with pytest.raises(ConfigError, match="seed -1"):
        RecordConfig(seed=-1)
    with pytest.raises(ConfigError, match="which comes from seed, is 10"):
        RecordConfig(seed=10**15)


class Large(LineWorld):
    """Pictures that are stored as video."""

    def __init__(self) -> None:
        super().__init__()
        space = gymnasium.spaces.Box(0, 255, (104, 104, 3), np.uint8)
        assert isinstance(self.observation_space, gymnasium.spaces.Dict)
        self.observation_space = gymnasium.spaces.Dict({**self.observation_space.spaces, "pixels": space})

    def _observe(self):
        noise = np.random.default_rng(self.count).integers(0, 256, (104, 104, 3), dtype=np.uint8)
        return {**super()._observe(), "pixels": noise}


def test_the_video_settings_reach_the_films_and_are_not_mixed(tmp_path: Path) -> None:
    tiny = Path(__file__).parents[3] / "configs/tiny.yaml"
    video = load_experiment(tiny, ("record.video.crf=48", "record.video.gop=4")).record.video
    config = changed(num_episodes=2, video=video)
    for name, settings in (("usual", changed(num_episodes=2)), ("coarse", config)):
        record(Large, settings, tmp_path / name)
    sizes = [sum(p.stat().st_size for p in (tmp_path / n / "videos").rglob("*.mp4")) for n in ("usual", "coarse")]
    assert sizes[1] < sizes[0] / 3
    assert json.loads((tmp_path / "coarse/meta/policy.json").read_text())["video"] == {"crf": 48, "gop": 4}
    assert "video" not in json.loads((tmp_path / "usual/meta/policy.json").read_text())  # as before it could be chosen
    with pytest.raises(DataError, match=r"was recorded with .*'crf': 48"):
        record(Large, changed(num_episodes=3), tmp_path / "coarse")
    with pytest.raises(ConfigError, match="crf is 52; expected 0 to 51"):
        VideoConfig(crf=52)
    with pytest.raises(ConfigError, match="gop is 0; expected at least 1"):
        VideoConfig(gop=0)
