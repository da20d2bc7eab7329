"""An experiment of seconds in a world of numbers, and a result that nobody had to wait for."""

from __future__ import annotations

from typing import Any

from agents.experiment import EnvConfig
from agents.sweep.trial import Result
from tests.fakes import LineWorld

BASE = """
env: {kwargs: {num_objects: 2, max_sweeps: 4}}
data: {val_fraction: 0.25}
model:
  encoder: {grid: 2, token_dim: 4, widths: [8, 8], stem_stride: 2}
  predictor: {width: 16, depth: 1, num_heads: 2, cond_dim: 8, action_width: 8}
train: {num_steps: 6, batch_size: 4, val_batches: 1, device: cpu, log_every: 2}
heads: {num_labelled_frames: 40, num_unlabelled_frames: 0, progress_steps: 20, progress_width: 8, picture_steps: 0,
  max_steps_ahead: 2}
planner: {elites: {horizon: 2, num_samples: [8, 8], num_proposals: 4}, num_recorded_actions: 16}
evaluate: {num_episodes: 4, seed: 1, agents: [worldmodel]}
"""


def make_env(config: EnvConfig, **overrides: Any) -> LineWorld:
    return LineWorld(**{**config.kwargs, **overrides})


def results(group: str, seed: int, success: int, loss: float | None) -> Result:
    metrics = {"loss": loss, "success": success / 10}
    return Result(f"{group}-{seed}", group, {}, metrics, {"random": 1, "worldmodel": success, "expert": 10}, 10, "p",
                  {"train": 2.0 + seed}, "d", "c", {})  # fmt: skip
