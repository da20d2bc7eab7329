"""Drawing on pictures: action arrows through the camera calibration, contact sheets, captions of film frames.

H height, W width, N arrows, A action dim, P points an action visits
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from worldmodel.errors import DataError
from worldmodel.types import ActionSpec

WHITE, INK = (255, 255, 255), (20, 24, 28)
SUPERSAMPLE = 4
"""Arrows are drawn this many times larger and shrunk, for smooth edges."""


def can_draw(spec: ActionSpec | None) -> bool:
    """Whether actions of this kind have places on the picture."""
    return spec is not None and spec.image_from_action is not None and len(spec.points) > 0


def action_to_pixels(spec: ActionSpec, action: np.ndarray, width: int, height: int) -> np.ndarray:
    """Where the points of an action (A,) lie on a picture: (P, 2) as (column, row) of pixel centres."""
    if spec.image_from_action is None or not spec.points:
        raise DataError("this action has no camera calibration: expected ActionSpec.points and image_from_action")
    if action.shape != (spec.dim,):
        raise DataError(f"expected an action of shape ({spec.dim},), got {action.shape}")
    affine = np.asarray(spec.image_from_action, dtype=np.float64)
    points = np.array([[action[i], action[j], 1.0] for i, j in spec.points]) @ affine.T  # (P, 2) in [-1, 1]
    # -1 and 1 are the outer edges of the picture, so pixel k spans [k, k + 1] and has its centre at k + 0.5
    return (points + 1.0) / 2.0 * (width, height) - 0.5


def enlarge(picture: np.ndarray, scale: int) -> np.ndarray:
    """The picture (H, W, 3) with each pixel repeated: (H * scale, W * scale, 3). Nothing is smoothed over."""
    return picture.repeat(scale, axis=0).repeat(scale, axis=1)


def draw_arrows(
    picture: np.ndarray,
    spec: ActionSpec,
    actions: np.ndarray,
    colours: Sequence[tuple[int, int, int]] = (WHITE,),
    *,
    scale: int = 1,
    thickness: float = 0.016,
    rim: float = 0.4,
) -> np.ndarray:
    """The picture enlarged by `scale`, with an arrow for each action (N, A), the last on top: (H * scale, W * scale, 3).

    `colours` holds one colour an action, or one for all. `thickness` is a share of the picture's width, `rim` (the dark
    edge that keeps an arrow visible on anything) a share of that.
    """
    if len(colours) not in (1, len(actions)):
        raise DataError(f"expected 1 or {len(actions)} colours, got {len(colours)}")
    base = Image.fromarray(enlarge(picture, scale))
    width, height = base.width * SUPERSAMPLE, base.height * SUPERSAMPLE
    overlay = Image.new("RGBA", (width, height), (*INK, 0))
    canvas = ImageDraw.Draw(overlay)
    stroke = max(thickness * width, SUPERSAMPLE)
    for index, action in enumerate(actions):
        points = action_to_pixels(spec, np.asarray(action), width, height)
        colour = colours[index % len(colours)]
        _arrow(canvas, points, stroke, rim * stroke, INK)
        _arrow(canvas, points, stroke, 0.0, colour)
    shrunk = overlay.resize(base.size, Image.Resampling.BOX)
    base.paste(shrunk, mask=shrunk.getchannel("A"))
    return np.asarray(base)


def draw_arrow(
    picture: np.ndarray, spec: ActionSpec, action: np.ndarray, colour: tuple[int, int, int] = WHITE, *, scale: int = 1
) -> np.ndarray:
    """The picture enlarged by `scale` with the arrow of one action (A,): (H * scale, W * scale, 3)."""
    return draw_arrows(picture, spec, np.asarray(action)[None], (colour,), scale=scale)


def _arrow(canvas: ImageDraw.ImageDraw, points: np.ndarray, stroke: float, border: float, colour: tuple[int, int, int]) -> None:
    """A dot at the first of the points (P, 2), a line through them, a head whose tip is the last; `border` wider all round."""
    fill = (*colour, 255)
    _disc(canvas, points[0], 0.9 * stroke + border, fill)
    if len(points) < 2:
        return
    tip, before = points[-1], points[-2]
    length = float(np.linalg.norm(tip - before))
    if length < 1e-6:
        return
    along = (tip - before) / length
    across = np.array([-along[1], along[0]])
    neck = tip - along * min(3.6 * stroke, length)
    head = [tip, neck + across * 1.7 * stroke, neck - across * 1.7 * stroke]
    line = [tuple(point) for point in (*points[:-1], neck)]
    canvas.line(line, fill=fill, width=max(round(stroke + 2 * border), 1), joint="curve")
    canvas.polygon([tuple(point) for point in head], fill=fill)
    if border > 0:  # a rim around the head: its edges stroked, its corners rounded
        canvas.line([tuple(point) for point in (*head, tip)], fill=fill, width=round(2 * border))
        for corner in head:
            _disc(canvas, corner, border, fill)


def _disc(canvas: ImageDraw.ImageDraw, centre: np.ndarray, radius: float, fill: tuple[int, int, int, int]) -> None:
    x, y = centre
    canvas.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)


def contact_sheet(
    rows: Sequence[Sequence[np.ndarray]], row_labels: Sequence[str] = (), column_labels: Sequence[str] = (), *, gap: int = 8
) -> np.ndarray:
    """Pictures of one size (H, W, 3) tiled on white, with labels above columns and left of rows when given."""
    if len(rows) == 0 or len(rows[0]) == 0:
        raise DataError("a contact sheet needs at least one picture")
    height, width = rows[0][0].shape[:2]
    size = max(11, height // 12)
    font = ImageFont.load_default(size)
    line = int(size * 1.6)
    left = max((int(font.getlength(text)) for text in row_labels), default=-gap) + 2 * gap
    top = gap + (line if column_labels else 0)
    columns = max(len(row) for row in rows)
    sheet = Image.new("RGB", (left + columns * (width + gap), top + len(rows) * (height + gap)), WHITE)
    canvas = ImageDraw.Draw(sheet)
    for c, text in enumerate(column_labels):
        canvas.text((left + c * (width + gap) + width / 2, top - gap / 2), text, INK, font, anchor="md")
    for r, row in enumerate(rows):
        for c, picture in enumerate(row):
            if picture.shape != (height, width, 3):
                raise DataError(f"every picture of a contact sheet must be {(height, width, 3)}, got {picture.shape}")
            sheet.paste(Image.fromarray(picture), (left + c * (width + gap), top + r * (height + gap)))
    for r, text in enumerate(row_labels):
        canvas.text((gap, top + r * (height + gap) + height / 2), text, INK, font, anchor="lm")
    return np.asarray(sheet)


def caption_frame(
    frame: np.ndarray, *, sweep: int, num_sweeps: int, objects_left: int, note: str = "", unit: str = "sweep"
) -> np.ndarray:
    """The film frame (H, W, 3) on top of a dark bar that names the sweep and the objects left: (H + bar, W, 3).

    `num_sweeps` is the budget, 0 where there is none; `unit` is what an action is called.
    """
    height, width = frame.shape[:2]
    bar = max(24, height // 14)
    font = ImageFont.load_default(bar * 0.55)
    film = Image.new("RGB", (width, height + bar), INK)
    film.paste(Image.fromarray(frame), (0, 0))
    canvas = ImageDraw.Draw(film)
    middle = height + bar / 2
    start = "start" if sweep == 0 else f"{unit} {sweep}" + (f" of {num_sweeps}" if num_sweeps else "")
    canvas.text((bar / 2, middle), f"{start}  {note}".rstrip(), WHITE, font, anchor="lm")
    left = "table clear" if objects_left == 0 else f"{objects_left} object{'s' if objects_left > 1 else ''} left"
    canvas.text((width - bar / 2, middle), left, WHITE, font, anchor="rm")
    return np.asarray(film)


def png_bytes(picture: np.ndarray) -> bytes:
    """The picture (H, W, 3) uint8 as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
