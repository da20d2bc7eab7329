"""Surprise: what is usual for a prediction, calibrated z-scores, and AUROC of violated events."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.worldmodel.test_jepa import CONFIG, tiny
from tests.worldmodel.toy import ToyWindows
from worldmodel.diagnostics import (
    EventPair,
    SurpriseScale,
    auroc,
    auroc_interval,
    fit_surprise,
    horizon_errors,
    surprise,
    violation_of_expectation,
)
from worldmodel.encoders.config import ViTConfig
from worldmodel.errors import DataError, WorldModelError
from worldmodel.types import Window


class Noisy:
    """K places that move by the action (B, K); what is seen errs by noise, more where it moves. The latent is the state."""

    class config:
        sensors = ("state",)

    class encoder:
        tubelet = 1

    def eval(self) -> None: ...

    def parameters(self) -> Any:
        return iter([torch.zeros(1)])

    def encode(self, obs: dict[str, Tensor]) -> Tensor:
        return obs["state"].unsqueeze(-1)  # (B, T, K, 1)

    def rollout(self, context: Tensor, actions: Tensor) -> Tensor:
        return context[:, -1:, None] + actions.cumsum(2).unsqueeze(-1)


MODEL = cast(Any, Noisy())


def windows(num: int, num_actions: int = 2, seed: int = 0) -> Window:
    rng = np.random.default_rng(seed)
    moves = rng.normal(size=(num, num_actions, 6)) * (rng.random((num, num_actions, 6)) < 0.3)
    noise = rng.normal(size=moves.shape) * np.sqrt(0.01 + 0.5 * moves**2)
    state = np.concatenate([np.zeros((num, 1, 6)), (moves + noise).cumsum(1)], axis=1)
    tensors = [torch.from_numpy(x).float() for x in (state, moves)]
    index = torch.zeros(num, dtype=torch.int64)
    return Window({"state": tensors[0]}, tensors[1], {}, index, index)


def test_it_finds_how_errors_grow_with_predicted_change() -> None:
    scale = fit_surprise(MODEL, windows(4000))
    assert scale.slope[0] == pytest.approx(0.5, rel=0.15)
    assert scale.floor[0] == pytest.approx(0.015, abs=0.006)  # at least a tenth of the mean error
    assert len(scale.mean) == 2 and scale.num_windows == 4000


def test_natural_events_have_standard_scores() -> None:
    scale, other = fit_surprise(MODEL, windows(500)), windows(500, seed=1)
    before, after = ({"state": other.observations["state"][:, t : t + 1]} for t in (0, 1))
    z = surprise(MODEL, scale, before, other.actions[:, :1], after)
    assert z.shape == (500,)
    assert float(z.mean()) == pytest.approx(0, abs=0.15) and float(z.std()) == pytest.approx(1, abs=0.15)
    far = {"state": other.observations["state"][:, 2:3]}
    assert float(surprise(MODEL, scale, before, other.actions, far).std()) == pytest.approx(1, abs=0.2)
    with pytest.raises(WorldModelError, match="1 to 2 actions ahead, got 3"):
        surprise(MODEL, scale, before, other.actions[:, [0, 1, 1]], far)


def test_latents_of_two_frames_are_scored_as_they_were_calibrated() -> None:
    """A frame's latent knows the frame before it, in the calibration and when an event is judged."""
    vit = ViTConfig(width=24, depth=1, num_heads=2, tubelet=2)
    model = tiny(encoder=dataclasses.replace(CONFIG.encoder, kind="vit", vit=vit), sensors=("pixels",))
    film = ToyWindows(60, num_frames=3).batch(np.arange(60))
    scale = fit_surprise(model, film)
    before, after, last = ({"pixels": film.observations["pixels"][:, t : t + 1]} for t in range(3))
    z = surprise(model, scale, before, film.actions[:, :1], after)
    assert float(z.mean()) == pytest.approx(0, abs=1e-3) and float(z.std()) == pytest.approx(1, abs=1e-3)
    with pytest.raises(WorldModelError, match="latents of 2 frames: surprise is told one action ahead, got 2"):
        surprise(model, scale, before, film.actions, last)


def test_one_score_by_hand() -> None:
    scale = SurpriseScale((0.5,), (2.0,), (0.25,), (0.1,), 9)
    present, predicted, seen = torch.zeros(1, 2, 1), torch.tensor([[[0.0], [1.0]]]), torch.tensor([[[1.0], [3.0]]])
    want = (np.log(1 + (1 / 0.5 + 4 / 2.5) / 2) - 0.25) / 0.1
    assert float(scale.z(present, predicted, seen)) == pytest.approx(want, rel=1e-6)
    # the same error surprises less where change was predicted
    moved = torch.tensor([[[0.0], [2.0]]])
    still = torch.tensor([[[1.0], [1.0]]])
    assert float(scale.z(present, predicted, moved)) < float(scale.z(present, predicted, still))


