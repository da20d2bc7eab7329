"""A local Minari dataset in HDF5, written through the minari package: `minari.MinariDataset(DIR / "data")`.

Pictures are stored as they are, without JPEG. Labels and success become infos, the seed that of the episode, and the task
in words an attribute of the episode, `instruction`.
"""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from worldmodel.data.dataset import Dataset
from worldmodel.errors import DataError, MissingExtraError
from worldmodel.progress import Progress
from worldmodel.types import Episode

SUCCESS = "success"
"""The info that says whether the task's own success rule holds: true in an episode's last row, or nowhere."""

HEADROOM = 64e6
"""Free space below which writing stops: libhdf5 may crash the whole process when it meets a full disk [bytes]."""


@dataclass(frozen=True)
class MinariStore:
    """Observations as a dictionary of sensors, one group of HDF5 datasets an episode."""

    title: str = "Minari"

    def left_out(self, dataset: Dataset) -> list[str]:
        """What Minari has no place for."""
        _import()  # so that it is missed before anything is written
        if SUCCESS in dataset.label_names:
            raise DataError(
                f"{dataset.root} has a label {SUCCESS!r}, which is the name of Minari's info for success; rename it"
            )
        spec = dataset.spec
        lines = ["which of the sensors are pictures, and of which camera: all are boxes of numbers"]
        named = [key for key, sensor in spec.sensors.items() if sensor.names]
        lines.append(f"the names of the elements of the action{''.join(f', of {key}' for key in named)}")
        privileged = [key for key, sensor in spec.sensors.items() if sensor.privileged]
        if privileged:
            lines.append(f"that these sensors are privileged, so never to be shown to a model: {', '.join(privileged)}")
        if spec.action.points or spec.action.image_from_action:
            lines.append("which elements of the action are points, and where the camera sees them")
        lines.append(f"frames per second: {dataset.fps:g}")
        lines.append(
            f"the environment: {spec.env_id} with {spec.env_kwargs}, robot {spec.robot}, control mode {spec.control_mode}"
        )
        if any(row.variation for row in dataset.episodes):
            lines.append("the variation of each episode")
        return lines

    def write(self, dataset: Dataset, out: Path, progress: Progress) -> None:
        """Stream the episodes into `out / data`."""
        storage_class, buffer_class, make_space, version = _import()
        spec = dataset.spec
        sensors = {key: _box(sensor.shape, sensor.dtype, *_range(sensor.dtype)) for key, sensor in spec.sensors.items()}
        low, high = (np.array(bound, np.float32) for bound in (spec.action.low, spec.action.high))
        out = out.resolve()  # minari puts its folder before a relative one twice
        (out / "data").mkdir(parents=True)
        storage = storage_class.new(
            out / "data",
            observation_space=make_space({"type": "Dict", "subspaces": sensors}),
            action_space=make_space(_box((spec.action.dim,), "float32", low, high)),
            data_format="hdf5",
            jpeg_encoding=False,
        )

        def buffers() -> Iterator[Any]:
            for i in range(dataset.num_episodes):
                if shutil.disk_usage(out).free < HEADROOM:
                    raise OSError(errno.ENOSPC, "the disk is nearly full")
                yield buffer_class(**_buffer(dataset.read_episode(i)))
                progress.update(i + 1, dataset.num_episodes)

        storage.update_episodes(buffers())
        storage.update_episode_metadata({"instruction": row.instruction} for row in dataset.episodes)
        name = re.sub(r"[^-\w]", "-", dataset.root.name).strip("-") or "dataset"
        storage.update_metadata(
            {
                "dataset_id": f"{name}-v0",
                "minari_version": version,
                "algorithm_name": "recorded by worldmodel",
                "description": f"{spec.env_id}, robot {spec.robot}, fingerprint {dataset.fingerprint}",
            }
        )


def _import() -> tuple[Any, Any, Any, str]:
    """MinariStorage, EpisodeBuffer, what makes a space of its description, and the version."""
    try:
        import h5py  # noqa: F401  minari asks for it only when it is used
        from minari import __version__
        from minari.data_collector import EpisodeBuffer
        from minari.dataset.minari_storage import MinariStorage
        from minari.serialization import deserialize_space
    except ImportError as error:
        raise MissingExtraError("writing Minari needs minari; install it with: pip install 'worldmodel[import]'") from error
    return MinariStorage, EpisodeBuffer, deserialize_space, __version__


def _buffer(episode: Episode) -> dict[str, Any]:
    """Fields of Minari's EpisodeBuffer: T actions and rewards, T + 1 observations and infos."""
    last = np.arange(episode.num_actions) == episode.num_actions - 1
    return {
        "seed": episode.seed,
        "observations": dict(episode.observations),
        "actions": episode.actions,
        "rewards": episode.rewards,
        "terminations": last & episode.terminated,
        "truncations": last & episode.truncated,
        "infos": {**episode.labels, SUCCESS: np.append(np.zeros_like(last), episode.success)},
    }


def _box(shape: tuple[int, ...], dtype: str, low: Any, high: Any) -> dict[str, Any]:
    """Minari's description of a space; gymnasium itself is not imported: the world model does not know environments."""
    bounds = {name: np.broadcast_to(bound, shape).tolist() for name, bound in (("low", low), ("high", high))}
    return {"type": "Box", "dtype": dtype, "shape": list(shape), **bounds}


def _range(dtype: str) -> tuple[float, float]:
    return (0, float(np.iinfo(dtype).max)) if np.dtype(dtype).kind in "ui" else (-np.inf, np.inf)
