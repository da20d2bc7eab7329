"""How a world's frames and actions are cut for a model: every k-th frame, its pictures at the model's resolution, and the k
actions between two frames as one block.

A model never sees the difference: `Framing.spec` is a world of its own, whose action is a block. The world's own spec stays
in datasets and manifests, and whoever acts takes a block apart again (frame skip as in DINO-WM, arXiv:2411.04983, and LeWM).

T frames   k frame skip   A action dim
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from worldmodel.errors import ConfigError
from worldmodel.types import ActionSpec, Episode, SensorSpec, WorldSpec


@dataclass(frozen=True)
class Framing:
    """Which frames of a recording a model sees, and at what resolution. Stored in the manifest; part of what was trained."""

    frame_skip: int = 1
    """Steps of the world between two frames of the model, k; the k actions between them are one block."""
    image_size: int | None = None
    """Height and width of pictures as the model sees them [px]; None for those of the recording."""

    def __post_init__(self) -> None:
        """Raise ConfigError for a cut that leaves nothing."""
        if self.frame_skip < 1:
            raise ConfigError(f"frame_skip is {self.frame_skip}; expected 1 or more")
        if self.image_size is not None and self.image_size < 1:
            raise ConfigError(f"image_size is {self.image_size}; expected 1 or more, or null for the recorded size")

    @property
    def action_block(self) -> int:
        """Actions in one block: all that happen between two frames, so that none is hidden from the model."""
        return self.frame_skip

    def spec(self, world: WorldSpec) -> WorldSpec:
        """The world as the model sees it."""
        sensors = {key: resized(key, sensor, self.image_size) for key, sensor in world.sensors.items()}
        return dataclasses.replace(world, sensors=sensors, action=blocked(world.action, self.action_block))

    def episode(self, episode: Episode, world: WorldSpec) -> Episode:
        """A recorded episode as the model sees it; actions after the last whole block are left out."""
        k, num = self.frame_skip, episode.num_actions // self.frame_skip
        if k == 1 and self.image_size is None:
            return episode
        observations = {key: values[: num * k + 1 : k] for key, values in episode.observations.items()}
        return dataclasses.replace(
            episode,
            observations=self.pictures(observations, world),
            actions=episode.actions[: num * k].reshape(num, -1),
            rewards=episode.rewards[: num * k].reshape(num, k).sum(axis=1),
            labels={name: values[: num * k + 1 : k] for name, values in episode.labels.items()},
        )

    def pictures(self, observations: Mapping[str, np.ndarray], world: WorldSpec) -> dict[str, np.ndarray]:
        """The observations, arrays (..., *shape) each, with their pictures at the model's resolution."""
        size = self.image_size
        if size is None:
            return dict(observations)
        images = [key for key, sensor in world.sensors.items() if sensor.kind == "image"]
        return {key: area_average(values, size) if key in images else values for key, values in observations.items()}


def blocked(action: ActionSpec, block: int) -> ActionSpec:
    """`block` actions in a row as one: names such as x@0, bounds and points repeated in the order in which they happen."""
    if block == 1:
        return action
    return dataclasses.replace(
        action,
        names=tuple(f"{name}@{i}" for i in range(block) for name in action.names),
        low=action.low * block,
        high=action.high * block,
        points=tuple((x + i * action.dim, y + i * action.dim) for i in range(block) for x, y in action.points),
    )


def resized(key: str, sensor: SensorSpec, size: int | None) -> SensorSpec:
    """The sensor with its pictures at `size` x `size`; vectors stay. ConfigError for pictures smaller than that."""
    if size is None or sensor.kind != "image":
        return sensor
    height, width, channels = sensor.shape
    if size > min(height, width):
        raise ConfigError(
            f"image_size is {size}, but sensor {key!r} is {height} x {width}; expected at most {min(height, width)}"
        )
    return dataclasses.replace(sensor, shape=(size, size, channels))


def area_average(images: np.ndarray, size: int) -> np.ndarray:
    """Pictures (..., height, width, 3) uint8 -> (..., size, size, 3): each new pixel is the mean of the area that it covers.

    A picture that is not square is squeezed into one, so that coordinates from -1 to 1, the camera calibration's, stay true.
    """
    *lead, height, width, channels = images.shape
    if (height, width) == (size, size):
        return images
    down, right = _overlap(height, size), _overlap(width, size)
    out = np.empty((math.prod(lead), size, size, channels), np.uint8)
    for new, image in zip(out, images.reshape(-1, height, width * channels), strict=True):  # a picture fits the CPU's cache
        rows = (down @ image.astype(np.float32)).reshape(size, width, channels)
        new[:] = right @ rows + (0.5 + 1e-4)  # halves go up, however the sum was rounded
    return out.reshape(*lead, size, size, channels)


def _overlap(length: int, size: int) -> np.ndarray:
    """Share of each of `length` old pixels in each of `size` new ones, (size, length) float32; rows sum to 1."""
    edges = np.arange(size + 1) * (length / size)
    low, high = edges[:-1, None], edges[1:, None]
    pixel = np.arange(length)
    return ((np.minimum(high, pixel + 1) - np.maximum(low, pixel)).clip(0) * (size / length)).astype(np.float32)
