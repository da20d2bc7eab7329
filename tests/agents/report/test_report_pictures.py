"""Arrows land where the camera sees them; sheets, captions and films have the sizes they say; imagination is the model's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from agents.report import (
    PlannerView,
    VideoWriter,
    caption_frame,
    contact_sheet,
    draw_arrow,
    draw_arrows,
    imagine_strips,
    planner_picture,
    read_video,
    strip_sheet,
    video,
)
from agents.report.draw import action_to_pixels
from worldmodel.errors import DataError
from worldmodel.types import ActionSpec, Episode, Observation

RED, GREEN = (255, 0, 0), (0, 255, 0)


def spec(affine: tuple[tuple[float, float, float], tuple[float, float, float]] | None) -> ActionSpec:
    return ActionSpec(("sx", "sy", "ex", "ey"), (-1.0,) * 4, (1.0,) * 4, ((0, 1), (2, 3)), affine)


SAME = spec(((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)))
TURNED = spec(((0.0, -0.5, 0.25), (-1.0, 0.0, 0.0)))  # right = 0.25 - y / 2, down = -x


def test_action_points_go_through_the_calibration() -> None:
    action = np.array([-1.0, -1.0, 1.0, 0.0], np.float32)
    # the corners of [-1, 1] are the outer corners of a picture: half a pixel outside the centres of its corner pixels
    np.testing.assert_allclose(action_to_pixels(SAME, action, 64, 32), [[-0.5, -0.5], [63.5, 15.5]])
    np.testing.assert_allclose(action_to_pixels(TURNED, action, 64, 32), [[55.5, 31.5], [39.5, -0.5]])


def test_an_arrow_colours_the_pixels_between_its_ends_and_leaves_the_rest() -> None:
    black = np.zeros((64, 64, 3), np.uint8)
    drawn = draw_arrow(black, SAME, np.array([-0.5, 0.25, 0.5, 0.25]), RED)
    row = int((0.25 + 1) / 2 * 64)
    assert drawn[row, 30, 0] > 120 and drawn[row, 18, 0] > 120
    columns = np.flatnonzero(drawn[..., 0].max(axis=0) > 120)
    assert 13 <= columns.min() <= 16 and 46 <= columns.max() <= 48  # from x = 16 with its dot to the tip at 48
    assert drawn[: row - 6].max() == 0 or drawn[: row - 6, :, 0].max() == 0
    head = np.count_nonzero(drawn[:, 44, 0] > 100), np.count_nonzero(drawn[:, 30, 0] > 100)
    assert head[0] > head[1]  # the head is at the end, and wider than the shaft
    assert black.max() == 0  # the picture handed in is untouched


def test_arrows_scale_with_the_picture_and_the_last_is_on_top() -> None:
    black = np.zeros((16, 32, 3), np.uint8)
    actions = np.array([[-0.8, 0.0, 0.8, 0.0], [0.0, -0.8, 0.0, 0.8]])
    drawn = draw_arrows(black, SAME, actions, (RED, GREEN), scale=8)
    assert drawn.shape == (128, 256, 3)
    assert tuple(drawn[63, 128]) == GREEN and tuple(drawn[63, 80]) == RED


def test_arrows_need_a_calibration_and_fitting_colours() -> None:
    black = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(DataError, match="calibration"):
        draw_arrow(black, spec(None), np.zeros(4))
    with pytest.raises(DataError, match="colours"):
        draw_arrows(black, SAME, np.zeros((3, 4)), (RED, GREEN))
    with pytest.raises(DataError, match="shape"):
        draw_arrow(black, SAME, np.zeros(3))


def test_the_cheapest_candidate_is_brightest_and_on_top() -> None:
    grey = np.full((32, 32, 3), 90, np.uint8)
    candidates = np.array([[-0.9, 0.5, 0.9, 0.5], [-0.9, 0.5, 0.9, 0.5], [-0.9, -0.5, 0.9, -0.5]], np.float32)
    view = PlannerView(grey, candidates, np.array([1.0, 5.0, 5.0]), np.array([0.0, -0.9, 0.0, 0.9], np.float32))
    picture = planner_picture(view, SAME, width=320)
    assert picture.shape == (320, 320, 3)
    assert picture[239, 100].sum() > picture[79, 100].sum() + 200  # cheap below, dear above
    assert tuple(picture[159, 160]) == (255, 255, 255)  # the chosen one


def test_a_contact_sheet_holds_each_picture_unchanged() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (2, 3, 20, 24, 3), dtype=np.uint8)
    sheet = contact_sheet(list(pictures), gap=4)
    assert sheet.shape == (4 + 2 * 24, 4 + 3 * 28, 3)
    np.testing.assert_array_equal(sheet[28:48, 60:84], pictures[1, 2])
    assert contact_sheet(list(pictures), ("real", "imagined"), ("a", "b", "c")).shape[1] > sheet.shape[1]
    with pytest.raises(DataError, match="every picture"):
        contact_sheet([[pictures[0, 0], pictures[0, 0, :10]]])


def test_a_caption_is_below_the_frame() -> None:
    frame = np.full((100, 160, 3), 80, np.uint8)
    film = caption_frame(frame, sweep=2, num_sweeps=8, objects_left=1)
    assert film.shape == (124, 160, 3)
    np.testing.assert_array_equal(film[:100], frame)
    assert film[100:].max() > 200  # letters
    assert (caption_frame(frame, sweep=2, num_sweeps=8, objects_left=1, unit="action") != film).any()
    other = caption_frame(frame, sweep=2, num_sweeps=8, objects_left=0)
    assert (other[100:] != film[100:]).any()


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
@pytest.mark.parametrize(("height", "width"), [(64, 64), (51, 77)])
def test_a_video_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: str, height: int, width: int) -> None:
    known = dict(video.CODECS)
    monkeypatch.setattr(video, "CODECS", (("no_such_codec", {}), (codec, known[codec])))
    frames = [np.full((height, width, 3), (20 * t, 200 - 20 * t, 90), np.uint8) for t in range(9)]
    path = tmp_path / "videos" / "film.mp4"
    with VideoWriter(path, fps=12.5) as film:
        for frame in frames:
            film.add(frame)
    back, fps = read_video(path)
    assert back.shape == (9, height + height % 2, width + width % 2, 3)
    assert fps == pytest.approx(12.5)
    assert np.abs(back[:, :height, :width].astype(int) - np.stack(frames)).mean() < 4
    assert [p.name for p in path.parent.iterdir()] == ["film.mp4"]


def test_a_film_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="every frame"), VideoWriter(tmp_path / "film.mp4", fps=10) as film:
        film.add(np.zeros((8, 8, 3), np.uint8))
        film.add(np.zeros((8, 10, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DataError, match="no frames"), VideoWriter(tmp_path / "film.mp4", fps=10):
        pass
    with pytest.raises(DataError, match="uint8"), VideoWriter(tmp_path / "film.mp4", fps=10) as film:
        film.add(np.zeros((8, 8, 3)))
    (tmp_path / "text.mp4").write_text("no film")
    with pytest.raises(DataError, match="no readable video"):
        read_video(tmp_path / "text.mp4")


class Adder:
    """A world whose latent is the brightness of a frame (K = D = 1) and whose actions add their first element."""

    def encode(self, obs: Observation) -> Tensor:
        assert set(obs) == {"pixels"} and obs["pixels"].dtype == torch.uint8 and obs["pixels"].shape[:2] == (1, 1)
        return obs["pixels"].float().mean(dim=(2, 3, 4))[..., None, None]

    def rollout(self, context: Tensor, actions: Tensor) -> Tensor:
        return context[:, -1:, None] + actions[..., :1, None].cumsum(dim=2)


def decode(z: Tensor) -> Tensor:
    return z[..., None].expand(*z.shape[:2], 4, 6, 3).to(torch.uint8)


def episode(num_actions: int) -> Episode:
    frames = np.full((num_actions + 1, 4, 6, 3), 10, np.uint8)
    frames[1:] = 99  # the imagination must not look at these
    actions = np.arange(1, num_actions + 1, dtype=np.float32)[:, None].repeat(4, 1)
    rewards = np.zeros(num_actions, np.float32)
    return Episode({"pixels": frames, "state": frames}, actions, rewards, True, False, True, 0, "clear the table")


def test_strips_are_rolled_out_from_the_first_frame_alone() -> None:
    strips = imagine_strips(Adder(), decode, [episode(2), episode(5)], horizon=3)
    assert len(strips) == 1  # the short one has no third action
    assert strips[0].imagined[:, 0, 0, 0].tolist() == [10, 11, 13, 16]
    assert strips[0].real[:, 0, 0, 0].tolist() == [10, 99, 99, 99]
    assert strips[0].actions.shape == (3, 4)
    assert strip_sheet(strips[0], SAME).shape[2] == 3
    with pytest.raises(DataError, match="longest: 2"):
        imagine_strips(Adder(), decode, [episode(2)], horizon=3)
