"""What a user may say about a source: names, units, rates, and what the source itself does not tell.

    names:                              # field of the source -> what it becomes
      observation.images.top: pixels    #   a sensor
      action: action                    #   part of the action; several fields stand behind each other in the source's order
      next.reward: reward               #   or: success (its last value), label.NAME (for probes, never for the encoder), drop
    unnamed: keep                       # fields not named above: keep (as the source suggests) or drop
    units:                              # field -> value * scale + offset, and the unit that goes into the names
      observation.state: {scale: 0.001, unit: m}
    rates: {source_fps: 30, fps: 10, actions: sum}
    image_size: [64, 64]                # height, width
    robot: panda
    control_mode: end effector velocity
    env_id: ""
    instruction: put the cup on the shelf
    action_low: [-1, -1]
    action_high: [1, 1]

Every key is optional. The command line reads it strictly: an unknown key is an error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from worldmodel.checks import require_positive
from worldmodel.errors import ConfigError

ACTION, REWARD, SUCCESS, DROP, LABEL = "action", "reward", "success", "drop", "label."
"""Targets that are no sensor; LABEL is a prefix."""


@dataclass(frozen=True)
class Unit:
    """Value in the dataset = value in the source * scale + offset."""

    scale: float | tuple[float, ...] = 1.0
    """One factor, or one for each element."""
    offset: float | tuple[float, ...] = 0.0
    """One summand, or one for each element [unit]."""
    unit: str = ""
    """Goes into the names of the elements, in brackets; empty leaves the names as they are."""

    def __post_init__(self) -> None:
        """Raise ConfigError for a factor of zero, which would lose the field, or one that is not finite."""
        for name in ("scale", "offset"):
            value = getattr(self, name)
            for number in value if isinstance(value, tuple) else (value,):
                if not math.isfinite(number) or (name == "scale" and number == 0):
                    raise ConfigError(f"{name} is {number}; expected a finite number{' other than 0' * (name == 'scale')}")


@dataclass(frozen=True)
class Rates:
    """How often the source was recorded, and how often the dataset shall be."""

    source_fps: float | None = None
    """Frames a second of the source; null takes what the source tells."""
    fps: float | None = None
    """Frames a second of the dataset; the source's must be a whole multiple of it. null keeps every frame."""
    actions: Literal["sum", "last", "stack"] | None = None
    """What becomes of the n actions from one kept frame to the next: their sum (displacements), the last one (targets),
    or all behind each other (n * A elements). Must be said when frames are dropped. Rewards are always summed; steps
    after the last kept frame, fewer than n, are left out."""

    def __post_init__(self) -> None:
        """Raise ConfigError for a rate that is not positive."""
        for name in ("source_fps", "fps"):
            if getattr(self, name) is not None:
                require_positive(self, name)


@dataclass(frozen=True)
class ImportMap:
    """What a source's fields become; see the top of this file."""

    names: dict[str, str] = field(default_factory=dict)
    """Field of the source -> sensor key, `action`, `reward`, `success`, `label.NAME` or `drop`."""
    unnamed: Literal["keep", "drop"] = "keep"
    """What becomes of fields that `names` does not have."""
    units: dict[str, Unit] = field(default_factory=dict)
    """Field of the source -> its scale, offset and unit."""
    rates: Rates = Rates()
    """Frames a second, before and after."""
    image_size: tuple[int, int] | None = None
    """(height, width) that all pictures get [pixels]; null keeps theirs."""
    privileged: tuple[str, ...] = ()
    """Sensor keys that are the simulator's own state, which no encoder may read."""
    robot: str | None = None
    """Name of the robot; null takes what the source tells."""
    control_mode: str | None = None
    """What one action makes the robot do; null takes what the source tells."""
    env_id: str | None = None
    """Gymnasium id of the environment; null takes what the source tells."""
    instruction: str | None = None
    """The task in words, for every episode; null takes each episode's own."""
    action_names: tuple[str, ...] | None = None
    """A name for each element of the action, before any stacking; null takes the source's."""
    action_low: tuple[float, ...] | None = None
    """Lower bound of each element of the action, in the dataset's units and before any summing or stacking; null takes
    the source's, or the smallest value in its data."""
    action_high: tuple[float, ...] | None = None
    """Upper bound of each element."""
    skip_episodes: tuple[int, ...] = ()
    """Episodes of the source that are left out; those after them move up."""
    licence: str = "unknown"
    """Of the data, as the hub spells it; goes into the dataset's card."""

    def __post_init__(self) -> None:
        """Raise ConfigError for bounds, sizes or names that make no sense on their own."""
        if (self.action_low is None) != (self.action_high is None):
            raise ConfigError("action_low and action_high belong together; one is missing")
        if self.action_low is not None and self.action_high is not None:
            if len(self.action_low) != len(self.action_high):
                raise ConfigError(f"action_low has {len(self.action_low)} elements and action_high {len(self.action_high)}")
            if not all(a < b for a, b in zip(self.action_low, self.action_high, strict=True)):
                raise ConfigError(f"action_low is {self.action_low} and action_high {self.action_high}; expected low < high")
        if self.image_size is not None and not all(0 < side <= 4096 for side in self.image_size):
            raise ConfigError(f"image_size is {self.image_size}; expected sides from 1 to 4096")
        if any(k < 0 for k in self.skip_episodes):
            raise ConfigError(f"skip_episodes is {self.skip_episodes}; expected numbers from 0")
        targets = [target for target in self.names.values() if target not in (ACTION, DROP)]
        twice = sorted({target for target in targets if targets.count(target) > 1})
        if twice:
            raise ConfigError(f"names: two fields become {twice[0]!r}; only {ACTION!r} is put together of several")
