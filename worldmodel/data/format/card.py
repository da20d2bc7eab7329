"""The dataset's README: what it holds, how it was made, how much, under which licence, and what it cannot do."""

from __future__ import annotations

import re

from worldmodel.data.dataset import Dataset
from worldmodel.data.format.episode_row import video_columns
from worldmodel.data.format.features import IMPORTED

MAX_TASKS = 50
"""Tasks that are listed before the rest is only counted."""

_IMPORTED = """Imported: another program recorded it. `meta/worldmodel.json` describes the sensors and the action, and
`meta/import.json`, where it is kept, by which map they were made."""

_SIMULATED = "- Simulation only: contact, friction and appearance are the simulator's, and pixels differ between renderers.\n"


def card(dataset: Dataset, licence: str) -> str:
    """Markdown with the front matter by which the Hugging Face hub finds the data files."""
    about = dataset.summary()
    imported = dataset.spec.env_id.startswith("imported/") or (dataset.root / IMPORTED).exists()
    more = [f"and {len(about['tasks']) - MAX_TASKS} more"] if len(about["tasks"]) > MAX_TASKS else []
    tasks = "\n".join(f"- {' '.join(task.split()) or '(no words)'}" for task in [*about["tasks"][:MAX_TASKS], *more])
    access = {True: "privileged: never shown to the encoder", False: "observed"}
    sensors = "\n".join(
        f"| `{key}` | {kind} | {access[dataset.spec.sensors[key].privileged]} |" for key, kind in about["sensors"].items()
    )
    videos = ", ".join(f"`{column}`" for column in video_columns(dataset.features))
    pictures = "Images are PNG, without loss."
    if videos:
        pictures = f"{videos}: H.264 video (yuv420p), which loses what is hard to see; other images are PNG, without loss."
    hub = licence if re.fullmatch(r"[\w.-]+", licence) else "other"
    return f"""---
license: {hub}
task_categories:
- robotics
tags:
- LeRobot
configs:
- config_name: default
  data_files: data/*/*.parquet
---

# {about["env_id"]}, {"imported" if imported else "recorded"}

Episodes of a {"" if imported else "simulated "}robot (`{about["robot"]}`, control mode `{about["control_mode"]}`) in the \
LeRobotDataset v3.0 layout.

## How much

| | |
|---|---|
| episodes | {about["episodes"]} |
| frames | {about["frames"]} |
| actions | {about["actions"]} |
| {"time" if imported else "simulated time"} | {about["hours"]:.2f} h at {about["fps"]:g} frames/s |
| episodes that succeeded | {about["success_share"]:.1%} |
| size of the data files | {about["bytes"] / 1e6:.1f} MB |
| fingerprint | `{about["fingerprint"]}` |

## Tasks

{tasks}

## What a row holds

| sensor | type and shape | |
|---|---|---|
{sensors}

One row a frame. An episode of T actions has T + 1 rows; in its last row the action and the reward are zeros and
`action_is_pad` is true. `next.reward`, `next.done` and `next.success` are what followed the row's action. Columns that start
with `label.` ({", ".join(about["labels"]) or "none here"}) are privileged and meant for probes and evaluation. The
episode rows in `meta/episodes` hold the seed of the environment's reset, success, termination, statistics, a SHA-256 digest,
`env_id`, `robot`, `renderer`, `control_mode`, and `variation`: the factors of variation as JSON text.

## How it was made

{_IMPORTED if imported else _recorded(dataset)} {pictures}

## Licence

{licence}

## Known limits

{"" if imported else _SIMULATED}- The share of successes is that of whoever acted, not of the best policy.
- `meta/stats.json` leaves out the padded last action and reward of each episode.
"""


def _recorded(dataset: Dataset) -> str:
    spec = dataset.spec
    return f"""Recorded in the Gymnasium environment `{spec.env_id}` with `{spec.env_kwargs}`; pixels drawn by
{spec.renderer or "an unnamed renderer"}. `meta/worldmodel.json` describes the world completely, and the
same seed gives the same start again."""
