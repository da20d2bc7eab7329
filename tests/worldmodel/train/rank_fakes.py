"""A small real model on noise, in float64, trained by as many processes as there are; and how to start them."""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn

from worldmodel.diagnostics import Health
from worldmodel.encoder import EncoderConfig
from worldmodel.encoders.conv import ImageTokenizer
from worldmodel.jepa import JEPA, JEPAConfig
from worldmodel.masking import BlockMaskConfig
from worldmodel.nn.tokenizers import CameraTokenizer
from worldmodel.objectives import MaskedConfig, ObjectiveConfig, SIGRegConfig, build_objective
from worldmodel.predictor import PredictorConfig
from worldmodel.train.config import TrainConfig
from worldmodel.train.logging import JsonlLogger
from worldmodel.train.parallel import Parallel
from worldmodel.train.trainer import Trainer
from worldmodel.types import ActionSpec, SensorSpec, Window, WorldSpec

SPEC = WorldSpec(
    env_id="fake/Noise-v0",
    env_kwargs={},
    sensors={"pixels": SensorSpec((16, 16, 3), "uint8", "image")},
    action=ActionSpec(
        ("start_x", "start_y", "end_x", "end_y"), (-1.0,) * 4, (1.0,) * 4, ((0, 1), (2, 3)), ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0))
    ),
    control_mode="sweep",
    robot="none",
)
MODEL = JEPAConfig(
    encoder=EncoderConfig(widths=(8, 8), grid=4, token_dim=4),
    predictor=PredictorConfig(width=16, depth=2, num_heads=2, action_width=8, cond_dim=8),
    context_length=2,
)
SMALLEST = dataclasses.replace(MODEL, predictor=dataclasses.replace(MODEL.predictor, depth=1), context_length=1)
EVERYTHING = ObjectiveConfig(
    target="ema",
    sigreg=SIGRegConfig(num_places=8, num_projections=8),
    variance_coef=0.1,
    covariance_coef=0.01,
    inverse_dynamics_coef=0.1,
    straightening_coef=0.01,
    masked_coef=0.1,
    masked=MaskedConfig((BlockMaskConfig(2, (0.2, 0.3), ratio=(0.3, 0.8)),), width=16, depth=1, num_heads=2),
)
"""Every term that looks at a batch as a whole, and those that do not."""
CONFIG = TrainConfig(
    num_steps=8,
    batch_size=8,
    num_frames=3,
    learning_rate=3e-3,
    device="cpu",
    log_every=1,
    val_every=4,
    val_batches=2,
    save_every_seconds=3600,
    num_threads=1,
)


class NoiseWindows:
    """Windows of noise, always the same."""

    def __init__(self, num_windows: int, seed: int, action_dim: int = 4) -> None:
        rng = np.random.default_rng(seed)
        self.num_windows = num_windows
        self.pixels = torch.from_numpy(rng.integers(0, 256, (num_windows, 3, 16, 16, 3), dtype=np.uint8))
        self.actions = torch.from_numpy(rng.uniform(-1, 1, (num_windows, 2, action_dim)).astype(np.float32))

    def batch(self, indices: np.ndarray) -> Window:
        rows = torch.from_numpy(indices)
        zeros = torch.zeros_like(rows)
        return Window({"pixels": self.pixels[rows]}, self.actions[rows], {}, episode_index=rows + 100, frame_index=zeros)


class StopAt:
    """Ctrl-C after an update, as progress that is told of it."""

    def __init__(self, step: int) -> None:
        self.step = step

    def update(self, done: int, total: int, **fields: str | float) -> None:
        if done == self.step:
            signal.raise_signal(signal.SIGINT)


def in_double(model: JEPA) -> JEPA:
    """The model in float64, where what rounding leaves of a gradient that is zero does not grow under Adam."""
    for module in model.modules():
        if isinstance(module, ImageTokenizer | CameraTokenizer):  # pictures are made float32
            module.layers.register_forward_pre_hook(lambda _, args: (args[0].double(), *args[1:]))
    return model.double()


def make_trainer(
    run_dir: Path,
    *,
    double: bool = True,
    model: JEPAConfig = MODEL,
    objective: ObjectiveConfig = EVERYTHING,
    validates: bool = True,
    **changes: Any,
) -> Trainer:
    """A trainer whose settings differ from CONFIG's by `changes`."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        jepa = JEPA(model, SPEC)
        if double:
            in_double(jepa)
        loss = build_objective(objective, jepa)
        loss = loss.double() if double else loss
    config = dataclasses.replace(CONFIG, **changes)
    train, val = NoiseWindows(36, 0), NoiseWindows(16, 1) if validates else None
    return Trainer(jepa, loss, train, val, config, JsonlLogger(run_dir), run_dir, diagnose=Health())


def fit(run_dir: Path, *, stop_at: int | None = None, resume: bool = False, **changes: Any) -> Trainer:
    """Train, to the end or until Ctrl-C after an update."""
    trainer = make_trainer(run_dir, **changes)
    try:
        trainer.fit(resume=resume, progress=None if stop_at is None else StopAt(stop_at))
    except KeyboardInterrupt as stop:
        assert f"stopped after update {stop_at};" in str(stop)
    return trainer


DDP, FSDP = Parallel(), Parallel(dp_shard=2)


def on_ranks(num: int, folder: Path, work: Callable[..., None], *args: Any, join: bool = True) -> Any:
    """Run work(folder, *args) in so many processes that know each other."""
    folder.mkdir(parents=True, exist_ok=True)
    return spawn(_work, args=(num, folder, work, args), nprocs=num, join=join)


def _work(rank: int, num: int, folder: Path, work: Callable[..., None], args: Sequence[Any]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder / 'meet'}", rank=rank, world_size=num)
    work(folder, *args)
    dist.destroy_process_group()
