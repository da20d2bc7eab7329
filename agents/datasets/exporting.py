"""A dataset of ours in the format of others.

worldmodel export DATA --to lerobot|minari --out DIR [--labels]
"""

from __future__ import annotations

from pathlib import Path

from agents.console import Screen, format_seconds
from worldmodel.data import Dataset
from worldmodel.data.exporters import EXPORT, TARGETS, LeRobot, MinariStore, export
from worldmodel.errors import ConfigError, unknown_name


def run(data: Path, to: str, out: Path, labels: bool, screen: Screen) -> int:
    """Export the dataset, or a view of one, and list what the format cannot hold; the exit code is 0."""
    if to not in TARGETS:
        raise ConfigError(unknown_name("format", to, TARGETS))
    if labels and to != "lerobot":
        raise ConfigError(f"--labels has no meaning for {to}, which always holds them; leave it out")
    target = LeRobot(everything=labels) if to == "lerobot" else MinariStore()
    dataset = Dataset.open(data)
    with screen.stage("export") as progress:
        done = export(dataset, target, out, progress)
    for line in done.left_out:
        screen.say(f"left out  {line}")
    screen.say(f"{done.num_episodes} episodes exported in {format_seconds(done.seconds)}")
    screen.say(f"{target.title}: {out}, what it lacks is in {out / EXPORT}" if done.left_out else f"{target.title}: {out}")
    return 0
