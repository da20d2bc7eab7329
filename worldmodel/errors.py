"""Exceptions that a user can cause; the command line prints them as one line and exits with code 2.

WorldModelError (ValueError)
├── ConfigError        a configuration names an unknown key, or holds a value of the wrong type
├── DataError          a folder is no dataset, or a dataset is damaged
├── CheckpointError    a folder is no checkpoint, or a checkpoint is damaged
├── MismatchError      a checkpoint, a dataset and an environment do not fit each other
├── MissingExtraError  an optional dependency is needed and absent
└── LostRankError      another process of a run has ended, or cannot be reached
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class WorldModelError(ValueError):
    """A mistake that its message tells how to mend: what was got, what was expected, what to do."""


class ConfigError(WorldModelError):
    """A configuration names an unknown key, or holds a value of the wrong type."""


class DataError(WorldModelError):
    """A folder is no dataset, or a dataset is damaged."""


class CheckpointError(WorldModelError):
    """A folder is no checkpoint, or a checkpoint is damaged."""


class MismatchError(WorldModelError):
    """A checkpoint, a dataset and an environment do not fit each other."""


class MissingExtraError(WorldModelError):
    """An optional dependency is needed and absent."""


class LostRankError(WorldModelError):
    """Another process of a run has ended, or cannot be reached."""


def unknown_name(kind: str, name: str, available: Iterable[str]) -> str:
    """The message for a name that is not among the available ones, with the nearest spelling."""
    names = sorted(available)
    nearest = difflib.get_close_matches(name, names, n=1)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    return f"unknown {kind} {name!r}; available: {', '.join(names)}.{hint}"
