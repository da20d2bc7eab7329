"""The commands and their flags: what `worldmodel COMMAND --flags key=value` is read into, by agents/parsing.py."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

Kind = Literal["lerobot-v2", "lerobot-v3", "minari", "robomimic", "d4rl", "videos"]
Number = Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")]
Folder = Annotated[Path, tyro.conf.arg(metavar="FOLDER")]
Overrides = Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="[key=value ...]", help_behavior_hint="")]


@dataclass(frozen=True)
class Demo:
    """Record, train, evaluate and report, once through; run it again after Ctrl-C and it goes on."""

    out: Folder = Path("runs/demo")
    """Run folder; its dataset goes into FOLDER/data."""
    config: Annotated[Path, tyro.conf.arg(metavar="FILE.yaml")] = Path("configs/demo.yaml")
    """Experiment file."""
    overrides: Overrides = ()
    """Settings that differ from the file's."""


@dataclass(frozen=True)
class Record:
    """Record rollouts as a dataset in the LeRobot v3 layout."""

    config: Annotated[Path, tyro.conf.arg(metavar="FILE.yaml")]
    """Experiment file."""
    episodes: Number = None
    """Episodes in all; those already in the folder count."""
    seed: Number = None
    """Which sequence of episodes."""
    workers: Number = None
    """Processes."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DATA", help_behavior_hint="")] = None
    """Dataset folder; data/NAME-OF-THE-CONFIG unless told."""
    ray: Annotated[str | None, tyro.conf.arg(metavar="[ADDRESS]", help_behavior_hint="")] = None
    """Workers are Ray actors: of a Ray that is started here, or of the cluster at ADDRESS."""
    overrides: Overrides = ()
    """Settings that differ from the file's."""


@dataclass(frozen=True)
class Train:
    """Train a world model on a dataset, then fit its heads."""

    config: Annotated[Path, tyro.conf.arg(metavar="FILE.yaml")]
    """Experiment file."""
    data: Annotated[tyro.conf.UseAppendAction[tuple[Path, ...]], tyro.conf.arg(metavar="DATA")] = ()
    """Dataset folder that `record` wrote, or a view of one; several, each with --data, are mixed by data.weights."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="RUN", help_behavior_hint="")] = None
    """Run folder; runs/NAME-OF-THE-CONFIG unless told."""
    resume: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Go on with the run that is in the folder."""
    overrides: Overrides = ()
    """Settings that differ from the file's."""


@dataclass(frozen=True)
class Evaluate:
    """Score agents on held-out starts, the same ones for each agent."""

    run: Annotated[Path, tyro.conf.arg(metavar="RUN")]
    """Run folder that `train` wrote."""
    episodes: Number = None
    """Episodes an agent."""
    seed: Number = None
    """Which sequence of starts."""
    agents: Annotated[str | None, tyro.conf.arg(metavar="NAMES", help_behavior_hint="")] = None
    """Names with commas between; the run's own unless told. The floor, random, and the ceiling, expert, always play."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """Also write the scores here."""
    overrides: Overrides = ()
    """Settings that differ from the run's: env, planner, cost and evaluate."""


@dataclass(frozen=True)
class Play:
    """Act through one episode and film it."""

    run: Annotated[Path, tyro.conf.arg(metavar="RUN")]
    """Run folder that `train` wrote."""
    seed: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Seed of the environment's reset."""
    video: Annotated[Path | None, tyro.conf.arg(metavar="FILE.mp4", help_behavior_hint="")] = None
    """Film; RUN/videos/play-SEED.mp4 unless told."""
    overrides: Overrides = ()
    """Settings that differ from the run's: env, planner and cost."""


@dataclass(frozen=True)
class Report:
    """Write RUN/report.html: curves, pictures and scores."""

    run: Annotated[Path, tyro.conf.arg(metavar="RUN")]
    """Run folder."""


