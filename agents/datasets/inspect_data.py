"""What is in a dataset: how much, which tasks, which sensors, how long, how good, and a picture of it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from agents.console import Screen
from agents.datasets.contact_sheet import write_sheet
from worldmodel.data import Dataset
from worldmodel.data.curation.quality import FLAGS, known_quality
from worldmodel.errors import DataError

SHEET = "contact_sheet.png"
BAR = 32
"""Characters of the longest bar of a histogram."""
MAX_BINS, MAX_TASKS = 12, 12


def show_contents(path: Path, dataset: Dataset, screen: Screen) -> None:
    """Print what a dataset, or a view of one, holds."""
    about = dataset.summary()
    whole = dataset.whole.num_episodes
    lines = {
        "world": ", ".join(filter(None, (about["env_id"], about["robot"], about["control_mode"]))) or "not named",
        "episodes": f"{about['episodes']:,}" + (f" of {whole:,}" if dataset is not dataset.whole else ""),
        "frames": f"{about['frames']:,}, {about['actions']:,} actions",
        "time": f"{about['hours']:.2f} h at {about['fps']:g} frames/s",
        "success": f"{about['success_share']:.1%}",
        "labels": ", ".join(about["labels"]) or "none",
        "drawn by": about["renderer"] or "not named",
        "size": f"{about['bytes'] / 1e6:,.1f} MB in {len(dataset.data_files) + len(dataset.video_files)} files",
        "fingerprint": about["fingerprint"],
    }
    screen.say(f"{'dataset' if dataset is dataset.whole else 'view':<10}{path}")
    for name, value in lines.items():
        screen.say(f"  {name:<16}{value}")
    screen.table("Sensors", ("sensor", "type", "shape", "kind", "seen by the model"), _sensors(dataset), words=5)
    screen.table("Tasks", ("task", "episodes", "share", "success"), _tasks(dataset))
    screen.heading("Length of episodes (actions)")
    for line in histogram(np.array([row.length - 1 for row in dataset.episodes])):
        screen.say(f"  {line}")
    quality = known_quality(dataset)
    if quality is None:
        screen.say(f"quality   not measured; worldmodel curate {path} --where 'not frozen' --out VIEW.json does it")
    else:
        counts = {name: int(flag[dataset.indices].sum()) for name, flag in quality.flags.items()}
        rows = [(name, FLAGS[name], f"{n:,}", f"{n / dataset.num_episodes:.1%}") for name, n in counts.items()]
        screen.table("Quality flags", ("flag", "says", "episodes", "share"), rows, words=2)


def draw_contents(path: Path, dataset: Dataset, sheet: Path | None, screen: Screen) -> None:
    """Write the contact sheet: to `sheet`, or into the dataset's folder, or beside the view."""
    if sheet is not None and sheet.suffix.lower() != ".png":
        raise DataError(f"{sheet} cannot name a contact sheet; expected a name that ends in .png")
    target = sheet or (path / SHEET if path.is_dir() else path.with_suffix(".png"))
    try:
        with screen.stage("pictures") as progress:
            count = write_sheet(dataset, target, progress=progress)
    except DataError as error:
        if sheet is not None:
            raise
        screen.say(f"no contact sheet: {error}")
        return
    screen.say(f"contact sheet of {count} episodes: {target}")


def histogram(values: np.ndarray) -> list[str]:
    """A line a bin: its range, a bar, its count. Whole numbers (E,), in at most `MAX_BINS` bins of the same width."""
    low, high = int(values.min()), int(values.max())
    width = -(-(high - low + 1) // MAX_BINS)
    counts = np.bincount((values - low) // width)
    ranges = [(low + k * width, min(low + (k + 1) * width - 1, high)) for k in range(len(counts))]
    names = [f"{a}" if a == b else f"{a} to {b}" for a, b in ranges]
    margin = max(map(len, names))
    bars = [round(BAR * count / counts.max()) or int(count > 0) for count in counts.tolist()]
    return [
        f"{name:>{margin}}  {'█' * bar:<{BAR}}  {count:,}"
        for name, bar, count in zip(names, bars, counts.tolist(), strict=True)
    ]


def _sensors(dataset: Dataset) -> list[tuple[str, ...]]:
    return [
        (key, s.dtype, " x ".join(map(str, s.shape)), _kind(dataset, key), "never" if s.privileged else "may be")
        for key, s in dataset.spec.sensors.items()
    ]


def _kind(dataset: Dataset, key: str) -> str:
    sensor = dataset.spec.sensors[key]
    return f"camera {sensor.camera or key}" if sensor.kind == "image" else "numbers"


def _tasks(dataset: Dataset) -> list[tuple[str, ...]]:
    """The most frequent tasks: how often, and how often with success."""
    counts = Counter(row.instruction for row in dataset.episodes)
    wins = Counter(row.instruction for row in dataset.episodes if row.success)
    total = dataset.num_episodes
    rows = [
        (task or "(no words)", f"{n:,}", f"{n / total:.1%}", f"{wins[task] / n:.1%}")
        for task, n in counts.most_common(MAX_TASKS)
    ]
    rest = total - sum(n for _, n in counts.most_common(MAX_TASKS))
    return [*rows, (f"{len(counts) - MAX_TASKS} more", f"{rest:,}", f"{rest / total:.1%}", "")] if rest else rows
