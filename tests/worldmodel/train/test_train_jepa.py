"""The trainer with the real model on a real dataset: same bits after a stop, few graphs, a folder that loads."""

from __future__ import annotations

import dataclasses
import signal

import numpy as np
import pytest
import torch

from worldmodel.data import Dataset, DatasetWriter, FrameCache, Windows, finalize
from worldmodel.diagnostics import Health
from worldmodel.encoder import EncoderConfig
from worldmodel.jepa import JEPA, JEPAConfig
from worldmodel.objectives import ObjectiveConfig, build_objective
from worldmodel.predictor import PredictorConfig
from worldmodel.train.checkpoint import load_checkpoint, load_weights, save_model
from worldmodel.train.compilation import compiled
from worldmodel.train.config import TrainConfig
from worldmodel.train.logging import JsonlLogger, read_metrics
from worldmodel.train.manifest import DataSummary, new_manifest, seed_ranges
from worldmodel.train.trainer import Trainer
from worldmodel.types import ActionSpec, Episode, SensorSpec, WorldSpec

SPEC = WorldSpec(
    env_id="fake/Noise-v0",
    env_kwargs={},
    sensors={"pixels": SensorSpec((16, 16, 3), "uint8", "image")},
    action=ActionSpec(
        ("start_x", "start_y", "end_x", "end_y"),
        (-1.0,) * 4,
        (1.0,) * 4,
        ((0, 1), (2, 3)),
        ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0)),
    ),
    control_mode="sweep",
    robot="none",
)
MODEL = JEPAConfig(
    encoder=EncoderConfig(widths=(8, 8), grid=4, token_dim=4),
    predictor=PredictorConfig(width=16, depth=1, num_heads=2, action_width=8, cond_dim=8),
)
CONFIG = TrainConfig(num_steps=6, batch_size=8, num_frames=3, device="cpu", log_every=2, val_every=3, val_batches=1)


@pytest.fixture(scope="module")
def windows(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    with DatasetWriter(root, SPEC, fps=2.0) as writer:
        for seed in range(24):
            writer.add(
                Episode(
                    observations={"pixels": rng.integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)},
                    actions=rng.uniform(-1, 1, (4, 4)).astype(np.float32),
                    rewards=np.zeros(4, np.float32),
                    terminated=False,
                    truncated=True,
                    success=False,
                    seed=seed,
                    instruction="clear the table",
                )
            )
    finalize(root)
    cache = FrameCache.build(Dataset.open(root), ("pixels",))
    return Windows(cache, 3, split="train", val_fraction=0.3), Windows(cache, 3, split="val", val_fraction=0.3)


def make_model(seed: int = 0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = JEPA(MODEL, SPEC)
        return model, build_objective(ObjectiveConfig(inverse_dynamics_coef=0.1), model)


def make_trainer(run_dir, windows, config=CONFIG, seed=0) -> Trainer:
    model, objective = make_model(seed)
    train, val = windows
    logger = JsonlLogger(run_dir)
    return Trainer(model, objective, train, val, config, logger, run_dir, diagnose=Health())


def test_a_stopped_and_resumed_run_ends_on_the_same_bits(tmp_path, windows):
    straight = make_trainer(tmp_path / "straight", windows)
    straight.fit()

    class CtrlC:
        def update(self, done, total, **fields):
            if done == 4:
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match="stopped after update 4"):
        make_trainer(tmp_path / "run", windows).fit(progress=CtrlC())
    resumed = make_trainer(tmp_path / "run", windows, seed=9)
    resumed.fit(resume=True)

    for name, value in straight.learner.state_dict().items():
        assert torch.equal(value, resumed.learner.state_dict()[name]), name
    losses = [[row["train/loss"] for row in read_metrics(tmp_path / run) if "train/loss" in row] for run in ("straight", "run")]
    assert losses[0] == losses[1]
    told = {"val/std", "val/action_ratio", "val/alarms", "val/pred", "val/sigreg", "val/inverse"}
    assert told <= read_metrics(tmp_path / "run")[-1].keys()


def test_the_run_folder_is_read_back_into_an_equal_model(tmp_path, windows):
    model, _ = make_model()
    data = DataSummary("f00d", 24, 120, seed_ranges(range(24)))
    plain = dataclasses.asdict(MODEL)
    manifest = new_manifest(SPEC, model=plain, heads=None, experiment={}, context_length=1, data=data, step=0)
    save_model(tmp_path, model, None, manifest)
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint.manifest.spec == SPEC
    other, _ = make_model(seed=5)
    load_weights(other, checkpoint.model, "here")
    window = windows[0].batch(np.arange(4))
    with torch.no_grad():
        assert torch.equal(model.eval().encode(window.observations), other.eval().encode(window.observations))


# Compiling looks at the .grad of what it is given, which torch itself warns of.
compiling = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")


@compiling
def test_predicting_is_one_graph_and_so_is_encoding(windows):
    model, objective = make_model()
    window, generator = windows[0].batch(np.arange(8)), torch.Generator()
    plain, _ = objective(model, window, generator.manual_seed(0))
    with compiled(model, "aot_eager", fullgraph=True):  # a graph break is an error
        loss, _ = objective(model, window, generator.manual_seed(0))
        loss.backward()
    assert torch.allclose(loss, plain, atol=1e-5)
    assert all(p.grad is not None for p in model.encoder.parameters())


@compiling
def test_compiled_and_plain_learn_the_same(tmp_path, windows):
    config = dataclasses.replace(CONFIG, num_steps=2)
    plain = make_trainer(tmp_path / "plain", (windows[0], None), config)
    other = make_trainer(tmp_path / "compiled", (windows[0], None), dataclasses.replace(config, compile="aot_eager"))
    plain.fit()
    other.fit()
    for name, value in plain.model.state_dict().items():
        assert torch.allclose(value, other.model.state_dict()[name], atol=1e-4), name


def test_bf16_trains(tmp_path, windows):
    trainer = make_trainer(tmp_path, windows, dataclasses.replace(CONFIG, bf16=True))
    trainer.fit()
    assert all(value.isfinite().all() for value in trainer.model.state_dict().values())