@dataclass(frozen=True)
class Inspect:
    """What is in a dataset or a run, is it whole, does it fit its environment."""

    path: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DATA|RUN")]
    """Dataset folder, view file or run folder."""
    sheet: Annotated[Path | None, tyro.conf.arg(metavar="FILE.png", help_behavior_hint="")] = None
    """Contact sheet of a dataset; DATA/contact_sheet.png unless told."""


@dataclass(frozen=True)
class Import:
    """Import rollouts: LeRobot v2.1 and v3, Minari, robomimic and D4RL HDF5, or films with or without actions."""

    source: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="SOURCE")]
    """Folder or file; what kind it is, is found out."""
    out: Annotated[Path, tyro.conf.arg(metavar="DATA")]
    """Dataset folder; an import that was stopped there goes on."""
    map: Annotated[Path | None, tyro.conf.arg(metavar="FILE.yaml", help_behavior_hint="")] = None
    """What the source's names, units and rates become; docs/data.md lists its keys."""
    kind: Annotated[Kind | None, tyro.conf.arg(help_behavior_hint="")] = None
    """What the source is, where it could be several things."""


@dataclass(frozen=True)
class Export:
    """Write a dataset in the format of others, and list what that cannot hold."""

    data: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DATA")]
    """Dataset folder or view file."""
    to: Annotated[str, tyro.conf.arg(metavar="lerobot|minari")]
    """The format."""
    out: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """A new folder."""
    labels: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """lerobot only: keep what only this program reads, labels, last observations and seeds, where others overlook it."""


@dataclass(frozen=True)
class Repair:
    """Drop exactly what is damaged of a dataset, say so, and keep everything else."""

    data: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DATA")]
    """Dataset folder."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None
    """Write the repaired dataset here and leave DATA alone."""
    dry_run: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Only show what would be done."""
    delete: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Delete the damaged files; they are kept in DATA/damaged unless told."""


@dataclass(frozen=True)
class Merge:
    """Join datasets that fit: the same sensors, actions, labels and rate. Duplicates are taken once."""

    data: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="DATA DATA ...", help_behavior_hint="")]
    """Dataset folders or view files, in order; the world is the first one's."""
    out: Annotated[Path, tyro.conf.arg(metavar="DATA")]
    """A new folder."""


@dataclass(frozen=True)
class Curate:
    """Choose episodes by a condition into a view: a small file that stands for a dataset wherever one is asked for."""

    data: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DATA")]
    """Dataset folder or view file."""
    where: Annotated[str, tyro.conf.arg(metavar="CONDITION")]
    """Such as "success and length >= 4 and task ~ 'cup' and seed % 2 == 0 and not frozen"."""
    out: Annotated[Path, tyro.conf.arg(metavar="VIEW.json")]
    """The view."""


@dataclass(frozen=True)
class Sweep:
    """Run the trials of a W&B sweep file here, without a server; run it again after a stop and it goes on."""

    file: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="SWEEP.yaml")]
    """The sweep: method grid or random, and parameters."""
    data: Annotated[tyro.conf.UseAppendAction[tuple[Path, ...]], tyro.conf.arg(metavar="DATA")] = ()
    """Dataset folder or view file; several, each with --data, are mixed by data.weights."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None
    """Folder of the trials and of their table; runs/sweeps/NAME-OF-THE-FILE unless told."""
    overrides: Overrides = ()
    """A parameter's value, which leaves the trials that have it, or settings laid over all of them."""


@dataclass(frozen=True)
class Doctor:
    """Is this machine ready: Python, torch and device, GL, video, W&B, disk."""


Command = (
    Demo | Record | Train | Sweep | Evaluate | Play | Report | Inspect | Import | Export | Repair | Merge | Curate | Doctor
)
COMMANDS = {
    "demo": Demo,
    "record": Record,
    "train": Train,
    "sweep": Sweep,
    "evaluate": Evaluate,
    "play": Play,
    "report": Report,
    "inspect": Inspect,
    "import": Import,
    "export": Export,
    "repair": Repair,
    "merge": Merge,
    "curate": Curate,
    "doctor": Doctor,
}
"""Name -> command."""