def test_the_scale_is_stored_and_read_back() -> None:
    scale = fit_surprise(MODEL, windows(20))
    assert SurpriseScale.from_json(scale.to_json()) == scale
    for broken in ({}, scale.to_json() | {"std": [0.0, 1.0]}, scale.to_json() | {"mean": [1.0]}):
        with pytest.raises(DataError, match="measure the run again"):
            SurpriseScale.from_json(broken)
    with pytest.raises(DataError, match="two windows"):
        fit_surprise(MODEL, windows(1))


def test_auroc_is_exact() -> None:
    assert auroc(np.array([0.0, 1.0]), np.array([2.0, 3.0])) == 1
    assert auroc(np.array([0.0, 2.0]), np.array([1.0, 2.0])) == pytest.approx((1 + 0 + 1 + 0.5) / 4)
    with pytest.raises(DataError):
        auroc(np.zeros(0), np.ones(1))


def test_the_interval_of_an_auroc_is_hanley_and_mcneils_where_the_events_are_independent() -> None:
    rng, num = np.random.default_rng(0), 300
    low, high = rng.normal(size=num), rng.normal(size=num) + 1
    a = auroc(low, high)
    # Radiology 143:29 (1982), equations 1 and 2: the standard error for two samples of one size
    q1, q2 = a / (2 - a), 2 * a**2 / (1 + a)
    se = math.sqrt((a * (1 - a) + (num - 1) * (q1 + q2 - 2 * a**2)) / num**2)
    assert auroc_interval(low, high) == pytest.approx((a - 1.96 * se, a + 1.96 * se), abs=0.3 * se)
    assert auroc_interval(low, low + 10) == (1, 1)


def test_the_interval_knows_that_pairs_go_together() -> None:
    def draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        natural = rng.normal(size=200)
        return natural, natural + rng.normal(1, 0.1, size=200)  # what surprises, surprises more when violated

    rng = np.random.default_rng(0)
    spread = 1.96 * np.std([auroc(*draw(rng)) for _ in range(300)])
    low, high = auroc_interval(*draw(rng))
    assert (high - low) / 2 == pytest.approx(spread, rel=0.25)


def test_violations_are_told_from_natural_events() -> None:
    scale, data = fit_surprise(MODEL, windows(500)), windows(40, num_actions=1, seed=2)
    state = data.observations["state"].numpy()
    pairs = []
    for row in range(40):
        before, natural = ({"state": state[row, t], "unread": np.zeros(3)} for t in (0, 1))
        jumped = {"state": natural["state"] + np.float32(2) * (np.arange(6) == row % 6).astype(np.float32)}
        pairs.append(EventPair("jumped", before, data.actions[row, 0].numpy(), natural, jumped))
        pairs.append(EventPair("nothing", before, data.actions[row, 0].numpy(), natural, natural))
    found = violation_of_expectation(MODEL, scale, pairs, batch_size=7)
    assert found["jumped"].auroc > 0.9 and found["jumped"].paired > 0.9 and found["jumped"].num_pairs == 40
    assert found["jumped"].violated_z > 2 > found["jumped"].natural_z
    assert (found["nothing"].auroc, found["nothing"].paired) == (pytest.approx(0.5), 0.5)
    with pytest.raises(DataError, match="no pairs"):
        violation_of_expectation(MODEL, scale, [])


def test_horizon_errors_in_centimetres() -> None:
    """A head that reads 3 cm beside the truth in every latent that it is given."""
    model, window = tiny(), ToyWindows(10, num_frames=4).batch(np.arange(10))

    class Beside:
        def __call__(self, z: Tensor) -> tuple[Tensor, Tensor]:
            position = window.labels["position"][:, 1:] + torch.tensor([0.03, 0.0])
            return torch.zeros(*z.shape[:2], 5, 4), position

    report = horizon_errors(model, window, cast(Any, Beside()))
    for errors in (report.predicted_cm, report.copied_cm, report.seen_cm):
        assert errors == pytest.approx([3.0] * 3, rel=1e-4)
    plain = horizon_errors(model, dataclasses.replace(window, labels={}), cast(Any, Beside()))
    assert plain.predicted_cm == () and plain.predicted == report.predicted
    by_two = horizon_errors(model, window, batch_size=2)
    assert by_two.predicted == pytest.approx(report.predicted, rel=1e-4)
    assert by_two.copied == pytest.approx(report.copied, rel=1e-4)
