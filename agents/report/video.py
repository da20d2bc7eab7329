"""Small H.264 videos that every browser plays, written with PyAV."""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
from av.codec import Codec
from av.codec.codec import UnknownCodecError
from av.error import FFmpegError

from worldmodel.errors import DataError

log = logging.getLogger(__name__)

CODECS: tuple[tuple[str, dict[str, str]], ...] = (
    ("libx264", {"crf": "24", "preset": "medium"}),
    ("mpeg4", {"qscale": "4"}),
)
"""Encoders with their options, the preferred one first. Browsers do not play mpeg4; files of it are still videos."""


def pick_codec() -> tuple[str, dict[str, str]]:
    """The first encoder that this build of FFmpeg has, with its options."""
    for name, options in CODECS:
        try:
            Codec(name, "w")
        except UnknownCodecError:
            log.warning("video encoder %s is absent from this build of PyAV", name)
            continue
        return name, options
    raise DataError(f"no video encoder: expected one of {[name for name, _ in CODECS]} in PyAV; reinstall it (pip install av)")


class VideoWriter:
    """Writes frames (H, W, 3) uint8 into an mp4; nothing is at `path` before a clean close.

        with VideoWriter(path, fps=20) as video:
            video.add(frame)

    Frames of odd height or width get their last row or column repeated, because yuv420p halves the colour planes.
    """

    def __init__(self, path: Path, fps: float) -> None:
        if not fps > 0:
            raise DataError(f"frames a second must be positive, got {fps}")
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._part = self.path.with_name(self.path.name + ".part")
        self._rate = Fraction(fps).limit_denominator(1001)
        self._container: Any = None
        self._stream: Any = None
        self._shape: tuple[int, ...] = ()
        self.num_frames = 0

    def add(self, frame: np.ndarray) -> None:
        """Append one frame; every frame has the first one's shape."""
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
            raise DataError(f"a video frame must be (H, W, 3) uint8, got {frame.shape} {frame.dtype}")
        if not self._shape:
            self._open(frame.shape)
        if frame.shape != self._shape:
            raise DataError(f"every frame of {self.path.name} must be {self._shape}, got {frame.shape}")
        even = np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), mode="edge")
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
        picture.pts = self.num_frames
        picture.time_base = 1 / self._rate
        self._container.mux(self._stream.encode(picture))
        self.num_frames += 1

    def close(self) -> Path:
        """Finish the file and give it its name."""
        if self._container is None:
            raise DataError(f"{self.path.name} has no frames; add at least one before closing")
        self._container.mux(self._stream.encode(None))
        self._container.close()
        self._container = None
        self._part.replace(self.path)
        return self.path

    def abort(self) -> None:
        """Drop what was written."""
        if self._container is not None:
            self._container.close()
            self._container = None
        self._part.unlink(missing_ok=True)

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def _open(self, shape: tuple[int, ...]) -> None:
        codec, options = pick_codec()
        # faststart puts the index first, so that a browser shows the first frame at once
        self._container = av.open(str(self._part), "w", format="mp4", options={"movflags": "+faststart"})
        self._stream = self._container.add_stream(codec, rate=self._rate, options=options)
        self._stream.height, self._stream.width = shape[0] + shape[0] % 2, shape[1] + shape[1] % 2
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = 1 / self._rate
        self._stream.codec_context.thread_count = 1  # small pictures gain nothing from threads, and bytes stay the same
        self._shape = shape


def read_video(path: Path) -> tuple[np.ndarray, float]:
    """Frames (T, H, W, 3) uint8 of a video and its frames a second."""
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            rate = stream.average_rate
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    except (FFmpegError, IndexError) as error:
        raise DataError(f"{path} is no readable video: {error}") from error
    if not frames or rate is None:
        raise DataError(f"{path} holds no frames")
    return np.stack(frames), float(rate)
