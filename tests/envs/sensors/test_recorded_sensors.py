"""What the sensors see and what was varied, through the recorder to disk and back."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from agents.recording.record import RecordConfig, play_recorded, record
from agents.worldspec import spec_of
from envs.sensors.reading import KEYS
from envs.tabletop import TabletopEnv
from worldmodel.data import Dataset, finalize

ALL = [key for key in KEYS if key != "instruction"]


def test_every_sensor_and_the_variation_come_back_as_they_were_recorded(tmp_path: Path) -> None:
    variations = {"factors": ["light", "masses", "surfaces"], "split": "held_out"}
    sizes = {"overhead": 24, "side": (16, 20), "wrist": 16}
    make = partial(TabletopEnv, "gantry", 2, max_sweeps=2, observations=ALL, cameras=sizes, variations=variations)
    config = RecordConfig(num_episodes=2, workers=1)
    record(make, config, tmp_path / "data")
    finalize(tmp_path / "data")
    dataset = Dataset.open(tmp_path / "data")
    assert dataset.verify() == []
    env = make()
    assert dataset.spec == spec_of(env)
    for number in range(2):
        played, read = play_recorded(env, config, number), dataset.read_episode(number)
        assert list(read.observations) == ALL
        for key, values in played.observations.items():
            np.testing.assert_array_equal(read.observations[key], values, err_msg=key)
            assert read.observations[key].dtype == values.dtype
        assert read.variation == played.variation and read.variation["variation_split"] == "held_out"
        assert set(read.variation) > {"light_lamp", "masses_scale", "surfaces_table_pattern"}
    env.close()
