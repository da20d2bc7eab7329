"""A model and windows small enough to train in milliseconds; run as a program, it is a training run that can be killed.

    python train_fakes.py RUN_DIR

That run saves its state after every update.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from worldmodel.train.config import TrainConfig
from worldmodel.train.logging import JsonlLogger
from worldmodel.train.manifest import DataSummary, Manifest, new_manifest
from worldmodel.train.trainer import Trainer
from worldmodel.types import ActionSpec, SensorSpec, Window, WorldSpec

SPEC = WorldSpec(
    env_id="fake/Line-v0",
    env_kwargs={"num_objects": [1, 5]},
    sensors={"position": SensorSpec(shape=(3,), dtype="float32", kind="vector", names=("x [m]", "y [m]", "z [m]"))},
    action=ActionSpec(names=("dx", "dy"), low=(-1.0, -1.0), high=(1.0, 1.0), points=((0, 1),)),
    control_mode="push",
    robot="none",
)

CONFIG = TrainConfig(num_steps=20, batch_size=4, num_frames=3, device="cpu", log_every=4, val_every=8, val_batches=2)


class FakeModel(nn.Module):
    """One token a frame; has dropout (torch's own generator) and running statistics (a buffer), as real ones have."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.encoder = nn.Linear(3, 8)
            self.norm = nn.BatchNorm1d(8)
            self.predictor = nn.Sequential(nn.Linear(10, 16), nn.SiLU(), nn.Dropout(0.1), nn.Linear(16, 8))

    def encode(self, obs: dict[str, Tensor]) -> Tensor:
        z = self.encoder(obs["position"])  # (B, T, 8)
        return self.norm(z.flatten(0, 1)).view_as(z).unsqueeze(2)

    def predict(self, z: Tensor, actions: Tensor) -> Tensor:
        return self.predictor(torch.cat([z.squeeze(2), actions], dim=-1)).unsqueeze(2)

    def step(self, z: Tensor, actions: Tensor) -> Tensor:
        return self.predict(z[:, -1:], actions[:, -1:])[:, 0]


def objective(model: FakeModel, window: Window, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
    """Prediction, and a term that draws from the generator."""
    z = model.encode(window.observations)
    pred = (model.predict(z[:, :-1], window.actions) - z[:, 1:]).square().mean()
    direction = torch.randn(8, generator=generator)
    spread = (1 - (z @ direction).var()).square()
    return pred + 0.01 * spread, {"pred": pred, "spread": spread}


class FakeWindows:
    """Random walks: position moves by the action."""

    def __init__(self, num_windows: int = 30, seed: int = 0, num_frames: int = 3) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.num_windows = num_windows
        self.actions = torch.rand(num_windows, num_frames - 1, 2, generator=generator) * 2 - 1
        moves = torch.cat([torch.randn(num_windows, 1, 3, generator=generator), nn.functional.pad(self.actions, (0, 1))], dim=1)
        self.positions = moves.cumsum(dim=1)

    def batch(self, indices: np.ndarray) -> Window:
        rows = torch.from_numpy(indices)
        return Window(
            observations={"position": self.positions[rows]},
            actions=self.actions[rows],
            labels={},
            episode_index=rows + 100,
            frame_index=torch.zeros_like(rows),
        )


def a_manifest() -> Manifest:
    """The manifest of a fake model."""
    return new_manifest(
        SPEC,
        model={"width": 8, "nested": {"a": [1, 2]}},
        heads=None,
        experiment={"train": {"lr": 1e-3}},
        context_length=1,
        data=DataSummary(fingerprint="f00d", num_episodes=3, num_frames=27, train_seeds=((0, 4), (9, 9))),
        step=7,
    )


def make_trainer(run_dir: Path, config: TrainConfig = CONFIG, **changes) -> Trainer:
    """A trainer of the fakes; `changes` replace its arguments."""
    arguments = {
        "model": FakeModel(),
        "objective": objective,
        "windows_train": FakeWindows(),
        "windows_val": FakeWindows(num_windows=10, seed=1),
        "config": config,
        "logger": JsonlLogger(run_dir),
        "run_dir": run_dir,
    }
    return Trainer(**(arguments | changes))


class SlowObjective:
    """`objective`, slowly enough to be killed, and it never gets to the end."""

    def __init__(self) -> None:
        self.num_calls = 0

    def __call__(self, *arguments) -> tuple[Tensor, dict[str, Tensor]]:
        self.num_calls += 1
        time.sleep(0.02 if self.num_calls < 25 else 3600)
        return objective(*arguments)


KILLED = dataclasses.replace(CONFIG, num_steps=30, save_every_seconds=0, num_threads=1)

if __name__ == "__main__":
    make_trainer(Path(sys.argv[1]), KILLED, objective=SlowObjective()).fit(resume=True)
