"""Recording a table that asks for some objects: each episode carries its sentence, what it denotes, and its bytes."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from agents.recording.record import RecordConfig, record
from envs.instructions.denotation import denoted
from envs.table.scene import HUE_NAMES
from envs.tabletop import TabletopEnv
from worldmodel.data import Dataset
from worldmodel.nn.tokenizers import encode_text


def test_each_episode_carries_what_it_was_asked(tmp_path: Path) -> None:
    make = partial(
        TabletopEnv, robot="gantry", num_objects=(2, 5), image_size=16, max_sweeps=2, instruction="any",
        observations=["pixels", "instruction"],
    )  # fmt: skip
    config = RecordConfig(num_episodes=6, seed=1, workers=1, labels=("status", "position", "target"))
    record(make, config, tmp_path / "data")
    dataset = Dataset.open(tmp_path / "data")
    assert dataset.verify() == []
    assert dataset.spec.env_kwargs["instruction"] == "any" and dataset.spec.env_kwargs["paraphrases"] == "train"
    env, texts = make(), set()
    for k in range(6):
        episode = dataset.read_episode(k)
        env.reset(seed=episode.seed)
        assert episode.instruction == env.instruction
        target = set(np.flatnonzero(episode.labels["target"][0]).tolist())
        assert target == denoted(episode.instruction, env.objects) and target <= set(range(len(HUE_NAMES)))
        for words in episode.observations["instruction"]:
            np.testing.assert_array_equal(words, encode_text(episode.instruction))
        done = episode.labels["status"][-1]
        stays = (episode.labels["status"][0] == 1) & ~episode.labels["target"][0]
        assert episode.success == (np.all(done[list(target)] == 2) and np.all(done[stays] == 1))
        texts.add(episode.instruction)
    assert len(texts) > 3 and {row.instruction for row in dataset.episodes} == texts
    env.close()
