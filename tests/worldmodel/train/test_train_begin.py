"""What a model takes over from another run: what both have, the places of both, and nothing that nobody has trained."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.worldmodel.toy import toy_spec
from worldmodel.encoder import EncoderConfig
from worldmodel.errors import CheckpointError
from worldmodel.jepa import JEPA, JEPAConfig
from worldmodel.nn.embodied import Body
from worldmodel.normalisation import MeanStd
from worldmodel.predictor import PredictorConfig
from worldmodel.train.begin import begin_from, scaled_as, seen_before
from worldmodel.train.checkpoint import Checkpoint
from worldmodel.train.manifest import DataSummary, Embodiment, Manifest, new_manifest
from worldmodel.types import ActionSpec, SensorSpec, WorldSpec

PIXELS, BOTH = ("pixels",), ("pixels", "proprio")


def spec(feels: int = 2, action: ActionSpec | None = None) -> WorldSpec:
    world = toy_spec()
    sensors = {**world.sensors, "proprio": SensorSpec((feels,), "float32", "vector")}
    return dataclasses.replace(world, sensors=sensors, action=action or world.action)


def model_of(sensors: tuple[str, ...], *worlds: WorldSpec, seed: int = 0, **changes: Any) -> JEPA:
    torch.manual_seed(seed)
    encoder = EncoderConfig(widths=(8, 8), grid=4, token_dim=4, **changes)
    predictor = PredictorConfig(width=16, depth=1, num_heads=2, action_width=8, cond_dim=8)
    config = JEPAConfig(encoder, predictor, sensors, embodiments=len(worlds) > 1)
    first, *others = worlds or (spec(),)
    return JEPA(config, first, {}, [Body(world) for world in others])


def manifest(**changes: Any) -> Manifest:
    data = DataSummary("f00d", 3, 9, ((2, 4), (9, 9)))
    made = new_manifest(spec(), model={}, heads=None, experiment={}, context_length=1, data=data, step=1)
    return dataclasses.replace(made, **changes)


def trained(model: JEPA) -> Checkpoint:
    """The model as a run whose normalisation has seen something."""
    state = {name: value.clone() for name, value in model.state_dict().items()}
    for name in state:
        if name.endswith(("norm.mean", "norm.variance")):
            state[name] = torch.rand_like(state[name]) + 1
    return Checkpoint(manifest(), state, None, Path("parent"))


def test_all_of_it_is_taken_where_all_fits(caplog: pytest.LogCaptureFixture) -> None:
    parent, model = trained(model_of(BOTH)), model_of(BOTH, seed=1)
    with caplog.at_level("INFO"):
        begin_from(model, parent)
    assert all(torch.equal(value, parent.model[name]) for name, value in model.state_dict().items())
    assert "beginning with the encoder and predictor of parent" in caplog.text


def test_places_come_first_and_keep_their_normalisation_when_a_sensor_is_added() -> None:
    parent, model = trained(model_of(PIXELS)), model_of(BOTH, seed=1)
    before = model.state_dict()["predictor.place"].clone()
    begin_from(model, parent)
    mean = model.state_dict()["encoder.norm.mean"]
    torch.testing.assert_close(mean[:64], parent.model["encoder.norm.mean"])  # 16 places of 4 channels
    assert mean.shape == (68,) and not mean[64:].any()
    assert torch.equal(model.state_dict()["predictor.place"], before)  # a predictor of fewer tokens does not come along


def test_the_normalisation_of_all_places_together_is_none_of_the_first_place() -> None:
    parent = trained(model_of(PIXELS, norm="pooled"))
    parent = dataclasses.replace(parent, manifest=manifest(model={"encoder": {"norm": "pooled"}}))
    model = model_of(PIXELS, seed=1)
    begin_from(model, parent)
    state = model.state_dict()
    assert not state["encoder.norm.mean"].any() and bool((state["encoder.norm.variance"] == 1).all())
    assert torch.equal(state["encoder.tokenize_image.layers.0.weight"], parent.model["encoder.tokenize_image.layers.0.weight"])
    with pytest.raises(CheckpointError, match=r"parent has no weights for encoder\.norm"):
        begin_from(model_of(PIXELS, frozen=True), parent)


def test_every_embodiment_begins_with_what_the_only_one_knew() -> None:
    more = spec(3, ActionSpec(("a", "b"), (-1.0,) * 2, (1.0,) * 2))
    parent, model = trained(model_of(BOTH)), model_of(BOTH, spec(), more, seed=1)
    anew = model.state_dict()["encoder.tokenize_vectors.proprio.bodies.1.layers.0.weight"].clone()
    begin_from(model, parent)
    state = model.state_dict()
    for number in (0, 1):
        assert torch.equal(state[f"encoder.norm.bodies.{number}.mean"], parent.model["encoder.norm.mean"])
    first = "encoder.tokenize_vectors.proprio.bodies.0.layers.0.weight"
    assert torch.equal(state[first], parent.model["encoder.tokenize_vectors.proprio.layers.0.weight"])
    assert torch.equal(state[first.replace("bodies.0", "bodies.1")], anew)  # three numbers instead of two


def test_embodiments_begin_as_themselves_or_not_at_all() -> None:
    """In another order, or alone, a number would mean another robot, whose vectors have the same shape."""
    arm, other = spec(), dataclasses.replace(spec(), robot="gantry")
    known = manifest(embodiments=(Embodiment(other, {}),))
    parent = dataclasses.replace(trained(model_of(BOTH, arm, other)), manifest=known)
    model = model_of(BOTH, arm, other, seed=1)
    begin_from(model, parent)
    assert all(torch.equal(value, parent.model[name]) for name, value in model.state_dict().items())
    for worlds in ((other, arm), (arm,)):
        with pytest.raises(
            CheckpointError, match=r"parent is of the embodiments none \(sweep\), gantry \(sweep\), this model of"
        ):
            begin_from(model_of(BOTH, *worlds, seed=1), parent)


def test_a_frozen_encoder_takes_all_or_nothing() -> None:
    with pytest.raises(CheckpointError, match=r"parent has no weights for encoder\.tokenize_vectors"):
        begin_from(model_of(BOTH, frozen=True), trained(model_of(PIXELS)))
    begin_from(model_of(PIXELS, frozen=True), trained(model_of(BOTH)))  # fewer sensors are no matter


def test_the_ema_target_is_another_start() -> None:
    target = {f: torch.full_like(v, 2) for f, v in model_of(PIXELS, seed=3).encoder.state_dict().items()}
    parent, model = dataclasses.replace(trained(model_of(PIXELS)), target=target), model_of(PIXELS, seed=1)
    begin_from(model, parent, "target")
    assert all((value == 2).all() for value in model.encoder.state_dict().values())
    assert torch.equal(model.state_dict()["predictor.place"], parent.model["predictor.place"])
    with pytest.raises(CheckpointError, match=r"parent has no EMA target; leave train\.init_encoder at online"):
        begin_from(model, trained(model_of(PIXELS)), "target")


def test_a_stranger_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"parent has another encoder \(no weights in common"):
        begin_from(model_of(PIXELS), Checkpoint(manifest(), {"x": torch.zeros(2)}, None, Path("parent")))
    with pytest.raises(CheckpointError, match=r"layers\.4\.weight: \(4, 8, 1, 1\) expected, \(6, 8, 1, 1\)"):
        state = trained(model_of(PIXELS)).model | {"encoder.tokenize_image.layers.4.weight": torch.zeros(6, 8, 1, 1)}
        begin_from(model_of(PIXELS), Checkpoint(manifest(), state, None, Path("parent")))


def test_vectors_are_scaled_as_the_weights_expect() -> None:
    parent = manifest(normalisation={"proprio": MeanStd((1.0, 2.0), (3.0, 4.0)), "force": MeanStd((0.0,), (1.0,))})
    own = {"proprio": MeanStd((9.0, 9.0), (9.0, 9.0)), "force": MeanStd((5.0, 5.0), (5.0, 5.0)), "new": MeanStd((7.0,), (7.0,))}
    found = scaled_as(parent, own)
    assert found == own | {"proprio": parent.normalisation["proprio"]}  # a force of two numbers is another one


def test_each_embodiment_is_scaled_as_its_own_weights_expect() -> None:
    first, second, own = ({"proprio": MeanStd((x, x), (x, x))} for x in (1.0, 2.0, 3.0))
    one = manifest(normalisation=first)
    several = manifest(normalisation=first, embodiments=(Embodiment(spec(), second),))
    assert [scaled_as(one, own, number) for number in (0, 1)] == [first, first]  # all begin with what the one robot has
    assert [scaled_as(several, own, number) for number in (0, 1)] == [first, second]


def test_seeds_that_the_parent_has_seen_are_no_evaluation() -> None:
    assert seen_before(manifest(), ["toy/Sweep-v0"]) == {2, 3, 4, 9} and seen_before(manifest(), ["other"]) == set()
    assert seen_before(manifest(), ["other", "toy/Sweep-v0"]) == {2, 3, 4, 9}
    two = manifest(embodiments=(Embodiment(dataclasses.replace(spec(), env_id="other"), {}),))
    assert seen_before(two, ["other"]) == {2, 3, 4, 9} and seen_before(two, ["third"]) == set()
