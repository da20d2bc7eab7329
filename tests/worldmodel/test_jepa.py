"""Laws of the world model: rollout, prediction, folding, causality, sensors."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from tests.worldmodel.toy import toy_spec
from worldmodel.encoder import EncoderConfig
from worldmodel.errors import ConfigError
from worldmodel.jepa import JEPA, JEPAConfig
from worldmodel.predictor import PredictorConfig
from worldmodel.types import ActionSpec, Observation

CONFIG = JEPAConfig(
    encoder=EncoderConfig(widths=(8, 12), grid=4, token_dim=6),
    predictor=PredictorConfig(width=16, depth=2, num_heads=2, action_width=8, cond_dim=8),
    sensors=("pixels", "proprio"),
)
NUM_TOKENS = 4 * 4 + 1


def tiny(**changes: object) -> JEPA:
    """A small model whose every weight matters: zero-initialised ones are filled."""
    torch.manual_seed(0)
    model = JEPA(dataclasses.replace(CONFIG, **changes), toy_spec())  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(0, 0.2)
        for block in model.predictor.blocks:
            block.modulation.linear.weight.normal_(0, 0.2)  # type: ignore[union-attr, operator]
            block.modulation.linear.bias.normal_(0, 0.5)  # type: ignore[union-attr, operator]
    return model.eval()


def observation(num_batch: int, num_frames: int) -> Observation:
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 256, (num_batch, num_frames, 32, 32, 3), generator=generator, dtype=torch.uint8)
    return {"pixels": pixels, "proprio": torch.randn(num_batch, num_frames, 2, generator=generator)}


def latents(num_batch: int, num_frames: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    z = torch.randn(num_batch, num_frames, NUM_TOKENS, 6, generator=generator)
    return z, 2 * torch.rand(num_batch, num_frames, 4, generator=generator) - 1


VARIANTS = [
    {"context_length": 1},
    {"context_length": 3},
    {"predictor": dataclasses.replace(CONFIG.predictor, modulation="token", merge=1)},
    {"predictor": dataclasses.replace(CONFIG.predictor, modulation="token"), "context_length": 2},
    {"predictor": dataclasses.replace(CONFIG.predictor, action="vector"), "context_length": 2},
]


def test_shapes_and_dtypes() -> None:
    model = tiny()
    z = model.encode(observation(2, 3))
    assert (z.shape, z.dtype) == ((2, 3, NUM_TOKENS, 6), torch.float32)
    assert model.predict(z, torch.zeros(2, 3, 4)).shape == z.shape
    with torch.inference_mode():
        assert model.rollout(z, torch.zeros(2, 5, 4, 4)).shape == (2, 5, 4, NUM_TOKENS, 6)


def test_a_new_predictor_says_that_nothing_moves() -> None:
    model = JEPA(CONFIG, toy_spec())
    z, actions = latents(2, 2)
    torch.testing.assert_close(model.predict(z, actions), z)


@pytest.mark.parametrize("changes", VARIANTS)
def test_a_rollout_of_one_step_equals_predict(changes: dict) -> None:
    model = tiny(**changes)
    z, actions = latents(2, 4)
    with torch.inference_mode():
        got = model.rollout(z, actions[:, None, 3:], past_actions=actions[:, :3])[:, 0, 0]
        want = model.predict(z, actions)[:, -1]
    torch.testing.assert_close(got, want)
    assert not torch.allclose(want, z[:, -1], atol=0.1)


@pytest.mark.parametrize("changes", VARIANTS)
def test_a_rollout_equals_predicting_step_by_step(changes: dict) -> None:
    model = tiny(**changes)
    z, actions = latents(2, 5)
    with torch.inference_mode():
        got = model.rollout(z[:, :2], actions[:, None, 1:], past_actions=actions[:, :1])[:, 0]  # (B, 4, K, D)
        frames = z[:, :2]
        for h in range(4):
            following = model.predict(frames, actions[:, : frames.shape[1]])[:, -1:]
            frames = torch.cat([frames, following], dim=1)
            torch.testing.assert_close(got[:, h], following[:, 0], atol=1e-4, rtol=1e-4)


def test_folded_frames_equal_frames_one_by_one() -> None:
    model = tiny()
    z, actions = latents(2, 3)
    with torch.inference_mode():
        one_by_one = torch.cat([model.predict(z[:, t : t + 1], actions[:, t : t + 1]) for t in range(3)], dim=1)
        torch.testing.assert_close(model.predict(z, actions), one_by_one)


@pytest.mark.parametrize("context_length", [2, 3])
def test_predictions_see_exactly_the_last_context_frames(context_length: int) -> None:
    model = tiny(context_length=context_length)
    z, actions = latents(1, 5)
    with torch.inference_mode():
        before = model.predict(z, actions)
        for changed in range(5):
            other = z.clone()
            other[:, changed] += 1
            moved = (model.predict(other, actions) - before).abs().amax(dim=(0, 2, 3)) > 1e-5
            assert moved.tolist() == [changed <= t < changed + context_length for t in range(5)]


def test_candidates_do_not_see_each_other_and_chunks_do_not_matter() -> None:
    z, _ = latents(2, 1)
    actions = 2 * torch.rand(2, 7, 3, 4, generator=torch.Generator().manual_seed(3)) - 1
    model = tiny()
    chunked = tiny(rollout_chunk=3)
    with torch.inference_mode():
        together = model.rollout(z, actions)
        torch.testing.assert_close(chunked.rollout(z, actions), together)
        torch.testing.assert_close(model.rollout(z, actions[:, 4:5]), together[:, 4:5])
        torch.testing.assert_close(model.rollout(z[1:], actions[1:]), together[1:])


def test_a_longer_context_needs_its_actions() -> None:
    z, actions = latents(1, 3)
    with pytest.raises(ValueError, match="past_actions"):
        tiny(context_length=2).rollout(z, actions[:, None])


def test_actions_in_other_units_mean_the_same() -> None:
    """A spec whose numbers are twice as large, with the calibration to match, gives the same prediction."""
    spec = toy_spec()
    affine = spec.action.image_from_action
    assert affine is not None
    doubled = ActionSpec(
        spec.action.names,
        (-2.0,) * 4,
        (2.0,) * 4,
        spec.action.points,
        ((affine[0][0] / 2, 0.0, 0.0), (0.0, affine[1][1] / 2, 0.0)),
    )
    model, other = tiny(), JEPA(CONFIG, dataclasses.replace(spec, action=doubled)).eval()
    other.load_state_dict(model.state_dict())
    z, actions = latents(2, 2)
    torch.testing.assert_close(other.predict(z, 2 * actions), model.predict(z, actions), atol=1e-4, rtol=1e-4)


def test_bfloat16_encoding_stays_close() -> None:
    model, obs = tiny(), observation(2, 2)
    with torch.inference_mode():
        want = model.encode(obs)
        with torch.autocast("cpu", torch.bfloat16):
            got = model.encode(obs)
            assert model.predict(got, torch.zeros(2, 2, 4)).dtype == torch.float32
    assert got.dtype == torch.float32
    assert (got - want).abs().mean() < 0.02 * want.abs().mean()


@pytest.mark.parametrize(
    ("sensors", "message"),
    [
        (("pixels", "state"), "privileged"),
        (("pixels", "depth"), "unknown sensor 'depth'"),
        (("proprio",), "a grid needs a picture"),
    ],
)
def test_sensors_that_may_not_be_read_are_refused(sensors: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        JEPA(dataclasses.replace(CONFIG, sensors=sensors), toy_spec())


def test_a_picture_that_does_not_come_down_to_the_grid_is_refused() -> None:
    with pytest.raises(ConfigError, match="grid of 4"):
        JEPA(CONFIG, toy_spec(size=48))


def test_a_larger_picture_needs_only_more_halvings() -> None:
    config = dataclasses.replace(CONFIG, sensors=("pixels",), encoder=EncoderConfig(widths=(8, 8, 8)))
    z = JEPA(config, toy_spec(size=128)).encode({"pixels": torch.zeros(2, 1, 128, 128, 3, dtype=torch.uint8)})
    assert z.shape == (2, 1, 64, 16)
