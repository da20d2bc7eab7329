"""A world with two large cameras, a small one, depth, touch and sound, whose every episode follows from its number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from worldmodel.data import DatasetWriter
from worldmodel.types import ActionSpec, Episode, SensorSpec, WorldSpec

HEIGHT, WIDTH = 64, 112
DEPTH: dict[str, Any] = {"shape": (24, 32), "dtype": "uint16", "kind": "vector"}

SPEC = WorldSpec(
    env_id="tests/Cameras-v0",
    env_kwargs={},
    sensors={
        "front": SensorSpec((HEIGHT, WIDTH, 3), "uint8", "image", camera="front"),
        "side": SensorSpec((HEIGHT, WIDTH, 3), "uint8", "image", camera="side"),
        "wrist": SensorSpec((8, 6, 3), "uint8", "image", camera="wrist"),
        "depth": SensorSpec(**DEPTH),
        "touch": SensorSpec((2, 3), "float32", "vector"),
        "audio": SensorSpec((600,), "float32", "vector"),
        "proprio": SensorSpec((2,), "float32", "vector"),
    },
    action=ActionSpec(("x", "y"), (-1.0, -1.0), (1.0, 1.0)),
    control_mode="delta",
    robot="gantry",
    renderer="none",
)
FPS = 12.5


def picture(length: int, k: int, camera: int) -> np.ndarray:
    """Smooth pictures in which the frame, the episode and the camera can be told: (T, height, width, 3) uint8."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    frames = [
        np.stack([x + 9 * t, y * 2 + 7 * k, np.full_like(x, 10 + 12 * t + 5 * k + 60 * camera)], axis=-1) % 256
        for t in range(length)
    ]
    return np.stack(frames).astype(np.uint8)


def make_episode(k: int) -> Episode:
    """Episode `k`, of 3 to 12 frames."""
    rng = np.random.default_rng(k)
    length = 3 + (k * 4) % 10
    return Episode(
        observations={
            "front": picture(length, k, 0),
            "side": picture(length, k, 1),
            "wrist": rng.integers(0, 256, (length, 8, 6, 3), dtype=np.uint8),
            "depth": rng.integers(0, 2**16, (length, 24, 32), dtype=np.uint16),
            "touch": rng.normal(size=(length, 2, 3)).astype(np.float32),
            "audio": rng.normal(size=(length, 600)).astype(np.float32),
            "proprio": rng.normal(size=(length, 2)).astype(np.float32),
        },
        actions=rng.uniform(-1, 1, (length - 1, 2)).astype(np.float32),
        rewards=np.zeros(length - 1, np.float32),
        terminated=False,
        truncated=True,
        success=False,
        seed=k,
        instruction="look",
        variation={"light": 0.5, "colour": [k, 1, 2]} if k % 2 else {},
    )


def record_into(root: Path, episodes: range, shard: int = 3, **settings: Any) -> Path:
    with DatasetWriter(root, SPEC, fps=FPS, episodes_per_shard=shard, **settings) as writer:
        for k in episodes:
            writer.add(make_episode(k), episode_index=k)
    return root
