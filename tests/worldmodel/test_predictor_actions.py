"""Ways of telling an action to the predictor: laws that hold for each, and each against a float64 reference of its own."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.worldmodel.test_jepa import CONFIG, latents, tiny
from tests.worldmodel.toy import toy_spec
from worldmodel.errors import ConfigError
from worldmodel.jepa import JEPA
from worldmodel.predictor import PredictorConfig

WAYS = ("adaln", "concat", "token")


def model_of(way: str, context_length: int = 1, **changes: object) -> JEPA:
    predictor = dataclasses.replace(CONFIG.predictor, action=way, **changes)  # type: ignore[arg-type]
    return tiny(predictor=predictor, context_length=context_length)


@pytest.mark.parametrize("context_length", [1, 3])
@pytest.mark.parametrize("way", WAYS)
def test_a_rollout_equals_predicting_step_by_step(way: str, context_length: int) -> None:
    model = model_of(way, context_length)
    z, actions = latents(2, 4)
    with torch.inference_mode():
        rolled = model.rollout(z[:, :2], actions[:, None, 1:], actions[:, :1])[:, 0]
        frames = z[:, :2]
        for h in range(3):
            past = slice(max(0, h + 2 - context_length), h + 2)
            after = model.predict(frames[:, past], actions[:, past])[:, -1]
            torch.testing.assert_close(rolled[:, h], after, atol=1e-4, rtol=1e-4)
            frames = torch.cat([frames, after[:, None]], dim=1)


@pytest.mark.parametrize("way", WAYS)
def test_every_token_hears_of_the_action(way: str) -> None:
    model = model_of(way)
    z, actions = latents(1, 1)
    change = model.predict(z, actions) - model.predict(z, -actions)
    assert bool((change.abs().amax(-1) > 1e-4).all())


@pytest.mark.parametrize("way", WAYS)
def test_tokens_without_a_place_hear_of_it_too(way: str) -> None:
    encoder = dataclasses.replace(CONFIG.encoder, output="vector")
    model = tiny(encoder=encoder, predictor=dataclasses.replace(CONFIG.predictor, action=way))
    z = torch.randn(2, 1, 1, 6)
    actions = torch.rand(2, 1, 4)
    assert bool(((model.predict(z, actions) - model.predict(z, -actions)).abs() > 1e-5).all())


def reference(model: JEPA, z: Tensor, actions: Tensor) -> np.ndarray:
    """The prediction for one frame z (K, D) and its action (A,), in numpy float64 and loops; merge is 1, context 1."""
    p = {name: value.detach().double().numpy() for name, value in model.predictor.state_dict().items()}
    config, way = model.config.predictor, model.config.predictor.action
    latent, action = z.double().numpy(), actions.double().numpy()  # bounds are -1 and 1: it is normalised already

    def linear(name: str, x: np.ndarray) -> np.ndarray:
        return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]

    def silu(x: np.ndarray) -> np.ndarray:
        return x / (1 + np.exp(-x))

    def gelu(x: np.ndarray) -> np.ndarray:
        return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))

    def layer_norm(x: np.ndarray) -> np.ndarray:
        return (x - x.mean()) / np.sqrt(x.var() + 1e-5)

    def embedded(name: str) -> np.ndarray:
        return linear(f"{name}.mlp.2", silu(linear(f"{name}.mlp.0", action)))

    num_places, grid = 16, 4
    tokens = []
    for k, token in enumerate(latent):
        placed = k < num_places
        if way == "concat":
            token = np.concatenate([token, embedded("action" if placed else "extra_action")])
        tokens.append(linear("embed" if placed else "embed_extra", token))
    if way == "token":
        tokens.append(embedded("action_token"))
    x = np.stack(tokens) + p["place"]
    cond = silu(embedded("frame_action")) if way == "adaln" else np.zeros(config.cond_dim)

    # rotary positions: (down, right) in tokens from the picture's centre; the others lie there
    head_dim = config.width // config.num_heads
    half = head_dim // 2
    positions = [((k // grid) - 1.5, (k % grid) - 1.5, 0.0) if k < num_places else (0.0, 0.0, 0.0) for k in range(len(x))]
    levels = [int(np.ceil((half - axis) / 3)) for axis in range(3)]

    def turned(vector: np.ndarray, position: tuple[float, ...]) -> np.ndarray:
        out = vector.copy()
        for i in range(half):
            angle = position[i % 3] * 100.0 ** (-(i // 3) / max(levels[i % 3], 1))
            a, b = vector[i], vector[i + half]
            out[i], out[i + half] = a * np.cos(angle) - b * np.sin(angle), a * np.sin(angle) + b * np.cos(angle)
        return out

    for number in range(config.depth):
        name = f"blocks.{number}"
        six = linear(f"{name}.modulation.linear", cond).reshape(6, -1)
        h = np.stack([six[0] + layer_norm(row) * six[1] for row in x])
        qkv = linear(f"{name}.attention.qkv", h).reshape(len(x), 3, config.num_heads, head_dim)
        mixed = np.zeros((len(x), config.num_heads, head_dim))
        for head in range(config.num_heads):
            q = [turned(qkv[i, 0, head], positions[i]) for i in range(len(x))]
            k = [turned(qkv[i, 1, head], positions[i]) for i in range(len(x))]
            for i in range(len(x)):
                score = np.exp([q[i] @ other / np.sqrt(head_dim) for other in k])
                mixed[i, head] = score @ qkv[:, 2, head] / score.sum()
        x = x + six[2] * linear(f"{name}.attention.out", mixed.reshape(len(x), -1))
        h = np.stack([six[3] + layer_norm(row) * six[4] for row in x])
        x = x + six[5] * linear(f"{name}.down", gelu(linear(f"{name}.up", h)))
    x = np.stack([layer_norm(row) for row in x]) * p["norm.weight"] + p["norm.bias"]
    change = [linear("out" if k < num_places else "out_extra", x[k]) for k in range(len(latent))]
    return latent + np.stack(change)


@pytest.mark.parametrize("way", WAYS)
def test_each_way_equals_its_reference(way: str) -> None:
    model = model_of(way, merge=1).double()
    z, actions = (x.double() for x in latents(1, 1))
    with torch.no_grad():
        got = model.predict(z, actions)[0, 0].numpy()
    want = reference(model, z[0, 0], actions[0, 0])
    np.testing.assert_allclose(got, want, atol=1e-5, rtol=1e-5)
    assert np.abs(want - z[0, 0].numpy()).max() > 0.1  # it is not the identity


@pytest.mark.parametrize("way", WAYS)
def test_steering_at_each_token_needs_an_action_there(way: str) -> None:
    with pytest.raises(ConfigError, match=f"modulation is token and action is {way}"):
        PredictorConfig(action=way, modulation="token")  # type: ignore[arg-type]


def test_a_new_predictor_says_that_nothing_moves_however_it_is_told() -> None:
    z, actions = latents(2, 2)
    for way in WAYS:
        predictor = dataclasses.replace(CONFIG.predictor, action=way)  # type: ignore[arg-type]
        model = JEPA(dataclasses.replace(CONFIG, predictor=predictor), toy_spec())
        torch.testing.assert_close(model.predict(z, actions), z)
