"""A contact sheet of a dataset: a row an episode, with the first, the middle and the last frame of each camera.

The frame around a row's pictures is green when the episode succeeded, orange and dashed when it did not.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from worldmodel.data import Dataset
from worldmodel.data.format.files import publish
from worldmodel.errors import DataError
from worldmodel.progress import NoProgress, Progress
from worldmodel.types import Episode

PAGE, TEXT, FAINT, LINE = (251, 251, 249), (29, 35, 39), (92, 102, 109), (220, 223, 221)
SUCCESS, FAILURE = (0, 128, 92), (198, 81, 2)
"""Green and orange that the colour-blind can tell apart; the captions say it in words too."""

MARGIN, GAP, BORDER, CAPTION = 36, 8, 4, 232
"""Pixels: around the page, between pictures, of a row's frame, and the width of the captions."""
PICTURE = 128
"""Height of a picture on the page [pixels]."""
MAX_WIDTH = 1500
"""A second column of episodes is begun as long as the page stays narrower than this [pixels]."""
WHEN = ("first", "middle", "last")


@dataclass(frozen=True)
class Row:
    """One episode on the sheet."""

    title: str
    """Which episode."""
    lines: tuple[str, ...]
    """What is known of it."""
    success: bool
    """How it ended."""
    pictures: list[list[Image.Image]]
    """By camera, its pictures in `WHEN`."""


def write_sheet(dataset: Dataset, path: Path, num_episodes: int = 16, progress: Progress | None = None) -> int:
    """Write the sheet of at most `num_episodes`, spread evenly over the dataset, as PNG; how many there are on it.

    Raises:
        DataError: no cameras, or the file cannot be written. Episodes that cannot be read are left out.
    """
    cameras = [key for key, sensor in dataset.spec.sensors.items() if sensor.kind == "image"]
    if not cameras:
        raise DataError(f"{dataset.root} has no cameras, so there is no contact sheet")
    places = np.unique(np.linspace(0, dataset.num_episodes - 1, min(num_episodes, dataset.num_episodes)).round().astype(int))
    rows = []
    for done, place in enumerate(places.tolist(), start=1):
        try:
            rows.append(_row(dataset, place, dataset.read_episode(place), cameras))
        except DataError:
            continue  # verifying says what is wrong with it
        finally:
            (progress or NoProgress()).update(done, len(places))
    if not rows:
        raise DataError(f"{dataset.root}: none of {len(places)} episodes can be read, so there is no contact sheet")
    buffer = io.BytesIO()
    draw_sheet(_title(dataset), _subtitle(dataset), cameras, rows).save(buffer, "PNG", optimize=True)
    publish(path, buffer.getvalue())
    return len(rows)


