"""Encoder, predictor and rollout step are one graph each: fullgraph makes a break an error; no compiler is needed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from tests.worldmodel import test_encoders
from tests.worldmodel.test_jepa import latents, observation, tiny
from worldmodel.nn.attention import attend
from worldmodel.nn.masks import FrameMask


@pytest.fixture(autouse=True)
def fresh_dynamo() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def in_one_graph(function: Callable[..., Any]) -> Callable[..., Any]:
    return torch.compile(function, backend="eager", fullgraph=True)


@pytest.mark.parametrize("training", [True, False])
def test_the_encoder_is_one_graph(training: bool) -> None:
    plain, traced = tiny().train(training), tiny().train(training)
    obs = observation(2, 3)
    torch.testing.assert_close(in_one_graph(traced.encode)(obs), plain.encode(obs), rtol=0, atol=0)
    torch.testing.assert_close(dict(traced.named_buffers()), dict(plain.named_buffers()), rtol=0, atol=0)


ENCODERS = [
    ("vit", "grid", test_encoders.ALL, 0.3),
    ("vit", "pooled", test_encoders.ALL, 0.3),
    ("vit", "vector", ("pixels", "proprio"), 0.0),
    ("conv", "grid", test_encoders.ALL, 0.3),
    ("conv", "pooled", ("pixels", "depth", "instruction"), 0.0),
    ("conv", "vector", ("proprio", "touch"), 0.3),
]


@pytest.mark.parametrize(("kind", "output", "sensors", "dropout"), ENCODERS)
def test_every_encoder_is_one_graph_in_training(kind: str, output: str, sensors: tuple[str, ...], dropout: float) -> None:
    """With sensors hidden at random too, and the same ones as without a graph."""
    vit = dataclasses.replace(test_encoders.VIT, depth=1, tubelet=2)
    plain, traced = (
        test_encoders.make(sensors, kind=kind, output=output, sensor_dropout=dropout, vit=vit).train() for _ in range(2)
    )
    obs, found = test_encoders.observation(sensors), []
    for encode in (plain, in_one_graph(traced)):
        torch.manual_seed(3)
        found.append(encode(obs))
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=0)


@pytest.mark.parametrize("context_length", [1, 3])
@pytest.mark.parametrize("bf16", [False, True])
def test_the_predictor_is_one_graph(context_length: int, bf16: bool) -> None:
    model = tiny(context_length=context_length).train()
    z, actions = latents(2, 4)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        got, want = in_one_graph(model.predict)(z, actions), model.predict(z, actions)
    torch.testing.assert_close(got, want, rtol=0, atol=0)
    got.sum().backward()


@pytest.mark.parametrize("context_length", [1, 3])
def test_the_step_of_a_rollout_is_one_graph_that_serves_all_steps(context_length: int) -> None:
    """One graph for the first frame, and one for all that follow, whatever their number."""
    model = tiny(context_length=context_length)
    z, actions = latents(2, 6)
    graphs = []

    def counting(graph: torch.fx.GraphModule, inputs: list[Any]) -> Callable[..., Any]:
        graphs.append(graph)
        return graph.forward

    advance = torch.compile(model.predictor.advance, backend=counting, fullgraph=True)
    with torch.no_grad():
        memory = model._remember(z[:, :3], actions[:, :2])
        latent, imagined = z[:, 2], []
        for step in range(4):
            latent, memory = advance(latent, actions[:, 2 + step], memory, 2 + step)
            imagined.append(latent)
        want = model.rollout(z[:, :3], actions[:, None, 2:], actions[:, :2])[:, 0]
    torch.testing.assert_close(torch.stack(imagined, dim=1), want)
    assert len(graphs) <= 2


def test_a_whole_rollout_is_one_graph() -> None:
    model = tiny(context_length=2)
    z, actions = latents(2, 4)
    with torch.no_grad():
        arguments = z[:, :2], actions[:, None, 1:], actions[:, :1]
        torch.testing.assert_close(in_one_graph(model.rollout)(*arguments), model.rollout(*arguments))


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_flex_attention_and_the_making_of_its_mask_are_one_graph() -> None:
    q, k, v = (torch.randn(1, 2, 6, 8, generator=torch.Generator().manual_seed(i)) for i in range(3))
    mask = FrameMask(3, 2, 1)
    got = in_one_graph(lambda q, k, v: attend(q, k, v, mask, "flex"))(q, k, v)
    torch.testing.assert_close(got, attend(q, k, v, mask, "sdpa"))
