"""What is known of an episode without reading its frames, and in which files these are."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from worldmodel.data.format.features import INFO, Feature
from worldmodel.data.format.files import inside
from worldmodel.errors import DataError


@dataclass(frozen=True)
class VideoPlace:
    """Where the frames of an episode are in a video file: frame t is shown at `start` + t / fps."""

    file: str
    """Video file, relative to the dataset."""
    start: float
    """Time of the first frame [s]."""
    stop: float
    """Time at which the last frame ends [s]."""


@dataclass(frozen=True)
class EpisodeRow:
    """What is known of an episode without reading its frames."""

    episode_index: int
    """Its place in the dataset, from 0."""
    length: int
    """Number of frames, T + 1."""
    seed: int
    """Seed of the environment's reset."""
    success: bool
    """The task's own success rule held at the end."""
    terminated: bool
    """The last step ended the task."""
    truncated: bool
    """The last step ran out of budget."""
    total_reward: float
    """Sum of its rewards."""
    instruction: str
    """The task in words."""
    first_frame: int
    """Index of its first frame in the whole dataset."""
    file: str
    """Its data file, relative to the dataset."""
    sha256: str
    """Digest of everything in it, whatever file it is in."""
    env_id: str
    """Gymnasium id of the environment."""
    robot: str
    """Name of the robot."""
    renderer: str
    """What drew its pixels."""
    control_mode: str
    """What one action makes the robot do."""
    variation: dict[str, Any] = field(default_factory=dict)
    """Factor of variation -> its value."""
    videos: dict[str, VideoPlace] = field(default_factory=dict)
    """Video column -> where its frames are."""


def video_columns(features: dict[str, Feature]) -> list[str]:
    """Names of the columns whose frames lie in video files."""
    return [name for name, feature in features.items() if feature["dtype"] == "video"]


def places_of(videos: list[str]) -> list[str]:
    """Columns of the episode rows that say where the frames of these video columns are."""
    return [f"videos/{column}/{place}" for column in videos for place in _VIDEO_PLACES]


_VIDEO_PLACES = ("chunk_index", "file_index", "from_timestamp", "to_timestamp")


def data_file(root: Path, info: dict[str, Any], row: dict[str, Any], checked: set[str] | None = None) -> str:
    """Path of an episode's data file, relative to the dataset.

    Args:
        root: the dataset.
        info: the contents of its info.json.
        row: the episode's row.
        checked: paths that are known not to lead out of the dataset; this one is added.

    Raises:
        DataError: the path leads out of the dataset, or info.json holds no pattern for it.
    """
    return _file(root, info, "data_path", checked, chunk_index=row["data/chunk_index"], file_index=row["data/file_index"])


def video_place(
    root: Path, info: dict[str, Any], row: dict[str, Any], column: str, checked: set[str] | None = None
) -> VideoPlace:
    """Where an episode's frames of a video column are; arguments and errors as of `data_file`."""
    chunk, number, start, stop = (row[name] for name in places_of([column]))
    file = _file(root, info, "video_path", checked, video_key=column, chunk_index=chunk, file_index=number)
    if start is None or stop is None or not 0 <= start < stop < float("inf"):
        raise DataError(f"{root / 'meta/episodes'} is damaged: {column} of an episode is from {start} to {stop} s")
    return VideoPlace(file, float(start), float(stop))


def _file(root: Path, info: dict[str, Any], pattern: str, checked: set[str] | None, **names: Any) -> str:
    try:
        relative = info[pattern].format(**names)
    except (LookupError, ValueError, AttributeError, TypeError) as error:
        raise DataError(f"{root / INFO} is damaged: {pattern} is {info.get(pattern)!r}") from error
    if checked is None or relative not in checked:
        inside(root, relative)
        if checked is not None:
            checked.add(relative)
    return relative
