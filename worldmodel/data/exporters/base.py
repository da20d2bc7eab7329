"""A dataset into a new folder in another format: the folder appears whole or not at all, with a list of what is not in it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from worldmodel.data.dataset import Dataset
from worldmodel.data.format.files import publish
from worldmodel.data.upkeep.swap import new_folder
from worldmodel.errors import DataError
from worldmodel.progress import NoProgress, Progress

EXPORT = "EXPORT.md"
"""File in the exported folder that says where it comes from and what it does not hold."""


class Target(Protocol):
    """A format to export to."""

    @property
    def title(self) -> str:
        """What the format is called."""
        ...

    def left_out(self, dataset: Dataset) -> list[str]:
        """One line for each thing of the dataset that the export will not hold."""
        ...

    def write(self, dataset: Dataset, out: Path, progress: Progress) -> None:
        """Write the dataset into an empty folder, whose name will be another one in the end."""
        ...


@dataclass(frozen=True)
class Exported:
    """What a call of `export` did."""

    num_episodes: int
    """Episodes that were written."""
    left_out: tuple[str, ...]
    """One line for each thing that the export does not hold."""
    seconds: float
    """Duration of this call [s]."""


def export(dataset: Dataset, target: Target, out: Path, progress: Progress | None = None) -> Exported:
    """Write the dataset, or the episodes selected of it, into `out`; run it again after a kill.

    Until it is finished, everything is in a hidden folder beside `out`, which the next call removes.

    Args:
        dataset: what to export; it is only read.
        target: the format.
        out: a folder that does not exist yet, or is empty.
        progress: told the number of episodes done.

    Raises:
        DataError: `out` holds something, or is inside the dataset; the dataset is damaged; or the disk is full.
        MissingExtraError: the format needs a package that is not installed.
    """
    begun = time.monotonic()
    out = Path(out)
    if out.resolve().is_relative_to(dataset.root.resolve()):
        raise DataError(f"{out} is inside of the dataset {dataset.root}; choose a folder elsewhere")
    left_out = target.left_out(dataset)
    with new_folder(out) as part:
        target.write(dataset, part, progress or NoProgress())
        publish(part / EXPORT, _described(dataset, target, left_out).encode())
    return Exported(dataset.num_episodes, tuple(left_out), time.monotonic() - begun)


def numbers(values: tuple[float, ...]) -> str:
    """Bounds in words: `-1 to 1` is said once when all are the same."""
    return f"{values[0]:g}" if len(set(values)) == 1 else ", ".join(f"{value:g}" for value in values)


def _described(dataset: Dataset, target: Target, left_out: list[str]) -> str:
    lost = "\n".join(f"- {line}" for line in left_out) or "Nothing: everything of the dataset is in this one."
    return f"""# Exported to {target.title}

| | |
|---|---|
| from | `{dataset.root.name}`, fingerprint `{dataset.fingerprint}` |
| environment | `{dataset.spec.env_id}`, robot `{dataset.spec.robot}`, control mode `{dataset.spec.control_mode}` |
| episodes | {dataset.num_episodes} |
| actions | {dataset.num_frames - dataset.num_episodes} |

## What is not in here

{lost}
"""
