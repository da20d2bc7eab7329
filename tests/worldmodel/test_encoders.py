"""Encoders over any subset of sensors: shapes, causality, masks that do not leak, sensors that are missing, what learns."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.worldmodel.toy import toy_spec
from worldmodel.encoder import EncoderConfig, TokenEncoder, build_encoder
from worldmodel.encoders.config import TokensConfig, ViTConfig
from worldmodel.encoders.sensors import dead, modality_of
from worldmodel.errors import ConfigError, MismatchError
from worldmodel.jepa import JEPA, JEPAConfig
from worldmodel.nn.embodied import Body
from worldmodel.nn.tokenizers import encode_text
from worldmodel.normalisation import MeanStd
from worldmodel.predictor import PredictorConfig
from worldmodel.types import Observation, SensorSpec, WorldSpec

SENSORS = {
    "pixels": SensorSpec((32, 32, 3), "uint8", "image"),
    "wrist": SensorSpec((32, 32, 3), "uint8", "image", camera="wrist"),
    "depth": SensorSpec((32, 32), "uint16", "vector"),
    "proprio": SensorSpec((5,), "float32", "vector"),
    "touch": SensorSpec((4, 3), "float32", "vector"),
    "audio": SensorSpec((800,), "float32", "vector"),
    "instruction": SensorSpec((32,), "uint8", "vector"),
}
ALL = tuple(SENSORS)
VIT = ViTConfig(width=24, depth=2, num_heads=2)
SMALL = EncoderConfig(widths=(8, 12), grid=4, token_dim=6, vit=VIT, tokens=TokensConfig(words=3, instruction="words"))
SUBSETS = [
    ALL,
    ("pixels",),
    ("pixels", "wrist"),
    ("proprio", "touch"),
    ("pixels", "depth", "instruction"),
    ("audio",),
    ("depth",),
]
NUM_EXTRA = {"proprio": 1, "touch": 1, "audio": 4, "instruction": 3}
KINDS = [(kind, output) for kind in ("conv", "vit") for output in ("grid", "pooled", "vector")]


def world(**more: SensorSpec) -> WorldSpec:
    return dataclasses.replace(toy_spec(), sensors=SENSORS | more)


def observation(sensors: tuple[str, ...] = ALL, frames: int = 3, seed: int = 0) -> Observation:
    g = torch.Generator().manual_seed(seed)
    lead = (2, frames)
    values: dict[str, Tensor] = {
        "pixels": torch.randint(1, 256, (*lead, 32, 32, 3), dtype=torch.uint8, generator=g),
        "wrist": torch.randint(1, 256, (*lead, 32, 32, 3), dtype=torch.uint8, generator=g),
        "depth": torch.randint(1, 3000, (*lead, 32, 32), generator=g).to(torch.uint16),
        "proprio": torch.randn(*lead, 5, generator=g),
        "touch": torch.randn(*lead, 4, 3, generator=g),
        "audio": torch.rand(*lead, 800, generator=g) * 2 - 1,
        "instruction": torch.from_numpy(encode_text("sweep it", 32)).expand(*lead, -1),
    }
    return {key: values[key] for key in sensors}


def make(sensors: tuple[str, ...] = ALL, **changes: Any) -> Any:
    torch.manual_seed(0)
    return build_encoder(dataclasses.replace(SMALL, **changes), sensors, (Body(world()),))


@pytest.mark.parametrize("sensors", SUBSETS)
@pytest.mark.parametrize(("kind", "output"), KINDS)
def test_any_subset_of_sensors_becomes_a_latent_and_every_weight_learns(
    kind: str, output: str, sensors: tuple[str, ...]
) -> None:
    placed = sum(key in ("pixels", "wrist", "depth") for key in sensors)
    if output == "grid" and not placed:
        with pytest.raises(ConfigError, match="a grid needs a picture"):
            make(sensors, kind=kind, output=output)
        return
    encoder = make(sensors, kind=kind, output=output).train()
    z = encoder(observation(sensors))
    extra = sum(NUM_EXTRA.get(key, 0) for key in sensors)
    num_tokens = {"grid": 16 * placed + extra, "pooled": 4, "vector": 1}[output]
    assert z.shape == (2, 3, num_tokens, 6) and z.dtype == torch.float32 and encoder.num_tokens == num_tokens
    torch.testing.assert_close(z.mean((0, 1)), torch.zeros(num_tokens, 6), atol=1e-4, rtol=0)
    encoder.eval()  # normalised over a batch, what is the same in all frames would have no gradient
    z = encoder(observation(sensors))
    (z * torch.randn_like(z)).sum().backward()
    silent = {n for n, p in encoder.named_parameters() if p.grad is None or not p.grad.any()}
    assert not silent


@pytest.mark.parametrize(("kind", "output"), KINDS)
def test_a_vector_of_several_axes_is_its_elements_in_a_row(kind: Any, output: Any) -> None:
    """Positions of five objects, (5, 2): one token, the same as of ten numbers."""
    found, obs = [], observation(("pixels",))
    objects = torch.randn(2, 3, 5, 2, generator=torch.Generator().manual_seed(3))
    for shape in ((5, 2), (10,)):
        torch.manual_seed(0)
        body = Body(world(objects=SensorSpec(shape, "float32", "vector")))
        encoder = build_encoder(dataclasses.replace(SMALL, kind=kind, output=output), ("pixels", "objects"), (body,)).eval()
        found.append(encoder({**obs, "objects": objects.reshape(2, 3, *shape)}))
    torch.testing.assert_close(found[0], found[1])


def test_the_plain_case_is_the_default_encoder() -> None:
    assert isinstance(make(("pixels", "proprio")), TokenEncoder)
    for changes in ({"output": "vector"}, {"kind": "vit"}, {"sensor_dropout": 0.1}):
        assert not isinstance(make(("pixels", "proprio"), **changes), TokenEncoder)


@pytest.mark.parametrize(("kind", "output"), KINDS)
def test_frames_do_not_know_later_ones_and_can_be_encoded_one_by_one(kind: str, output: str) -> None:
    encoder = make(kind=kind, output=output).eval()
    obs = observation()
    with torch.inference_mode():
        together = encoder(obs)
        for t in range(3):
            torch.testing.assert_close(encoder({key: x[:, t : t + 1] for key, x in obs.items()}), together[:, t : t + 1])


def test_tubelets_see_one_frame_back() -> None:
    encoder = make(("pixels",), kind="vit", vit=dataclasses.replace(VIT, tubelet=2)).eval()
    obs = observation(("pixels",), frames=4)
    other = {"pixels": obs["pixels"].clone()}
    other["pixels"][:, 1] = 7
    with torch.inference_mode():
        together = encoder(obs)
        changed = (encoder(other) - together).abs().amax((0, 2, 3)) > 1e-6
        torch.testing.assert_close(encoder({"pixels": obs["pixels"][:, 2:]})[:, 1:], together[:, 3:])
    assert changed.tolist() == [False, True, True, False] and encoder.tubelet == 2


@pytest.mark.parametrize("kind", ["conv", "vit"])
def test_visible_tokens_are_those_of_all_when_nothing_is_hidden(kind: str) -> None:
    encoder = make(kind=kind).eval()
    obs, placed = observation(), encoder.layout.num_placed
    kept = torch.stack([torch.randperm(3 * placed)[:20] for _ in range(2)])
    with torch.inference_mode():
        everything = encoder.tokens(obs)[:, :, :placed].flatten(1, 2)
        if kind == "vit":  # what is not kept is not seen either
            kept = torch.arange(3 * placed).expand(2, -1)
        got = encoder.visible(obs, kept)
    torch.testing.assert_close(got, everything.gather(1, kept.unsqueeze(-1).expand(-1, -1, 6)))


def test_what_a_vit_does_not_keep_it_does_not_see() -> None:
    encoder = make(("pixels", "proprio"), kind="vit").eval()
    obs = observation(("pixels", "proprio"))
    kept = torch.tensor([[0, 17, 18, 40], [3, 4, 5, 47]])
    other = dict(obs) | {"pixels": obs["pixels"].clone()}
    other["pixels"][0, 0, 8:] = 0  # token 0 of frame 0 lies in the rows above
    with torch.inference_mode():
        torch.testing.assert_close(encoder.visible(obs, kept), encoder.visible(other, kept))
        other["pixels"][0, 0, :8, :8] = 0
        changed = (encoder.visible(obs, kept) - encoder.visible(other, kept)).abs().amax(-1) > 1e-6
    assert changed.tolist() == [[True, False, False, False], [False] * 4]


# Sensors that are missing or dead.


def test_a_missing_sensor_is_refused_unless_it_was_hidden_in_training() -> None:
    with pytest.raises(MismatchError, match="the observation lacks wrist, depth"):
        make()(observation(("pixels", "proprio", "touch", "audio", "instruction")))
    encoder = make(kind="vit", sensor_dropout=0.3).eval()
    assert encoder.optional == set(ALL)
    for key in ALL:
        z = encoder(observation((key,)))
        assert z.shape == (2, 3, encoder.num_tokens, 6) and bool(torch.isfinite(z).all())
    with pytest.raises(MismatchError, match="lacks"):
        encoder({})


@pytest.mark.parametrize("kind", ["conv", "vit"])
def test_a_sensor_that_no_body_has_is_a_slip_also_where_sensors_may_be_missing(kind: str) -> None:
    with pytest.raises(ConfigError, match=r"unknown sensor 'propriio'; available: .*Did you mean 'proprio'") as caught:
        make(("pixels", "propriio"), kind=kind, sensor_dropout=0.2)
    assert "\n" not in str(caught.value)


def test_a_dead_sensor_is_a_missing_one() -> None:
    encoder = make(kind="vit", sensor_dropout=0.3).eval()
    for key in ("pixels", "wrist", "depth", "proprio", "touch", "audio", "instruction"):
        obs = observation()
        without = encoder({name: x for name, x in obs.items() if name != key})
        values = obs[key]
        obs[key] = torch.full_like(values, float("nan")) if values.is_floating_point() else torch.zeros_like(values)
        torch.testing.assert_close(encoder(obs), without)
        assert not torch.allclose(encoder(observation()), without)


def test_one_dead_frame_leaves_the_others_as_they_are_and_gradients_finite() -> None:
    encoder = make(("pixels", "proprio"), kind="vit", sensor_dropout=0.3).eval()
    obs = observation(("pixels", "proprio"))
    before = encoder(obs)
    obs["proprio"][0, 1, 2] = float("nan")
    after = encoder(obs)
    changed = (before - after).abs().amax((2, 3)) > 1e-6
    assert changed.tolist() == [[False, True, False], [False, False, False]]
    after.sum().backward()
    assert all(bool(torch.isfinite(p.grad).all()) for p in encoder.parameters() if p.grad is not None)


def test_depth_at_infinity_is_unknown_also_where_sensors_may_be_missing() -> None:
    encoder, obs = make(("pixels", "depth"), kind="vit", sensor_dropout=0.3).eval(), observation(("pixels", "depth"))
    metres = obs["depth"].float() / 1000
    found = []
    for nothing in (0.0, float("inf"), float("-inf"), float("nan")):
        metres[0, 0, 3:9, 5] = nothing
        found.append(encoder({**obs, "depth": metres}))
        torch.testing.assert_close(found[-1], found[0])


def test_an_infinite_number_spoils_no_gradient() -> None:
    """Of elements that hardly move, infinity over their standard deviation is beyond what a float holds."""
    still = {"proprio": MeanStd((0.0,) * 5, (1e-3,) * 5)}
    config = dataclasses.replace(SMALL, kind="vit", sensor_dropout=0.3)
    encoder = build_encoder(config, ("pixels", "proprio"), (Body(world(), still),)).eval()
    obs = observation(("pixels", "proprio"))
    obs["proprio"][0, 1, 2] = float("inf")
    z = encoder(obs)
    (z * torch.randn_like(z)).sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in encoder.parameters() if p.grad is not None)


def test_training_hides_sensors_as_often_as_asked_but_never_all() -> None:
    tokens = make(("pixels", "proprio", "touch"), kind="vit", sensor_dropout=0.4).sensors.train()
    hidden = tokens._hide(4000, 3, torch.device("cpu"))
    assert not bool(hidden.all(1).any())
    expected = 0.4 - 0.4**3 / 3  # one of three is spared when all are drawn
    torch.testing.assert_close(hidden.float().mean(0), torch.full((3,), expected), atol=0.03, rtol=0)
    assert tokens._hide(10, 1, torch.device("cpu")) is None
    assert tokens.eval()._hide(10, 3, torch.device("cpu")) is None


def test_the_only_sensor_that_a_robot_has_is_never_hidden() -> None:
    """Of three that the model knows: what it says of each window still depends on it."""
    encoder = make(("pixels", "proprio", "touch"), kind="vit", sensor_dropout=0.9, norm="none").train()
    obs = {"proprio": torch.randn(1, 1, 5, generator=torch.Generator().manual_seed(0)).expand(64, 3, -1)}
    before, after = encoder(obs), encoder({"proprio": obs["proprio"] + 1})
    assert bool(((before - after).abs().amax((1, 2, 3)) > 1e-6).all())


def test_a_learned_token_stands_for_what_is_hidden() -> None:
    encoder = make(("pixels", "proprio"), kind="vit", sensor_dropout=0.9).train()
    z = encoder(observation(("pixels", "proprio")))
    (z * torch.randn_like(z)).sum().backward()
    assert any(p.grad is not None and p.grad.any() for p in encoder.sensors.absent.values())


@pytest.mark.parametrize(
    ("key", "spec", "modality"),
    [
        ("pixels", SensorSpec((8, 8, 3), "uint8", "image"), "camera"),
        ("head_depth", SensorSpec((8, 8, 1), "float32", "vector"), "depth"),
        ("range", SensorSpec((8, 8), "uint16", "vector"), "depth"),
        ("depth_of_water", SensorSpec((1,), "float32", "vector"), "proprio"),
        ("left_force", SensorSpec((6,), "float32", "vector"), "touch"),
        ("microphone", SensorSpec((160,), "float32", "vector"), "audio"),
        ("instruction", SensorSpec((16,), "uint8", "vector"), "instruction"),
        ("objects", SensorSpec((5, 2), "float32", "vector"), "proprio"),
    ],
)
def test_a_sensor_is_what_its_name_and_shape_say_unless_it_is_named(key: str, spec: SensorSpec, modality: str) -> None:
    assert modality_of(key, spec, {}) == modality
    assert modality_of(key, spec, {key: "touch"}) == "touch"


def test_a_number_that_is_zero_is_not_dead() -> None:
    assert not dead(torch.zeros(1, 2, 3), "proprio").any()
    assert dead(torch.zeros(1, 2, 4, 4, 3, dtype=torch.uint8), "camera").all()
    half = torch.tensor([[[[0.0, float("inf")], [1.0, 0.0]]]])
    assert not dead(half, "depth").any() and dead(half.nan_to_num(posinf=0.0) * 0, "depth").all()


# The whole model.


@pytest.mark.parametrize("action", ["auto", "vector"])
@pytest.mark.parametrize("modulation", ["frame", "token"])
@pytest.mark.parametrize(("kind", "output"), KINDS)
def test_the_predictor_takes_every_layout(kind: str, output: Any, modulation: Any, action: Any) -> None:
    torch.manual_seed(0)
    config = JEPAConfig(
        encoder=dataclasses.replace(SMALL, kind=kind, output=output),
        predictor=PredictorConfig(
            width=16, depth=2, num_heads=2, action_width=8, cond_dim=8, modulation=modulation, action=action
        ),
        sensors=("pixels", "proprio", "wrist"),
        context_length=2,
    )
    model = JEPA(config, world())
    for parameter in model.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, 0, 0.2)
    z = model.encode(observation(config.sensors))
    actions = 2 * torch.rand(2, 3, 4) - 1
    predicted = model.predict(z, actions)
    assert predicted.shape == z.shape
    got = model.rollout(z, actions[:, None, 2:], past_actions=actions[:, :2])[:, 0, 0]
    torch.testing.assert_close(got, predicted[:, -1])
    # another action, another prediction, at every token
    other = (model.predict(z, -actions) - predicted).abs().amax((0, 3)) > 1e-6
    assert bool(other.all())
    (predicted * torch.randn_like(predicted)).sum().backward()
    silent = {n for n, p in model.predictor.named_parameters() if p.grad is None or not p.grad.any()}
    unused = {"condition.weight", "condition.bias"} if modulation == "frame" and output == "grid" else set()
    assert silent == unused


def test_the_first_camera_is_told_where_the_action_is_and_comes_first() -> None:
    """Whatever the order of the sensors: the calibration is the camera's, and depth hears of the action as of numbers."""
    torch.manual_seed(0)
    config = JEPAConfig(
        encoder=dataclasses.replace(SMALL, kind="vit"),
        predictor=PredictorConfig(width=16, depth=1, num_heads=2, action_width=8, cond_dim=8, merge=1),
        sensors=("depth", "pixels", "wrist"),
    )
    model = JEPA(config, world())
    assert model.encoder.cameras == ("pixels", "wrist", "depth") and model.encoder.image == "pixels"
    told = model.predictor._told(2 * torch.rand(1, 1, 4) - 1)[0, 0].unflatten(0, (3, 16))
    differs = (told - told[:, :1]).abs().amax((1, 2)) > 1e-6
    assert differs.tolist() == [True, False, False]


def test_an_action_relative_to_no_place_is_refused() -> None:
    config = JEPAConfig(
        encoder=dataclasses.replace(SMALL, output="vector"), predictor=PredictorConfig(action="relative"), sensors=("pixels",)
    )
    with pytest.raises(ConfigError, match="no token has a place"):
        JEPA(config, world())


def test_a_frozen_encoder_stays_as_it_is() -> None:
    encoder = make(("pixels", "proprio"), frozen=True).train()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    first = encoder(observation(("pixels", "proprio")))
    torch.testing.assert_close(encoder(observation(("pixels", "proprio"))), first)
    assert not first.requires_grad
    assert all(torch.equal(before[name], value) for name, value in encoder.state_dict().items())


@pytest.mark.parametrize(("size", "shape"), [("tiny", (192, 12, 3)), ("small", (384, 12, 6)), ("base", (768, 12, 12))])
def test_sizes_are_the_usual_ones(size: Any, shape: tuple[int, int, int]) -> None:
    assert ViTConfig(size=size).shape == shape
    with pytest.raises(ConfigError, match="heads of even width"):
        ViTConfig(size=size, num_heads=5)
