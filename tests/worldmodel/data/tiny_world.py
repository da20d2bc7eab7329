"""A tiny world whose every episode follows from its seed, so that what is read back can be compared exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from worldmodel.data import DatasetWriter
from worldmodel.types import ActionSpec, Episode, SensorSpec, WorldSpec

SPEC = WorldSpec(
    env_id="tests/Tiny-v0",
    env_kwargs={"num_objects": (1, 5)},
    sensors={
        "pixels": SensorSpec((8, 6, 3), "uint8", "image", camera="overhead"),
        "proprio": SensorSpec((2,), "float32", "vector", names=("x [m]", "y [m]")),
        "clock": SensorSpec((1,), "float32", "vector"),
        "state": SensorSpec((3,), "float32", "vector", privileged=True),
    },
    action=ActionSpec(("start_x", "start_y"), (-1.0, -1.0), (1.0, 1.0), points=((0, 1),)),
    control_mode="sweep",
    robot="gantry",
    renderer="none",
)


def make_episode(k: int, num_actions: int | None = None) -> Episode:
    """Episode `k`: its seed is 1000 + k, and its length, its task and every value follow from it."""
    rng = np.random.default_rng(k)
    length = (num_actions if num_actions is not None else 2 + k % 4) + 1
    return Episode(
        observations={
            "pixels": rng.integers(0, 256, (length, 8, 6, 3), dtype=np.uint8),
            "proprio": rng.normal(size=(length, 2)).astype(np.float32),
            "clock": np.arange(length, dtype=np.float32)[:, None] + 1000 * k,
            "state": rng.normal(size=(length, 3)).astype(np.float32),
        },
        actions=rng.uniform(-1, 1, (length - 1, 2)).astype(np.float32),
        rewards=rng.normal(size=length - 1).astype(np.float32),
        terminated=k % 2 == 0,
        truncated=k % 2 == 1,
        success=k % 3 == 0,
        seed=1000 + k,
        instruction=("clear the table", "räum auf")[k % 2],
        labels={
            "status": rng.integers(0, 4, (length, 5)),
            "position": rng.normal(size=(length, 5, 2)).astype(np.float32),
            "done": np.arange(length) > 1,
        },
    )


def assert_same(got: Episode, expected: Episode) -> None:
    """Every field is equal, to the bit."""
    for name in ("actions", "rewards"):
        np.testing.assert_array_equal(getattr(got, name), getattr(expected, name), strict=True)
    for name in ("observations", "labels"):
        ours, theirs = getattr(got, name), getattr(expected, name)
        assert set(ours) == set(theirs)
        for key in theirs:
            np.testing.assert_array_equal(ours[key], theirs[key], strict=True)
    for name in ("terminated", "truncated", "success", "seed", "instruction"):
        assert getattr(got, name) == getattr(expected, name)


def record_into(root: Path, episodes: range, shard: int = 4) -> Path:
    with DatasetWriter(root, SPEC, fps=2.0, episodes_per_shard=shard) as writer:
        for k in episodes:
            writer.add(make_episode(k), episode_index=k)
    return root
