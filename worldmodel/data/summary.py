"""What is in a dataset, as plain values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from worldmodel.data.dataset import Dataset


def summary(dataset: Dataset) -> dict[str, Any]:
    """Counts, world, tasks, sensors and sizes: for the card and for whoever inspects it."""
    steps = dataset.num_frames - dataset.num_episodes
    return {
        "env_id": dataset.spec.env_id,
        "robot": dataset.spec.robot,
        "control_mode": dataset.spec.control_mode,
        "renderer": dataset.spec.renderer,
        "fps": dataset.fps,
        "episodes": dataset.num_episodes,
        "frames": dataset.num_frames,
        "actions": steps,
        "hours": steps / dataset.fps / 3600,
        "success_share": sum(row.success for row in dataset.episodes) / dataset.num_episodes,
        "tasks": sorted({row.instruction for row in dataset.episodes}),
        "sensors": {key: f"{sensor.dtype} {list(sensor.shape)}" for key, sensor in dataset.spec.sensors.items()},
        "labels": list(dataset.label_names),
        "bytes": sum(dataset.folder.size(name) for name in (*dataset.data_files, *dataset.video_files)),
        "fingerprint": dataset.fingerprint,
    }
