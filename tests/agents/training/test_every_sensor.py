"""A simulated table recorded with two cameras, depth, touch and words, learned from all at once, and played when one fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from agents import cli
from agents.training.runs import load_run
from worldmodel.data import Dataset

TINY = str(Path(__file__).parents[3] / "configs" / "tiny.yaml")
SENSORS = {"pixels": "camera", "wrist": "camera", "depth": "depth", "touch": "touch", "instruction": "instruction"}
WORLD = (
    "env.kwargs.image_size=32", "env.kwargs.instruction=any", f"env.kwargs.observations=[{','.join(SENSORS)},state]",
)  # fmt: skip
MODEL = (
    f"model.sensors=[{','.join(SENSORS)}]", "model.encoder.kind=vit", "model.encoder.sensor_dropout=0.3",
    "model.encoder.vit.width=16", "model.encoder.vit.depth=1", "model.encoder.vit.num_heads=2",
    "train.num_steps=4", "train.val_every=4", "heads.num_labelled_frames=20",
)  # fmt: skip


@pytest.mark.slow
def test_recorded_sensors_train_one_model_that_acts_on_when_one_fails(tmp_path: Path) -> None:
    data, out, scores = tmp_path / "data", tmp_path / "run", tmp_path / "scores.json"
    assert cli.main(["record", "--config", TINY, "--episodes", "12", "--out", str(data), *WORLD]) == 0
    assert cli.main(["train", "--config", TINY, "--data", str(data), "--out", str(out), *WORLD, *MODEL]) == 0

    run, episode = load_run(out), Dataset.open(data).read_episode(0)
    assert run.model.encoder.sensors.modalities == SENSORS  # type: ignore[union-attr]
    obs = {key: torch.from_numpy(episode.observations[key].copy())[None] for key in SENSORS}
    with torch.inference_mode():
        z = run.model.encode(obs)
        for key in SENSORS:  # each of them is read
            without = run.model.encode({name: value for name, value in obs.items() if name != key})
            assert z.isfinite().all() and (without - z).abs().amax((0, 2, 3)).min() > 1e-4, key

    agents = ["worldmodel", "worldmodel~wrist", "worldmodel~depth", "worldmodel~touch"]
    words = ["--episodes", "1", "--agents", ",".join(agents), "--json", str(scores)]
    assert cli.main(["evaluate", "--run", str(out), *words]) == 0
    assert set(json.loads(scores.read_text())["agents"]) == {"random", "expert", *agents}
