"""Episodes of large images as H.264 clips, and clips joined into video files.

A clip starts with a key frame, has no B-frames and depends on nothing outside of it, so that clips are joined by copying
their packets, without a second loss, and a frame is reached by decoding a few frames before it (video_reader.py).
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from worldmodel.checks import require_at_least
from worldmodel.data.format.features import Feature, is_video, sensor_columns
from worldmodel.data.format.video_reader import decode_clip, decoding
from worldmodel.errors import ConfigError, DataError
from worldmodel.types import Episode, WorldSpec


@dataclass(frozen=True)
class VideoConfig:
    """How large images are encoded."""

    crf: int = 18
    """Constant rate factor of x264, 0 to 51, less is better: 18 is hard to tell from the source; 0 keeps yuv420p exactly."""
    gop: int = 8
    """Frames from one key frame to the next. A frame drawn at random costs the decoding of (gop + 1) / 2 frames, and short
    ones cost space: of the table at 480 x 480 pixels (6 clips of 81), 8 takes 1.8 times the bytes of an endless one, and 2
    takes 3.4 times."""

    def __post_init__(self) -> None:
        """Raise ConfigError for what x264 would refuse, or take for something else."""
        if not 0 <= self.crf <= 51:
            raise ConfigError(f"crf is {self.crf}; expected 0 to 51")
        require_at_least(self, 1, "gop")


def rate_of(fps: float) -> Fraction:
    """Frames per second as a fraction that a video file can hold."""
    return Fraction(fps).limit_denominator(10_000)


def encode_clip(images: np.ndarray, fps: float, config: VideoConfig) -> bytes:
    """(T, height, width, 3) uint8 -> an mp4 file.

    The same images give the same bytes.
    """
    buffer = io.BytesIO()
    options = {
        "crf": str(config.crf),
        "g": str(config.gop),
        "bf": "0",  # decoding order is display order, so packets can be joined and cut anywhere
        "preset": "veryfast",  # 1 % larger than medium at these settings (same 6 clips), in half its time
        "threads": "1",  # the number of threads changes what x264 decides
        # With either, the same images came out as other bytes now and then, not on the first clips of a process and not
        # without assembly: it seems to go by memory that an earlier clip left. Without both a clip takes 1.4 to 1.7 times
        # the bytes, at 0.3 dB more; without assembly, three times the time.
        "x264-params": "open-gop=0:weightp=0:mbtree=0",
    }
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=rate_of(fps), options=options)
        stream.height, stream.width, stream.pix_fmt = images.shape[1], images.shape[2], "yuv420p"
        for number, image in enumerate(images):
            # converted here on one thread: left to `encode` (PyAV 18.1), one in a hundred clips came out different
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p", threads=1)
            frame.pts, frame.time_base = number, 1 / rate_of(fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


class ClipEncoder:
    """Turns the pictures of an episode that are stored as video into clips.

    Args:
        spec: the world.
        fps: frames per second.
        config: how they are encoded.
    """

    def __init__(self, spec: WorldSpec, fps: float, config: VideoConfig):
        columns = sensor_columns(spec)
        self.columns = {columns[key]: key for key, sensor in spec.sensors.items() if is_video(sensor)}
        """Video column -> sensor key."""
        self._fps = fps
        self._config = config

    def encode(self, episode: Episode, clips: Mapping[str, bytes]) -> tuple[Episode, dict[str, bytes]]:
        """The episode as it will read back, and the clip of each video column.

        Args:
            episode: as it was recorded.
            clips: video column -> clip that exists already, of this very episode.
        """
        encoded: dict[str, bytes] = {}
        decoded: dict[str, np.ndarray] = {}
        for column, key in self.columns.items():
            images = episode.observations[key]
            encoded[column] = clips.get(column) or encode_clip(images, self._fps, self._config)
            decoded[key] = decode_clip(encoded[column], len(images), images.shape[1:], self._fps, f"a clip of {column}")
        if decoded:
            episode = replace(episode, observations={**episode.observations, **decoded})
        return episode, encoded


def feature_info(feature: Feature, fps: float) -> dict[str, Any]:
    """LeRobot's description of the streams of a video feature (`get_video_info` there), for info.json."""
    height, width, channels = feature["shape"]
    return {
        "video.height": height,
        "video.width": width,
        "video.codec": "h264",
        "video.pix_fmt": "yuv420p",
        "video.is_depth_map": False,
        "video.fps": int(fps) if float(fps).is_integer() else fps,
        "video.channels": channels,
        "has_audio": False,
    }


