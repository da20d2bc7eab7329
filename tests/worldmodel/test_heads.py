"""Heads: shapes, exact reading, honest counting of labels, and that they find what is there."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from tests.worldmodel.test_jepa import CONFIG, tiny
from tests.worldmodel.toy import SLOTS, ToyWindows, toy_spec
from worldmodel.data import JoinedWindows
from worldmodel.diagnostics import collapse, horizon_errors, probe
from worldmodel.encoder import EncoderConfig
from worldmodel.errors import ConfigError, DataError
from worldmodel.heads import HeadsConfig, PictureHead, PictureHeadConfig, ProgressHead, ProgressHeadConfig, fit_heads
from worldmodel.heads.fit_progress import progress_loss, progress_metrics, teach
from worldmodel.heads.labelled import LabelledLatents, labelled_latents, unlabelled_latents
from worldmodel.jepa import JEPA
from worldmodel.types import Window


def test_shapes() -> None:
    head = ProgressHead(ProgressHeadConfig(grid=4, token_dim=6, num_slots=SLOTS))
    status, position = head(torch.randn(2, 3, 17, 6))  # one token more than the grid has
    assert status.shape == (2, 3, SLOTS, 4)
    assert position.shape == (2, 3, SLOTS, 2)
    picture = PictureHead(PictureHeadConfig(grid=4, token_dim=6, size=32, width=8)).draw(torch.randn(2, 3, 17, 6))
    assert (picture.shape, picture.dtype) == ((2, 3, 32, 32, 3), torch.uint8)
    with pytest.raises(ConfigError, match="power of two"):
        PictureHead(PictureHeadConfig(grid=4, size=20))


def test_a_position_is_where_the_head_looks() -> None:
    affine = ((0.9, 0.0, 0.1), (0.0, -0.9, 0.0))
    head = ProgressHead(ProgressHeadConfig(grid=4, token_dim=6, num_slots=1, width=8, image_from_action=affine))
    head.set_position_scale(torch.tensor([[-0.3, -0.2], [0.3, 0.4]]).repeat(100, 1))
    with torch.no_grad():
        for layer in (head.near, head.mix, head.read):
            layer.weight.zero_()
            assert layer.bias is not None
            layer.bias.zero_()
        head.near.bias.fill_(5)  # type: ignore[union-attr]
        head.mix.weight[0, 0] = 1
        head.near.weight.zero_()
        head.place[0, 1, 3] = 200  # row 1, column 3: image coordinates right 0.75, down -0.25
        head.read.weight[0, 0] = 1
        _, position = head(torch.zeros(1, 16, 6))
    x, y = (0.75 - 0.1) / 0.9, 0.25 / 0.9  # in action units, of half extent (0.3, 0.3) about (0, 0.1)
    np.testing.assert_allclose(position[0, 0], [0.3 * x, 0.1 + 0.3 * y], atol=1e-4)


def test_overfits_one_batch() -> None:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(16, 16, 6, generator=generator)
    status = torch.randint(0, 4, (16, SLOTS), generator=generator)
    position = 0.6 * torch.rand(16, SLOTS, 2, generator=generator) - 0.3
    head = ProgressHead(ProgressHeadConfig(grid=4, token_dim=6, num_slots=SLOTS))
    head.set_position_scale(position.flatten(0, 1))
    optimiser = torch.optim.Adam(head.parameters(), 1e-2)
    for _ in range(200):
        optimiser.zero_grad()
        progress_loss(head, z, status, position, 4.0).backward()
        optimiser.step()
    rows = torch.zeros(16, dtype=torch.int64)
    metrics = progress_metrics(head, LabelledLatents(z, status, position, rows, rows))
    assert metrics["status_accuracy_0"] == 1.0
    assert metrics["position_cm_0"] < 2.0  # of about 23 for saying the middle


class CountingWindows:
    """Overlapping windows of few episodes: many windows, fewer frames."""

    def __init__(self, num_episodes: int, per_episode: int) -> None:
        self.inner = ToyWindows(num_episodes)
        self.per_episode, self.num_windows = per_episode, num_episodes * per_episode

    def batch(self, indices: np.ndarray) -> Window:
        window = self.inner.batch(indices // self.per_episode)
        return dataclasses.replace(window, frame_index=torch.from_numpy(indices % self.per_episode))


def test_labelled_frames_are_counted_once_and_never_exceeded() -> None:
    model = tiny(sensors=("pixels",))
    windows = CountingWindows(6, 4)
    data, num_frames, pictures = labelled_latents(model, windows, 15, 2, torch.Generator().manual_seed(0), batch_size=8)
    assert num_frames == 15 == int((data.steps == 0).sum()) == len(pictures)
    assert int((data.steps == 2).sum()) < int((data.steps == 1).sum()) < 15  # a window's first frame cannot be imagined
    everything, num_frames, _ = labelled_latents(model, windows, 1000, 0, torch.Generator().manual_seed(0))
    assert num_frames == len(everything.z) <= 6 * (4 + 2)


class SkippingWindows:
    """Windows of one film, every second frame of it: the position of each object tells the number of its frame."""

    num_windows = 20

    def __init__(self) -> None:
        self.film = ToyWindows(1, num_frames=self.num_windows + 4)

    def batch(self, indices: np.ndarray) -> Window:
        first = torch.from_numpy(indices)
        frames = first[:, None] + torch.tensor([0, 2, 4])
        position = frames[..., None, None].expand(-1, -1, SLOTS, 2).float()
        labels = {"status": self.film.status[0][frames], "position": position}
        pixels, actions = {"pixels": self.film.pixels[0][frames]}, self.film.actions[0][frames[:, :2]]
        return Window(pixels, actions, labels, torch.zeros_like(first), first, frame_skip=2)


def test_labelled_frames_are_counted_once_where_frames_are_skipped() -> None:
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        data, num_frames, _ = labelled_latents(tiny(sensors=("pixels",)), SkippingWindows(), 1000, 0, generator)
        numbers = data.position[:, 0, 0].tolist()
        assert len(set(numbers)) == len(numbers) == num_frames


def test_frames_of_two_datasets_are_not_taken_for_each_other() -> None:
    """Both count their episodes from 0 on."""
    model, both = tiny(sensors=("pixels",)), JoinedWindows([ToyWindows(10), ToyWindows(10, seed=1)])
    data, num_frames, _ = labelled_latents(model, both, 1000, 0, torch.Generator().manual_seed(0))
    assert num_frames == len(data.z) == 20


def test_imagined_latents_carry_the_label_of_their_frame() -> None:
    model, windows = tiny(sensors=("pixels",)), ToyWindows(12)
    data, _, pictures = labelled_latents(model, windows, 12, 2, torch.Generator().manual_seed(0))
    window = windows.batch(np.arange(12))
    with torch.no_grad():
        z = model.encode(window.observations)
        imagined = model.rollout(z[:, :1], window.actions[:, None])[:, 0]
    for ahead, expected in ((0, z[:, 2]), (2, imagined[:, 1])):
        found = 0
        for row in (data.steps == ahead).nonzero().squeeze(1).tolist():
            episode = int(data.episode[row])
            if torch.equal(data.position[row], window.labels["position"][episode, 2]):
                torch.testing.assert_close(data.z[row], expected[episode], atol=1e-4, rtol=1e-4)
                found += 1
        assert found >= 3
    encoded = data.select(data.steps == 0)
    with torch.no_grad():
        again = model.encode({"pixels": pictures.unsqueeze(1)})[:, 0]
    torch.testing.assert_close(again, encoded.z, atol=1e-4, rtol=1e-4)


class Heard:
    def __init__(self) -> None:
        self.calls: list[tuple[int, int]] = []

    def update(self, done: int, total: int, **fields: str | float) -> None:
        self.calls.append((done, total))


def fitted(model: JEPA, windows: Any, heard: Heard | None = None):
    # The predictor is new, so what it imagines says nothing about the label: fit on encoded latents alone.
    config = HeadsConfig(
        num_labelled_frames=700, num_unlabelled_frames=200, max_steps_ahead=0, progress_steps=100, picture_steps=30,
        learning_rate=1e-2, picture_width=8,
    )  # fmt: skip
    return fit_heads(model, windows, config, torch.Generator().manual_seed(0), heard)


def test_fitted_heads_find_the_objects_and_leave_the_model_alone() -> None:
    torch.manual_seed(0)
    encoder = EncoderConfig(widths=(24, 24), grid=8, token_dim=16)
    model = JEPA(dataclasses.replace(CONFIG, sensors=("pixels",), encoder=encoder), toy_spec())
    windows, heard = ToyWindows(768), Heard()
    with torch.no_grad():
        for start in range(0, 768, 32):  # the encoder is random; its normalisation has seen the data
            model.encode(windows.batch(np.arange(start, start + 32)).observations)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    heads = fitted(model, windows, heard)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert heard.calls[-1] == (230, 230)  # the first head, the one that it teaches, the picture
    assert heads.num_labelled_frames == 700
    result = probe(model, heads.progress, ToyWindows(100, seed=1), torch.Generator().manual_seed(0), num_frames=100)
    assert set(result) == {f"{name}_{h}" for name in ("position_cm", "status_accuracy", "num_frames") for h in range(3)}
    assert result["position_cm_0"] < 6  # of about 18 for saying the middle
    assert result["status_accuracy_0"] > 0.7
    assert heads.metrics["picture_mse"] < 0.05
    copied = ProgressHead(heads.progress.config)
    copied.load_state_dict(heads.progress.state_dict())
    z = torch.randn(3, 64, 16)
    torch.testing.assert_close(copied(z), heads.progress(z))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_labelled_frames": 19}, "num_labelled_frames is 19; expected at least 20"),
        ({"max_steps_ahead": -1}, "max_steps_ahead is -1"),
        ({"progress_steps": 5}, "heads need 20 steps"),
        ({"picture_steps": -3}, "picture_steps is -3"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"progress_width": 0}, "progress_width is 0"),
        ({"picture_width": 0}, "picture_width is 0"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0; expected more than 0"),
        ({"latent_noise": -0.1}, "latent_noise is -0.1"),
        ({"token_dropout": 1.0}, r"token_dropout is 1.0; expected a number in \[0, 1\)"),
        ({"held_out": 0.0}, r"held_out is 0.0; expected a number in \(0, 1\)"),
        ({"held_out": 1.0}, "held_out is 1.0"),
    ],
)
def test_impossible_settings_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        HeadsConfig(**changes)


def test_episodes_too_few_to_hold_one_out_are_named() -> None:
    class OneEpisode(ToyWindows):
        def batch(self, indices: np.ndarray) -> Window:
            window = super().batch(indices)
            episode, frame = torch.zeros_like(window.episode_index), torch.as_tensor(3 * indices)
            return dataclasses.replace(window, episode_index=episode, frame_index=frame.to(window.frame_index.dtype))

    with pytest.raises(DataError, match=r"come from 1 episodes, .*record more episodes, or lower heads.held_out"):
        fitted(tiny(sensors=("pixels",)), OneEpisode(30))


def test_a_probe_tells_on_how_many_frames_it_looked() -> None:
    model = tiny(sensors=("pixels",))
    head = ProgressHead(ProgressHeadConfig(grid=4, token_dim=6, num_slots=SLOTS))
    generator = torch.Generator().manual_seed(0)
    few = probe(model, head, ToyWindows(40), generator, num_frames=1000)  # 40 windows of three frames: one label each
    assert few["num_frames_0"] == 40
    assert 40 > few["num_frames_1"] > few["num_frames_2"] > 0  # a first frame is imagined from nowhere
    assert probe(model, head, ToyWindows(40), generator, num_frames=25, max_steps=0)["num_frames_0"] == 25


def test_windows_without_labels_are_refused() -> None:
    class Bare(ToyWindows):
        def batch(self, indices: np.ndarray) -> Window:
            return dataclasses.replace(super().batch(indices), labels={})

    with pytest.raises(DataError, match="labels status and position"):
        fitted(tiny(sensors=("pixels",)), Bare(4))


def test_horizon_errors_compare_with_copying() -> None:
    model = JEPA(dataclasses.replace(CONFIG, sensors=("pixels",)), toy_spec())  # new: says that nothing moves
    report = horizon_errors(model, ToyWindows(20).batch(np.arange(20)))
    assert len(report.predicted) == 2
    np.testing.assert_allclose(report.predicted, report.copied, rtol=1e-5)
    assert 0 < report.copied[0] < report.copied[1]


def test_collapse_is_measured() -> None:
    generator = torch.Generator().manual_seed(0)
    spread = torch.randn(4000, 3, 4, generator=generator)
    report = collapse(spread)
    assert report.effective_rank == pytest.approx(4, abs=0.02)
    assert report.mean_std == pytest.approx(1, abs=0.02)
    line = spread[..., :1] * torch.tensor([1.0, 1.0, 0.0, 0.0])
    assert collapse(line).effective_rank == pytest.approx(1, abs=1e-3)
    assert collapse(line).dead_share == 0.5
    assert collapse(torch.ones(5, 2, 3)).effective_rank == pytest.approx(1)


def test_a_head_is_taught_what_another_reads_off_the_seen_frame() -> None:
    torch.manual_seed(0)
    model, windows = JEPA(CONFIG, toy_spec()).eval(), ToyWindows(6)
    z = unlabelled_latents(model, windows, 5, 2, torch.Generator().manual_seed(0), batch_size=2)
    chosen = torch.randperm(6, generator=torch.Generator().manual_seed(0))[:5].numpy()
    window = windows.batch(np.concatenate([np.sort(part) for part in np.split(chosen, [2, 4])]))
    with torch.no_grad():
        seen = model.encode(window.observations)
        once = model.rollout(seen[:, :-1], window.actions[:, None, -1:], window.actions[:, :-1])[:, 0, -1]
        twice = model.rollout(seen[:, :-2], window.actions[:, None, -2:], window.actions[:, :-2])[:, 0, -1]
    torch.testing.assert_close(z, torch.stack([seen[:, -1], once, twice], dim=1))

    grid, width = model.config.encoder.grid, model.config.encoder.token_dim
    head = ProgressHead(ProgressHeadConfig(grid, width, num_slots=2, width=8)).eval()
    taught = teach(head, z)
    with torch.no_grad():
        logits, position = head(seen[:, -1])
    for view in range(3):
        torch.testing.assert_close(taught.z[view::3], z[:, view])
        torch.testing.assert_close(taught.status[view::3], logits.softmax(-1))
        torch.testing.assert_close(taught.position[view::3], position)


def test_certain_probabilities_cost_what_the_labels_cost() -> None:
    torch.manual_seed(0)
    head = ProgressHead(ProgressHeadConfig(4, 6, num_slots=3, width=8))
    z, status, position = torch.randn(5, 16, 6), torch.randint(0, 4, (5, 3)), torch.randn(5, 3, 2)
    certain = torch.nn.functional.one_hot(status, 4).float()
    with torch.no_grad():
        expected = progress_loss(head, z, status, position, 4.0)
        torch.testing.assert_close(progress_loss(head, z, certain, position, 4.0), expected)
