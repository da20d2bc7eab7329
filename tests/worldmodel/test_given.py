"""What a model is given is checked before it means something else, or fails deep inside."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from worldmodel.encoder import EncoderConfig
from worldmodel.errors import MismatchError
from worldmodel.jepa import JEPA, JEPAConfig
from worldmodel.predictor import PredictorConfig
from worldmodel.types import ActionSpec, SensorSpec, WorldSpec

SPEC = WorldSpec(
    env_id="test/Given-v0",
    env_kwargs={},
    sensors={"pixels": SensorSpec((64, 64, 3), "uint8", "image"), "proprio": SensorSpec((5,), "float32", "vector")},
    action=ActionSpec(("x", "y"), (-1.0, -1.0), (1.0, 1.0)),
    control_mode="test",
    robot="test",
)
PIXELS, PROPRIO = torch.zeros(2, 3, 64, 64, 3, dtype=torch.uint8), torch.zeros(2, 3, 5)


@pytest.fixture(scope="module")
def model() -> JEPA:
    config = JEPAConfig(
        EncoderConfig(widths=(8, 16, 16)), PredictorConfig(width=32, depth=1, num_heads=2), sensors=("pixels", "proprio")
    )
    return JEPA(config, SPEC).eval()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"proprio": PROPRIO}, "the observation has no 'pixels', which the model reads; it has proprio"),
        ({}, "the observation has no 'pixels', which the model reads; it has nothing"),
        ({"pixels": PIXELS.numpy(), "proprio": PROPRIO}, "pixels is a ndarray; expected a tensor"),
        ({"pixels": PIXELS / 255, "proprio": PROPRIO}, "pixels is float32; expected uint8 as recorded"),
        (
            {"pixels": PIXELS.movedim(-1, -3), "proprio": PROPRIO},
            "(2, 3, 3, 64, 64); expected (B, T, 64, 64, 3); channels come",
        ),
        ({"pixels": PIXELS[:, 0], "proprio": PROPRIO}, "(2, 64, 64, 3); expected (B, T, 64, 64, 3)"),
        ({"pixels": PIXELS[:, :, ::2], "proprio": PROPRIO}, "(2, 3, 32, 64, 3); expected (B, T, 64, 64, 3)"),
        ({"pixels": PIXELS, "proprio": PROPRIO[0, 0]}, "proprio has shape (5,); expected (B, T, 5)"),
    ],
)
def test_frames_that_are_not_as_recorded_are_refused(model: JEPA, given: dict[str, Tensor], message: str) -> None:
    with pytest.raises(MismatchError, match=re.escape(message)):
        model.encode(given)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda m, z: m.rollout(z, torch.zeros(2, 4, 2)),
            "actions has shape (2, 4, 2); expected (B, N, H, A) = (2, any, any, 2)",
        ),
        (lambda m, z: m.rollout(z, torch.zeros(2, 6, 4, 3)), "(2, 6, 4, 3); expected (B, N, H, A) = (2, any, any, 2)"),
        (lambda m, z: m.rollout(z, torch.zeros(1, 6, 4, 2)), "(1, 6, 4, 2); expected (B, N, H, A) = (2, any, any, 2)"),
        (lambda m, z: m.rollout(z[:, 0], torch.zeros(2, 6, 4, 2)), "the latent has shape (2, "),
        (lambda m, z: m.predict(z, torch.zeros(2, 2, 2)), "actions has shape (2, 2, 2); expected (B, T, A) = (2, 3, 2)"),
    ],
)
def test_actions_of_another_shape_are_refused(model: JEPA, call: Callable[[JEPA, Tensor], Tensor], message: str) -> None:
    z = model.encode({"pixels": PIXELS, "proprio": PROPRIO})
    with pytest.raises(MismatchError, match=re.escape(message)):
        call(model, z)
