"""Exact frames out of a video file, chosen by their time."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError

from worldmodel.data.format.files import one_line
from worldmodel.errors import DataError


class VideoReader:
    """Exact frames out of one video file; a context manager. Reading on is cheap, going elsewhere costs a seek.

    Args:
        file: path of the file, or the file itself.
        shape: (height, width, 3) that is expected.
        fps: frames per second: a frame within a quarter of its duration of a time is the frame of that time.
        what: names the file in errors.

    Raises:
        DataError: no such file, damaged, or no video.
    """

    def __init__(self, file: Path | bytes, shape: tuple[int, ...], fps: float, what: str):
        if isinstance(file, Path) and not file.is_file():
            raise DataError(f"{what} is missing; expected a file of the dataset")
        self._shape = shape
        self._fps = fps
        self._what = what
        with decoding(what):
            self._container: InputContainer = av.open(io.BytesIO(file) if isinstance(file, bytes) else str(file), "r")
            if not self._container.streams.video:
                self._container.close()
                raise DataError(f"{what} is damaged: it holds no video")
            self._stream = self._container.streams.video[0]
            # a frame that is seen to be broken is an error, never a guess at what it might have been
            self._stream.codec_context.options = {"err_detect": "explode"}
        self._frames = self._container.decode(self._stream)
        self._next = 0.0
        """Time of the frame that is decoded next, as far as is known [s]."""

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Closing twice is harmless."""
        self._container.close()

    def read(self, times: np.ndarray) -> np.ndarray:
        """The frames at these times, (n,) ascending [s] -> (n, height, width, 3) uint8.

        Raises:
            DataError: no frame is shown at one of them, it has another size, or the file is damaged.
        """
        out = np.empty((len(times), *self._shape), np.uint8)
        with decoding(self._what):
            if len(times) and not self._next - 0.25 / self._fps <= times[0] <= self._next + 16 / self._fps:
                self._seek(float(times[0]))
            for place, time in enumerate(times):
                out[place] = self._decode_until(float(time))
        return out

    def count(self) -> int:
        """Number of frames that the file holds, by its packets; nothing is decoded, and nothing can be read afterwards."""
        with decoding(self._what):
            self._container.seek(0)
            return sum(packet.size > 0 for packet in self._container.demux(self._stream))

    def _seek(self, time: float) -> None:
        assert self._stream.time_base is not None
        self._container.seek(max(0, round(time / self._stream.time_base)), stream=self._stream)
        self._frames = self._container.decode(self._stream)

    def _decode_until(self, time: float) -> np.ndarray:
        slack, first = 0.25 / self._fps, True
        while True:
            frame = next(self._frames, None)
            if frame is None or frame.time is None:
                raise DataError(f"{self._what} is damaged: it ends before {time:g} s")
            self._next = frame.time + 1 / self._fps
            if frame.time > time + slack:
                if not first or frame.time <= slack:
                    raise DataError(f"{self._what} is damaged: it has no frame at {time:g} s; the next is at {frame.time:g} s")
                self._seek(0.0)  # the index led past the frame: look for it from the start
            elif frame.time >= time - slack:
                if (frame.height, frame.width) != self._shape[:2]:
                    size, expected = (f"{h} x {w}" for h, w in ((frame.height, frame.width), self._shape[:2]))
                    raise DataError(f"{self._what} is {size} pixels; expected {expected}")
                return frame.to_ndarray(format="rgb24", threads=1)
            first = False


def decode_clip(clip: bytes, length: int, shape: tuple[int, ...], fps: float, what: str = "a clip") -> np.ndarray:
    """A clip of `length` frames as it will be read, (T, height, width, 3) uint8."""
    with VideoReader(clip, shape, fps, what) as reader:
        return reader.read(np.arange(length) / fps)


@contextlib.contextmanager
def decoding(what: str) -> Iterator[None]:
    """Turn what FFmpeg says about a bad file into one line that names it."""
    try:
        yield
    except DataError:
        raise
    except (FFmpegError, OSError, ValueError, OverflowError, EOFError) as error:
        raise DataError(f"{what} is damaged: {type(error).__name__} {one_line(error)}") from error
