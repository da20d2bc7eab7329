"""What an importer is, and what a source of rollouts tells of itself before anything is mapped.

A source (one file of this package a format) reads what is there: named fields, episode by episode, in its own names and
units. `mapped.MappedImporter` lays the user's map over a source and is the `Importer` that `driver.import_into` writes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from worldmodel.types import ActionSpec, Episode, WorldSpec

Role = Literal["image", "vector", "action", "reward", "success", "label"]


@dataclass(frozen=True)
class SourceField:
    """One stream of numbers of a source: an array a frame, or a step."""

    role: Role
    """What becomes of it unless the map says otherwise."""
    key: str
    """Sensor key or label name that it gets unless the map says otherwise; no matter for the other roles."""
    shape: tuple[int, ...]
    """Shape of one row; (height, width, 3) for an image, whatever the source's own order is."""
    dtype: str
    """Element type in the source."""
    names: tuple[str, ...] = ()
    """Names of the elements of a vector, when the source tells."""
    camera: str | None = None
    """Name of the camera of an image, where the source has one beside the key; None when `key` is the camera's name."""
    privileged: bool = False
    """It is the simulator's own state."""
    low: tuple[float, ...] | None = None
    """Lower bounds of an action, when the source tells; else they are searched in the data."""
    high: tuple[float, ...] | None = None
    """Upper bounds of an action."""


@dataclass(frozen=True)
class SourceInfo:
    """Everything that a source tells before its episodes are read."""

    name: str
    """How errors and the dataset's world name it."""
    fields: dict[str, SourceField]
    """Name in the source -> what it is, in the source's order."""
    num_episodes: int
    """Number of episodes."""
    identity: dict[str, str]
    """What makes it this source and no other: its kind and a hash of what its files are."""
    fps: float | None = None
    """Frames a second; None when the source does not tell."""
    env_id: str = ""
    """Gymnasium id, or the name of the environment in whatever made the data."""
    env_kwargs: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of the environment."""
    robot: str = ""
    """Name of the robot."""
    control_mode: str = ""
    """What one action makes the robot do."""
    renderer: str = ""
    """What drew the pictures."""
    action: ActionSpec | None = None
    """What the action is, where the source knows that as a dataset does: its points and their calibration are kept."""
    notes: tuple[str, ...] = ()
    """What of the source a dataset cannot hold, one line each."""
    left_out: tuple[str, ...] = ()
    """Fields of the source that no dataset can hold, each with the reason in brackets."""


LAST_LEFT_OUT = "the last action of each episode, and its reward, are left out: no frame follows them"
"""A note of sources that have a row for each action, and none for the frame after the last."""

Values = np.ndarray | Iterable[np.ndarray]
"""Rows of a field: an array, or images decoded one at a time."""


@dataclass(frozen=True)
class SourceEpisode:
    """One episode of a source, in its own names and units.

    A field has a row a step, or one more where the source keeps the frame after the last step. When no field that is
    kept has that frame, nothing shows what the last step led to: it is left out.
    """

    values: dict[str, Values]
    """Field -> rows."""
    num_steps: int | None
    """Number of actions, or None for a source without: one less than it has frames."""
    terminated: bool
    """Gymnasium's meaning, of the last step."""
    truncated: bool
    """Gymnasium's meaning, of the last step."""
    success: bool
    """The task's own success rule held at the end."""
    seed: int
    """Seed of the reset, or the number of the episode where the source does not tell."""
    instruction: str
    """The task in words; empty where the source does not tell."""
    variation: dict[str, Any] = field(default_factory=dict)
    """Factor of variation -> its value, as plain JSON values."""


class Source(Protocol):
    """A format that can be read."""

    def describe(self) -> SourceInfo:
        """What is in it; reads no more than that takes. Raises DataError when it is damaged."""
        ...

    def read(self, k: int, fields: Collection[str]) -> SourceEpisode:
        """Episode `k` with these fields and no others. Raises DataError naming the episode and the field."""
        ...


@runtime_checkable
class ClipSource(Protocol):
    """A source whose films can be copied as they are, because the dataset's own writer made them."""

    def clips(self, k: int, fields: Collection[str]) -> dict[str, bytes]:
        """Field, of these, -> film of all the frames of episode `k`; empty when they cannot be copied."""
        ...


@dataclass(frozen=True)
class ImportedWorld:
    """What an importer will write."""

    spec: WorldSpec
    """The world."""
    fps: float
    """Frames a second."""
    num_episodes: int
    """Episodes that the finished dataset has."""
    record: dict[str, Any]
    """Source and map as plain JSON values: an import goes on only with the same ones."""
    licence: str
    """Of the data, as the hub spells it."""
    taken: tuple[str, ...] = ()
    """One line for each field: what it became."""
    dropped: tuple[str, ...] = ()
    """Fields that are left out."""
    notes: tuple[str, ...] = ()
    """What was assumed, and what could not be held."""


class Importer(Protocol):
    """Episodes from elsewhere, one at a time, in a fixed order: its episode k is the dataset's episode k."""

    def describe(self) -> ImportedWorld:
        """What will be written."""
        ...

    def episodes(self, start: int) -> Iterator[Episode]:
        """The episodes from `start` on. No more than one is held at a time."""
        ...

    def clips(self, k: int) -> dict[str, bytes]:
        """Video column -> film of episode `k` to be copied rather than encoded again; empty for most sources."""
        ...
