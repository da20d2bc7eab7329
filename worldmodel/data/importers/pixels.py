"""Pictures and films of a source as RGB arrays, one at a time, so that a long film never lies in memory whole."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from PIL import Image

from worldmodel.data.format.files import one_line
from worldmodel.errors import DataError

VIDEO_SUFFIXES = (".mp4", ".mkv", ".mov", ".avi", ".webm")
MAX_BYTES = 4 * 2**30
"""Pixels that one episode may hold in memory [bytes]."""


def video_frames(path: Path) -> Iterator[np.ndarray]:
    """Frames of a film in the order in which they are shown, each (height, width, 3) uint8.

    Raises:
        DataError: no such file, no film in it, or it is damaged.
    """
    try:
        with av.open(str(path)) as container:
            _require_stream(container, path)
            for frame in container.decode(video=0):
                yield frame.to_ndarray(format="rgb24")
    except (FFmpegError, OSError) as error:
        raise DataError(f"{path} cannot be decoded: {one_line(error)}") from error


def video_shape(path: Path) -> tuple[tuple[int, int, int], Fraction | None]:
    """(height, width, 3) and frames a second of a film, from its header.

    Raises:
        DataError: no such file, or no film in it.
    """
    try:
        with av.open(str(path)) as container:
            _require_stream(container, path)
            stream = container.streams.video[0]
            return (stream.height, stream.width, 3), stream.average_rate
    except (FFmpegError, OSError) as error:
        raise DataError(f"{path} cannot be decoded: {one_line(error)}") from error


def _require_stream(container: InputContainer, path: Path) -> None:
    if not container.streams.video:
        raise DataError(f"{path} holds no video")


def decode_image(data: bytes, what: str) -> np.ndarray:
    """(height, width, 3) uint8 of a PNG or JPEG; grey becomes RGB.

    Raises:
        DataError: neither, damaged, or with an alpha channel or more than 8 bits a channel.
    """
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            if image.mode not in ("RGB", "L"):
                raise DataError(f"{what} is a picture of mode {image.mode}; expected RGB or grey with 8 bits")
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{what} is no PNG or JPEG: {one_line(error)}") from error


def picture_shape(shape: tuple[int, ...], dtype: str) -> tuple[int, int, int] | None:
    """(height, width, 3) when rows of this shape and type are pictures, also with channels first or a single one."""
    if dtype != "uint8" or len(shape) != 3:
        return None
    if shape[2] in (1, 3) and min(shape[:2]) > 3:
        return shape[0], shape[1], 3
    if shape[0] in (1, 3) and min(shape[1:]) > 3:
        return shape[1], shape[2], 3
    return None


def as_pictures(values: np.ndarray) -> np.ndarray:
    """(T, height, width, 3) of such rows, (T, ...)."""
    if values.shape[-1] not in (1, 3):
        values = np.moveaxis(values, 1, -1)
    return values if values.shape[-1] == 3 else np.repeat(values, 3, axis=-1)


def collect(
    images: Iterable[np.ndarray], every: int, size: tuple[int, int] | None, shape: tuple[int, ...], what: str
) -> tuple[np.ndarray, int]:
    """Every n-th picture at the wanted size, (T, height, width, 3), and how many there were in all.

    Args:
        images: (height, width, 3) uint8 each.
        every: n.
        size: (height, width) to resize to, antialiased; None keeps theirs.
        shape: (height, width, 3) that each must end up with.
        what: names the field and the episode in errors.

    Raises:
        DataError: another shape, no picture at all, or too many for memory.
    """
    kept, count, held = [], 0, 0
    for image in images:
        if count % every == 0:
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
                raise DataError(f"{what}: picture {count} is {image.dtype} {image.shape}; expected uint8 (height, width, 3)")
            if size is not None and image.shape[:2] != size:
                resized = Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR)
                image = np.asarray(resized)
            if image.shape != shape:
                raise DataError(
                    f"{what}: picture {count} has the shape {image.shape}; expected {shape} (image_size in the map)"
                )
            kept.append(image)
            held += image.nbytes
            if held > MAX_BYTES:
                raise DataError(f"{what}: more than {MAX_BYTES >> 30} GiB of pixels; set image_size or rates.fps in the map")
        count += 1
    if not kept:
        raise DataError(f"{what}: no pictures")
    return np.stack(kept), count
