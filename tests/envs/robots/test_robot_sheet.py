"""The sheet of robots: a row each, a picture of every skill."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from envs.robots import sheet


def test_a_row_a_robot(tmp_path: Path) -> None:
    sheet.main(["gantry", "--out", str(tmp_path)])
    with Image.open(tmp_path / "robots.png") as page:
        pixels = np.asarray(page.convert("RGB"))
    (label, pictures), *others = sheet.rows(["gantry"])
    assert label == "gantry" and not others and len(pictures) == len(sheet.SHOWN)
    assert all(picture.shape == (sheet.HEIGHT, 220, 3) for picture in pictures)
    assert np.any(pictures[0] != pictures[1])
    assert pixels.shape[0] > sheet.HEIGHT and pixels.shape[1] > 2 * 220
