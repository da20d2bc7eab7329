"""The picture sheets: where pictures land, and that cameras, factors and tasks are drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from envs import picture_sheet
from envs.picture_sheet import HEAD, LABEL, MARGIN, camera_rows, main, sheet, variation_rows
from envs.variations import FACTORS


def test_pictures_stand_in_their_row_and_column() -> None:
    first = [np.full((10, 20, 3), 100 + i, np.uint8) for i in range(2)]
    rows = [("first row", first), ("second", [np.zeros((6, 20, 3), np.uint8)])]
    page = np.asarray(sheet(("left", "right"), rows))
    assert page.shape == (HEAD + 10 + 6 + 2 * MARGIN, LABEL + 2 * (20 + MARGIN), 3)
    assert (page[HEAD : HEAD + 10, LABEL : LABEL + 20] == 100).all()
    assert (page[HEAD : HEAD + 10, LABEL + 20 + MARGIN : LABEL + 40 + MARGIN] == 101).all()
    assert (page[HEAD + 10 + MARGIN : HEAD + 16 + MARGIN, LABEL : LABEL + 20] == 0).all()
    assert (page[HEAD + 10 + MARGIN :, LABEL + 20 :] == 255).all()
    assert (page[:, :LABEL] < 128).any()  # something is written


@pytest.mark.slow
def test_every_camera_and_every_factor_that_shows_is_on_its_sheet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(picture_sheet, "SIZE", 16)
    monkeypatch.setattr(picture_sheet, "EXAMPLES", 1)
    rows = list(camera_rows("gantry"))
    assert [label for label, _ in rows] == ["overhead, gantry", "side, gantry", "wrist, gantry"]
    assert all(picture.shape == (16, 16, 3) and picture.std() > 5 for _, pictures in rows for picture in pictures)
    rows = list(variation_rows())
    assert [label.replace(" ", "_") for label, _ in rows] == [name for name in FACTORS if name != "action_delay"]
    for label, (train, held_out) in rows:
        assert np.abs(train.astype(int) - held_out.astype(int)).max() > 10, label
    main(["cameras", "--out", str(tmp_path)])
    with Image.open(tmp_path / "cameras.png") as page:
        assert page.size[0] > 3 * 16
