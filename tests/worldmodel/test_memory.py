"""Laws of the remembered context: cached equals uncached, candidates share one prefix, windows agree wherever they begin."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.worldmodel.test_jepa import CONFIG, NUM_TOKENS, tiny
from worldmodel.jepa import JEPA
from worldmodel.nn.memory import reaches

TIGHT: dict[str, Any] = {"rtol": 0, "atol": 1e-10}


@pytest.mark.parametrize("depth", range(1, 8))
@pytest.mark.parametrize("context_length", range(1, 10))
def test_blocks_together_reach_exactly_the_context(depth: int, context_length: int) -> None:
    spread = reaches(depth, context_length)
    assert len(spread) == depth
    assert sum(spread) == context_length - 1
    assert max(spread) - min(spread) <= 1
    assert reaches(depth, context_length, "block") == (context_length - 1,) * depth


def random_model(seed: int) -> tuple[JEPA, np.random.Generator]:
    rng = np.random.default_rng(seed)
    predictor = dataclasses.replace(
        CONFIG.predictor,
        depth=int(rng.integers(1, 5)),
        modulation=str(rng.choice(["token", "frame"])),
        merge=int(rng.choice([1, 2])),
        action=str(rng.choice(["relative", "vector"])),
    )
    model = tiny(
        context_length=int(rng.integers(1, 6)),
        context_of=str(rng.choice(["model", "block"])),
        predictor=predictor,
        rollout_chunk=int(rng.integers(2, 9)),
    )
    return model.double(), rng


def draw(rng: np.random.Generator, *shape: int) -> Tensor:
    return torch.from_numpy(rng.uniform(-1, 1, shape))


def uncached(model: JEPA, context: Tensor, past: Tensor, actions: Tensor) -> Tensor:
    """Each candidate on its own, every step a teacher-forced pass over its whole history: (B, N, H, K, D)."""
    batch, num_candidates, horizon, _ = actions.shape
    out = []
    for b in range(batch):
        for n in range(num_candidates):
            frames, done, steps = context[b : b + 1], past[b : b + 1], []
            for h in range(horizon):
                done = torch.cat([done, actions[b : b + 1, n, h : h + 1]], dim=1)
                steps.append(model.predict(frames, done)[:, -1:])
                frames = torch.cat([frames, steps[-1]], dim=1)
            out.append(torch.cat(steps, dim=1))
    return torch.cat(out).view(batch, num_candidates, horizon, *context.shape[2:])


@pytest.mark.parametrize("seed", range(12))
def test_a_cached_rollout_equals_an_uncached_one_in_value_and_gradient(seed: int) -> None:
    model, rng = random_model(seed)
    batch, num_frames, num_candidates, horizon = (int(n) for n in rng.integers([1, 1, 1, 1], [3, 5, 4, 5]))
    context, past = draw(rng, batch, num_frames, NUM_TOKENS, 6), draw(rng, batch, num_frames - 1, 4)
    actions = draw(rng, batch, num_candidates, horizon, 4)
    weight, gradients = draw(rng, batch, num_candidates, horizon, NUM_TOKENS, 6), []
    results = []
    for roll in (lambda z, p, a: model.rollout(z, a, p), lambda z, p, a: uncached(model, z, p, a)):
        leaves = [x.clone().requires_grad_() for x in (context, past, actions)]
        model.zero_grad()
        results.append(roll(*leaves))
        (results[-1] * weight).sum().backward()
        of_weights = [p.grad.clone() for p in model.predictor.parameters() if p.grad is not None]
        gradients.append([*(x.grad if x.grad is not None else torch.zeros_like(x) for x in leaves), *of_weights])
    torch.testing.assert_close(results[0], results[1], **TIGHT)
    for got, want in zip(*gradients, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_one_step_of_a_rollout_and_a_step_equal_predict(seed: int) -> None:
    model, rng = random_model(seed)
    z, actions = draw(rng, 2, 6, NUM_TOKENS, 6), draw(rng, 2, 6, 4)
    with torch.inference_mode():
        want = model.predict(z, actions)[:, -1]
        torch.testing.assert_close(model.rollout(z, actions[:, None, 5:], actions[:, :5])[:, 0, 0], want, **TIGHT)
        torch.testing.assert_close(model.step(z, actions), want, **TIGHT)


@pytest.mark.parametrize(("context_length", "depth"), [(2, 1), (2, 3), (3, 3), (4, 2), (5, 2)])
def test_a_long_training_window_says_what_the_context_alone_says(context_length: int, depth: int) -> None:
    """What makes training and planning agree: predictions in a window equal those of windows of context_length frames."""
    model = tiny(context_length=context_length, predictor=dataclasses.replace(CONFIG.predictor, depth=depth)).double()
    rng = np.random.default_rng(0)
    z, actions = draw(rng, 2, 8, NUM_TOKENS, 6), draw(rng, 2, 8, 4)
    with torch.inference_mode():
        whole = model.predict(z, actions)
        for t in range(8):
            first = max(0, t + 1 - context_length)
            alone = model.predict(z[:, first : t + 1], actions[:, first : t + 1])[:, -1]
            torch.testing.assert_close(whole[:, t], alone, **TIGHT)
            if first > 0:  # and the frame at the far end of the context does count
                less = model.predict(z[:, first + 1 : t + 1], actions[:, first + 1 : t + 1])[:, -1]
                assert not torch.allclose(whole[:, t], less, atol=1e-3)


def test_blocks_that_each_see_the_context_see_further_together() -> None:
    model = tiny(context_length=2, context_of="block").double()  # two blocks of reach one
    rng = np.random.default_rng(0)
    z, actions = draw(rng, 1, 5, NUM_TOKENS, 6), draw(rng, 1, 5, 4)
    with torch.inference_mode():
        before = model.predict(z, actions)
        z[:, 0] += 1
        moved = (model.predict(z, actions) - before).abs().amax(dim=(0, 2, 3)) > 1e-9
    assert moved.tolist() == [True, True, True, False, False]


def test_the_context_is_computed_once_for_all_candidates() -> None:
    """Counted in frames that the predictor embeds: the prefix once an environment, then one frame a candidate and step."""
    model = tiny(context_length=3)
    rng = np.random.default_rng(0)
    batch, num_candidates, horizon, frames = 2, 7, 4, []
    model.predictor.embed.register_forward_pre_hook(lambda module, inputs: frames.append(inputs[0].shape[:2].numel()))
    z, actions = draw(rng, batch, 3, NUM_TOKENS, 6).float(), draw(rng, batch, num_candidates, horizon, 4).float()
    with torch.inference_mode():
        model.rollout(z, actions, draw(rng, batch, 2, 4).float())
    assert frames == [batch * 2] + horizon * [batch * num_candidates]


def test_memory_does_not_grow_with_the_horizon() -> None:
    model = tiny(context_length=3)  # two blocks, each of which reaches one frame back
    rng = np.random.default_rng(0)
    z, action = draw(rng, 1, 3, NUM_TOKENS, 6).float(), draw(rng, 1, 4).float()
    with torch.inference_mode():
        memory = model.predictor.remember(z[:, :2], draw(rng, 1, 2, 4).float())
        sizes = [[past and past[0].shape[2] for past in memory]]
        latent = z[:, 2]
        for step in range(3):
            latent, memory = model.predictor.advance(latent, action, memory, 2 + step)
            sizes.append([past and past[0].shape[2] for past in memory])
    assert sizes == 4 * [[model.predictor.num_places + model.predictor.num_extra] * 2]
