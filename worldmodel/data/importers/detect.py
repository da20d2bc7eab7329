"""Which kind of source a path is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from worldmodel.data.importers import d4rl, lerobot_v2, lerobot_v3, minari_store, robomimic, videos
from worldmodel.data.importers.base import Source
from worldmodel.errors import DataError

Kind = Literal["lerobot-v2", "lerobot-v3", "minari", "robomimic", "d4rl", "videos"]


@dataclass(frozen=True)
class Format:
    """One kind of source."""

    looked_for: str
    """What tells it, in words."""
    matches: Callable[[Path], bool]
    """Whether a path looks like it."""
    open: Callable[[Path], Source]
    """Opens it."""


FORMATS: dict[Kind, Format] = {
    "lerobot-v2": Format("meta/info.json of v2.1", lerobot_v2.is_lerobot_v2, lerobot_v2.LeRobotV2),
    "lerobot-v3": Format("meta/info.json of v3.0", lerobot_v3.is_lerobot_v3, lerobot_v3.LeRobotV3),
    "minari": Format("data/metadata.json", minari_store.is_minari, minari_store.Minari),
    "robomimic": Format("an .hdf5 file with data/demo_N", robomimic.is_robomimic, robomimic.Robomimic),
    "d4rl": Format("an .hdf5 file with observations and terminals or timeouts", d4rl.is_d4rl, d4rl.D4RL),
    "videos": Format(f"a folder of films ({', '.join(videos.VIDEO_SUFFIXES)})", videos.is_videos, videos.Videos),
}
"""Kind -> format, in the order in which they are tried."""


def open_source(path: Path, kind: Kind | None = None) -> Source:
    """The source at a path, of the named kind or of the one that it looks like.

    Raises:
        DataError: no such path, or nothing known; the message lists what was looked for.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    if kind is not None:
        if not FORMATS[kind].matches(path):
            raise DataError(f"{path} is no {kind} source: expected {FORMATS[kind].looked_for}")
        return FORMATS[kind].open(path)
    for known in FORMATS.values():
        if known.matches(path):
            return known.open(path)
    tried = "; ".join(f"{name} ({known.looked_for})" for name, known in FORMATS.items())
    raise DataError(f"{path} is nothing that can be imported; looked for {tried}")