class ClipJoiner:
    """Joins clips into video files by copying packets; each file ends when it is large enough or the encoder changes.

    Args:
        clips: (number of frames, mp4 file) of each clip, in order; made by `encode_clip`.
        fps: frames per second of all of them.
        limit: size at which a file is closed [bytes].
    """

    def __init__(self, clips: Iterator[tuple[int, bytes]], fps: float, limit: float):
        self._clips = clips
        self._rate = rate_of(fps)
        self._fps = fps
        self._limit = limit
        self._waiting: deque[tuple[int, bytes]] = deque()

    def more(self) -> bool:
        """Whether clips are left for another file."""
        if not self._waiting:
            clip = next(self._clips, None)
            if clip is not None:
                self._waiting.append(clip)
        return bool(self._waiting)

    def write(self, path: Path) -> list[tuple[float, float]]:
        """Write one file; times of the start and of the end of each clip in it [s].

        Raises:
            DataError: a clip is damaged, or holds another number of frames than it should.
        """
        times: list[tuple[float, float]] = []
        frames = size = 0
        with av.open(str(path), "w", format="mp4") as output:
            stream, setup = None, None
            while self.more() and size < self._limit:
                length, clip = self._waiting[0]
                with decoding(f"a clip of {length} frames"), av.open(io.BytesIO(clip), "r") as source:
                    video = source.streams.video[0]
                    if stream is None:
                        stream, setup = output.add_stream_from_template(video), video.codec_context.extradata
                    elif video.codec_context.extradata != setup:
                        break  # another x264 made it: its packets need their own header
                    first = frames
                    for packet in source.demux(video):
                        if packet.size == 0:  # the end of the stream
                            continue
                        packet.stream = stream
                        packet.time_base = 1 / self._rate
                        packet.pts = packet.dts = frames
                        packet.duration = 1
                        output.mux(packet)
                        frames += 1
                if frames - first != length:
                    raise DataError(f"a recorded clip is damaged: {frames - first} frames; expected {length}")
                times.append((first / self._fps, frames / self._fps))
                size += len(clip)
                self._waiting.popleft()
        return times


def cut_clip(path: Path, start: float, length: int, fps: float) -> bytes:
    """The clip of `length` frames that begins at `start` [s] in a file of a ClipJoiner, as an mp4 file.

    Raises:
        DataError: the file is missing or damaged, or no clip of that length begins there.
    """
    if not path.is_file():
        raise DataError(f"{path} is missing; expected a file of the dataset")
    rate, buffer, done = rate_of(fps), io.BytesIO(), 0
    first = round(start * fps)
    with decoding(str(path)), av.open(str(path), "r") as source, av.open(buffer, "w", format="mp4") as output:
        video = source.streams.video[0]
        assert video.time_base is not None
        stream = output.add_stream_from_template(video)
        source.seek(round(Fraction(first) / rate / video.time_base), stream=video)
        for packet in source.demux(video):
            if packet.size == 0 or done == length:
                break
            assert packet.pts is not None
            number = round(packet.pts * video.time_base * rate)
            if number < first:
                continue
            if number != first + done or (done == 0 and not packet.is_keyframe):
                raise DataError(f"{path} is damaged: no clip begins at {start:g} s")
            packet.stream = stream
            packet.time_base = 1 / rate
            packet.pts = packet.dts = done
            packet.duration = 1
            output.mux(packet)
            done += 1
    if done != length:
        raise DataError(f"{path} is damaged: {done} frames from {start:g} s on; expected {length}")
    return buffer.getvalue()