def draw_sheet(title: str, subtitle: str, cameras: list[str], rows: list[Row]) -> Image.Image:
    """The page."""
    widths = [max(picture.width for row in rows for picture in row.pictures[c]) for c in range(len(cameras))]
    strip = sum(3 * width + 2 * GAP for width in widths) + 3 * GAP * (len(cameras) - 1)  # between two cameras, more room
    cell = CAPTION + strip + 2 * (BORDER + GAP)
    columns = max(1, min(2 if len(rows) > 6 else 1, (MAX_WIDTH - 2 * MARGIN) // cell))
    per_column = -(-len(rows) // columns)
    row_height = PICTURE + 2 * (BORDER + GAP) + GAP
    head = MARGIN + 96
    page_width = 2 * MARGIN + columns * cell + (columns - 1) * MARGIN
    titles = max(_font(30, bold=True).getlength(title), _font(16).getlength(subtitle)) + 2 * MARGIN
    page = Image.new("RGB", (round(max(page_width, titles)), head + per_column * row_height + MARGIN), PAGE)
    draw = ImageDraw.Draw(page)
    draw.text((MARGIN, MARGIN - 6), title, TEXT, _font(30, bold=True))
    draw.text((MARGIN, MARGIN + 36), subtitle, FAINT, _font(16))
    for column in range(columns):
        left = MARGIN + column * (cell + MARGIN)
        _draw_heads(draw, (left + CAPTION + BORDER + GAP, head - 26), cameras, widths)
        for place, row in enumerate(rows[column * per_column : (column + 1) * per_column]):
            _draw_row(page, draw, (left, head + place * row_height), row, widths, strip)
    return page


def _draw_heads(draw: ImageDraw.ImageDraw, corner: tuple[int, int], cameras: list[str], widths: list[int]) -> None:
    """Which picture is which, over a column of episodes."""
    left, top = corner
    for camera, width in zip(cameras, widths, strict=True):
        for k, when in enumerate(WHEN):
            name = when if len(cameras) == 1 or k else f"{camera}: {when}"
            draw.text((left + k * (width + GAP), top), _cut(name, _font(14), width), FAINT, _font(14))
        left += 3 * (width + GAP) + 2 * GAP


def _draw_row(
    page: Image.Image, draw: ImageDraw.ImageDraw, corner: tuple[int, int], row: Row, widths: list[int], strip: int
) -> None:
    left, top = corner
    colour = SUCCESS if row.success else FAILURE
    draw.line((left, top - GAP // 2 - 1, left + CAPTION + strip + 2 * (BORDER + GAP), top - GAP // 2 - 1), LINE)
    draw.text((left, top + 6), row.title, TEXT, _font(19, bold=True))
    draw.text((left, top + 34), "success" if row.success else "no success", colour, _font(15, bold=True))
    for k, line in enumerate(row.lines):
        draw.text((left, top + 58 + 21 * k), _cut(line, _font(15), CAPTION - 2 * GAP), FAINT, _font(15))
    box = (left + CAPTION, top, left + CAPTION + strip + 2 * (BORDER + GAP) - 1, top + PICTURE + 2 * (BORDER + GAP) - 1)
    if row.success:
        draw.rounded_rectangle(box, 8, outline=colour, width=BORDER)
    else:
        _dashed(draw, box, colour)
    left, top = left + CAPTION + BORDER + GAP, top + BORDER + GAP
    for pictures, width in zip(row.pictures, widths, strict=True):
        for k, picture in enumerate(pictures):
            page.paste(picture, (left + k * (width + GAP) + (width - picture.width) // 2, top))
        left += 3 * (width + GAP) + 2 * GAP


def _dashed(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], colour: tuple[int, int, int]) -> None:
    left, top, right, bottom = box
    for x in range(left, right, 16):
        for y in (top, bottom - BORDER + 1):
            draw.rectangle((x, y, min(x + 9, right), y + BORDER - 1), colour)
    for y in range(top, bottom, 16):
        for x in (left, right - BORDER + 1):
            draw.rectangle((x, y, x + BORDER - 1, min(y + 9, bottom)), colour)


def _row(dataset: Dataset, place: int, episode: Episode, cameras: list[str]) -> Row:
    row = dataset.episodes[place]
    picked = [0, row.length // 2, row.length - 1]
    actions = f"{row.length - 1} action{'s' * (row.length != 2)}"
    lines = (f"{actions}, return {row.total_reward:.3g}", f"seed {row.seed}", row.instruction)
    pictures = [[_picture(episode.observations[key][t]) for t in picked] for key in cameras]
    return Row(f"episode {row.episode_index}", tuple(filter(None, lines)), row.success, pictures)


def _picture(frame: np.ndarray) -> Image.Image:
    """A frame (H, W, 3) at the height of a picture; small ones keep their pixels visible."""
    image = Image.fromarray(frame)
    width = max(1, round(image.width * PICTURE / image.height))
    whole = image.height <= PICTURE and PICTURE % image.height == 0
    return image.resize((width, PICTURE), Image.Resampling.NEAREST if whole else Image.Resampling.LANCZOS)


def _title(dataset: Dataset) -> str:
    return dataset.spec.env_id or dataset.root.resolve().name


def _subtitle(dataset: Dataset) -> str:
    about = dataset.summary()
    parts = (
        f"{about['episodes']:,} episodes",
        f"{about['actions']:,} actions",
        f"{about['success_share']:.1%} succeeded",
        f"robot {about['robot']}" if about["robot"] else "",
        f"fingerprint {about['fingerprint'][:12]}",
    )
    return "   ".join(filter(None, parts))


def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib brings and which knows most alphabets."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts/ttf" / name), size)


def _cut(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """The text on one line, with an ellipsis where it would be too wide."""
    text = " ".join(text.split())
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text.rstrip() + "..."
