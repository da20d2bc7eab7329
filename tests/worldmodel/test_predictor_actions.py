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
    """The prediction for one frame z (K, D) and its action (A,), in numpy float64 and loops; the context is 1."""
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

    grid, m = 4, config.merge
    side = grid // m
    # of each place as the transformer sees it, the m x m places that it holds, row by row
    held = [[(i * m + p) * grid + j * m + q for p in range(m) for q in range(m)] for i in range(side) for j in range(side)]
    num_places = len(held)
    if way == "relative":  # the features themselves have exact tests (test_actions.py)
        features = model.predictor.action.features(actions).detach().numpy()  # type: ignore[union-attr, operator]
        told = [linear("action.mlp.2", silu(linear("action.mlp.0", row))) for row in features]
    elif way in ("vector", "concat"):
        told = [embedded("action")] * grid**2
    else:
        told = [np.zeros(0)] * grid**2
    frame = embedded("frame_action") if way in ("relative", "vector", "adaln") else np.zeros(config.cond_dim)
    tokens, cond = [], []
    for places in held:
        seen, heard = np.concatenate([latent[k] for k in places]), np.concatenate([told[k] for k in places])
        tokens.append(linear("embed", np.concatenate([seen, heard])))
        cond.append(silu(linear("condition", heard) + frame if config.modulation == "token" else frame))
    for token in latent[grid**2 :]:
        told_too = [embedded("extra_action")] if way == "concat" else []
        tokens.append(linear("embed_extra", np.concatenate([token, *told_too])))
        cond.append(silu(frame))
    if way == "token":
        tokens.append(embedded("action_token"))
        cond.append(silu(frame))
    x = np.stack(tokens) + p["place"]

    # rotary positions: (down, right) in tokens from the picture's centre; the others lie there
    head_dim = config.width // config.num_heads
    half, middle = head_dim // 2, (side - 1) / 2
    positions = [((k // side) - middle, (k % side) - middle, 0.0) if k < num_places else (0.0, 0.0, 0.0) for k in range(len(x))]
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
        six = [linear(f"{name}.modulation.linear", c).reshape(6, -1) for c in cond]
        h = np.stack([s[0] + layer_norm(row) * s[1] for row, s in zip(x, six, strict=True)])
        qkv = linear(f"{name}.attention.qkv", h).reshape(len(x), 3, config.num_heads, head_dim)
        mixed = np.zeros((len(x), config.num_heads, head_dim))
        for head in range(config.num_heads):
            q = [turned(qkv[i, 0, head], positions[i]) for i in range(len(x))]
            k = [turned(qkv[i, 1, head], positions[i]) for i in range(len(x))]
            for i in range(len(x)):
                score = np.exp([q[i] @ other / np.sqrt(head_dim) for other in k])
                mixed[i, head] = score @ qkv[:, 2, head] / score.sum()
        x = x + np.stack([s[2] for s in six]) * linear(f"{name}.attention.out", mixed.reshape(len(x), -1))
        h = np.stack([s[3] + layer_norm(row) * s[4] for row, s in zip(x, six, strict=True)])
        x = x + np.stack([s[5] for s in six]) * linear(f"{name}.down", gelu(linear(f"{name}.up", h)))
    x = np.stack([layer_norm(row) for row in x]) * p["norm.weight"] + p["norm.bias"]
    change = np.zeros_like(latent)
    for number, places in enumerate(held):
        change[places] = linear("out", x[number]).reshape(m * m, -1)
    for number in range(grid**2, len(latent)):
        change[number] = linear("out_extra", x[num_places + number - grid**2])
    return latent + change


EVERY = [(way, "frame") for way in (*WAYS, "relative", "vector")] + [("relative", "token"), ("vector", "token")]


@pytest.mark.parametrize("merge", [1, 2])
@pytest.mark.parametrize(("way", "modulation"), EVERY)
def test_each_way_equals_its_reference(way: str, modulation: str, merge: int) -> None:
    model = model_of(way, merge=merge, modulation=modulation).double()
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
