"""Laws of masks, and of what is predicted behind them."""

from __future__ import annotations

import dataclasses
import itertools
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.worldmodel.references import assert_equal, masked_error
from tests.worldmodel.toy import ToyWindows, toy_spec
from worldmodel.encoder import EncoderConfig
from worldmodel.encoders.config import ViTConfig
from worldmodel.encoders.fused import ViTEncoder
from worldmodel.errors import ConfigError
from worldmodel.jepa import JEPA, JEPAConfig
from worldmodel.layout import TokenLayout
from worldmodel.masking import (
    LONG_RANGE,
    SHORT_RANGE,
    BlockMaskConfig,
    TokenSplit,
    draw_blocks,
    draw_masks,
    draw_split,
    paint_over,
    split,
)
from worldmodel.objectives import EMAConfig, MaskedConfig, ObjectiveConfig, build_objective
from worldmodel.objectives.masked import MaskedPrediction, hide, take
from worldmodel.predictor import PredictorConfig

LAYOUT = TokenLayout(8, 2, 3)
KINDS = [
    SHORT_RANGE,
    LONG_RANGE,
    BlockMaskConfig(3, (0.05, 0.3), (0.5, 2.0), (0.3, 0.7), (0.2, 0.4)),
    BlockMaskConfig(1, (0.02, 0.02), ratio=(0.85, 0.95)),
]

SMALL = BlockMaskConfig(2, (0.3, 0.3), ratio=(0.2, 0.6))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def drawn(kind: BlockMaskConfig, batch: int, num_frames: int, layout: TokenLayout, seed: int = 0) -> TokenSplit:
    return draw_split(kind, batch, num_frames, layout, rng(seed))


@pytest.mark.parametrize("kind", KINDS)
def test_the_hidden_share_is_within_its_bounds_in_every_window_and_camera(kind: BlockMaskConfig) -> None:
    masks = drawn(kind, 32, 4, LAYOUT).masks
    assert masks.shape == (32, 4, 2, 8, 8) and masks.dtype == torch.bool
    share = masks.float().mean((1, 3, 4))
    assert kind.ratio[0] <= float(share.min()) and float(share.max()) <= kind.ratio[1]
    assert not torch.equal(masks[0, :, 0], masks[0, :, 1]) and not torch.equal(masks[0], masks[1])
    assert torch.equal(masks, drawn(kind, 32, 4, LAYOUT).masks)
    assert not torch.equal(masks, drawn(kind, 32, 4, LAYOUT, 1).masks)


def test_the_two_kinds_hide_as_much_as_their_blocks_say() -> None:
    """Of many masks: the chance of a place in the middle to be missed by eight blocks of 15 % is about 0.85 ** 8."""
    short, long = (draw_masks(kind, 2000, 1, 16, rng()).mean() for kind in (SHORT_RANGE, LONG_RANGE))
    assert short == pytest.approx(1 - 0.85**8, abs=0.12) and 0.75 < long < 0.9


def test_a_block_is_a_rectangle_that_reaches_through_frames_in_a_row() -> None:
    kind = BlockMaskConfig(1, (0.1, 0.4), (0.5, 2.0), (0.2, 0.8), (0.001, 0.9))
    for mask in draw_blocks(kind, 200, 5, 8, rng()):
        where = np.argwhere(mask)
        low, high = where.min(0), where.max(0)
        assert mask.sum() == np.prod(high - low + 1)  # what its bounding box holds, it fills
        length, height, width = high - low + 1
        assert 1 <= length <= 4
        assert 0.4 <= height / width <= 2.5 and 0.05 <= height * width / 64 <= 0.5  # rounded to whole tokens


def one_by_one(kind: BlockMaskConfig, num: int, num_frames: int, grid: int, rng: np.random.Generator) -> list[set]:
    """Masks as sets of tokens, written a second time in loops: V-JEPA's union of blocks within the bounds on its share."""

    def blocks(count: int) -> list[set]:
        area, ratio = rng.uniform(*kind.scale, count), rng.uniform(math.log(kind.aspect[0]), math.log(kind.aspect[1]), count)
        length = rng.uniform(*kind.duration, count)
        sizes = []
        for a, r, share in zip(area, ratio, length, strict=True):
            height, width = grid * math.sqrt(a * math.exp(r)), grid * math.sqrt(a / math.exp(r))
            whole = ((share * num_frames, num_frames), (height, grid), (width, grid))
            sizes.append([min(max(round(side), 1), most) for side, most in whole])
        corners = [
            rng.integers(0, [most - size[axis] + 1 for size in sizes]) for axis, most in enumerate((num_frames, grid, grid))
        ]
        spans = [[range(corners[axis][i], corners[axis][i] + size[axis]) for axis in range(3)] for i, size in enumerate(sizes)]
        return [set(itertools.product(*span)) for span in spans]

    masks, counts, tokens = [set() for _ in range(num)], [0] * num, num_frames * grid**2
    while short := [r for r in range(num) if counts[r] < kind.num_blocks or len(masks[r]) < kind.ratio[0] * tokens]:
        for r, block in zip(short, blocks(len(short)), strict=True):
            enough = len(masks[r]) >= kind.ratio[0] * tokens
            if len(masks[r] | block) <= kind.ratio[1] * tokens:
                masks[r], counts[r] = masks[r] | block, counts[r] + 1
            elif enough:
                counts[r] += 1
            else:
                masks[r], counts[r] = set(), 0
    return masks


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_frames", [1, 4])
def test_masks_equal_those_drawn_one_by_one(kind: BlockMaskConfig, num_frames: int) -> None:
    got = draw_masks(kind, 12, num_frames, 8, rng(3))
    want = one_by_one(kind, 12, num_frames, 8, rng(3))
    assert [set(map(tuple, np.argwhere(mask).tolist())) for mask in got] == want


def test_blocks_lie_everywhere() -> None:
    hits = draw_blocks(BlockMaskConfig(1, (0.05, 0.05), duration=(0.5, 0.5)), 2000, 4, 8, rng()).sum(0)
    assert hits.min() > 0 and hits[:, 3:5, 3:5].mean() < 6 * hits[:, 0, 0].mean()


def test_masks_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"blocks of scale \[0\.7, 0\.7\] cannot hide between 0\.1 and 0\.2"):
        draw_masks(BlockMaskConfig(1, (0.7, 0.7), ratio=(0.1, 0.2)), 1, 2, 8, rng())
    for changes, message in (
        ({"num_blocks": 0}, "num_blocks is 0"),
        ({"scale": (0.5, 0.2)}, r"scale is \[0\.5, 0\.2\]"),
        ({"ratio": (0.5, 1.0)}, "ratio ends at 1"),
        ({"aspect": (0.0, 1.0)}, "aspect is"),
    ):
        with pytest.raises(ConfigError, match=message):
            BlockMaskConfig(**changes)  # type: ignore[arg-type]


def test_no_token_is_both_shown_and_predicted() -> None:
    tokens = drawn(SHORT_RANGE, 16, 3, LAYOUT)
    flat = tokens.masks.flatten(1)
    assert not flat.gather(1, tokens.visible).any() and flat.gather(1, tokens.hidden).all()
    for rows in (tokens.visible, tokens.hidden):
        assert (rows.diff(dim=1) > 0).all()  # each at most once
    assert tokens.visible.shape[1] == int((~flat).sum(1).min()) and tokens.hidden.shape[1] == int(flat.sum(1).min())


def test_what_is_left_out_is_drawn_evenly() -> None:
    masks = np.zeros((2, 8), bool)
    masks[0, :6], masks[1, :3] = True, True  # of the six hidden tokens of the first row, three are predicted
    random, count = rng(), np.zeros(8)
    for _ in range(600):
        visible, hidden = split(masks, random)
        assert visible.tolist()[0] == [6, 7] and hidden.tolist()[1] == [0, 1, 2]
        count[hidden[0]] += 1
    assert count[:6] == pytest.approx(300, abs=60) and not count[6:].any()


def test_rows_of_a_batch_are_what_the_whole_batch_has() -> None:
    """What several processes rely on: the same masks, and the same number of tokens."""
    whole, part = drawn(SHORT_RANGE, 8, 3, LAYOUT), draw_split(SHORT_RANGE, 8, 3, LAYOUT, rng(), slice(4, 8))
    for name in ("masks", "visible", "hidden"):
        assert torch.equal(getattr(part, name), getattr(whole, name)[4:])


def test_paint_covers_the_places_that_are_hidden_and_no_others() -> None:
    masks = torch.zeros(1, 2, 4, 4, dtype=torch.bool)
    masks[0, 1, 2, 3] = True
    pixels = torch.full((1, 2, 32, 48, 3), 200, dtype=torch.uint8)
    painted = paint_over(pixels, masks)
    assert (painted[0, 1, 16:24, 36:48] == 128).all()
    assert int((painted != 200).sum()) == 8 * 12 * 3
    depth = paint_over(torch.full((1, 2, 32, 32), 900).to(torch.uint16), masks)
    assert depth.dtype == torch.uint16 and int((depth.int() == 0).sum()) == 64 and int(depth[0, 1, 20, 30]) == 0
    assert paint_over(torch.ones(1, 2, 32, 32), masks)[0, 1, 20, 30] == 0


def model_of(kind: Any, **changes: Any) -> JEPA:
    torch.manual_seed(0)
    encoder = EncoderConfig(
        kind=kind, widths=(8, 12), grid=4, token_dim=6, vit=ViTConfig(width=24, depth=2, num_heads=2, **changes)
    )  # type: ignore[arg-type]
    predictor = PredictorConfig(width=16, depth=1, num_heads=2, action_width=8, cond_dim=8)
    return JEPA(JEPAConfig(encoder=encoder, predictor=predictor, sensors=("pixels", "proprio")), toy_spec())


@pytest.mark.parametrize(
    ("kind", "changes"), [("conv", {}), ("vit", {}), ("vit", {"stem": True}), ("vit", {"tubelet": 2})], ids=str
)
def test_a_hidden_pixel_changes_nothing_that_is_shown(kind: str, changes: dict[str, Any]) -> None:
    """Neither the context's encoding nor the prediction; a shown pixel changes both."""
    encoder = model_of(kind, **changes).encoder.eval()
    term = MaskedPrediction(MaskedConfig(width=16, depth=1, num_heads=2), encoder, 6)
    obs = {"pixels": torch.randint(0, 256, (2, 3, 32, 32, 3), dtype=torch.uint8), "proprio": torch.rand(2, 3, 2)}
    tokens = drawn(LONG_RANGE, 2, 3, encoder.layout)

    def seen(pixels: Tensor) -> tuple[Tensor, Tensor]:
        context = encoder.visible(hide(encoder, {**obs, "pixels": pixels}, tokens.masks), tokens.visible)
        return context, term.predict(context, tokens.visible, tokens.hidden)

    hidden = tokens.masks[:, :, 0].repeat_interleave(8, 2).repeat_interleave(8, 3)[..., None]
    other = torch.where(hidden, 255 - obs["pixels"], obs["pixels"])
    assert not torch.equal(other, obs["pixels"])
    for before, after in zip(seen(obs["pixels"]), seen(other), strict=True):
        assert torch.equal(before, after)
    for before, after in zip(seen(obs["pixels"]), seen(255 - obs["pixels"]), strict=True):
        assert not torch.allclose(before, after)


def test_the_loss_is_the_absolute_error_at_hidden_places_and_its_target_is_not_pulled() -> None:
    encoder = model_of("vit").encoder
    term = MaskedPrediction(MaskedConfig((SMALL, SHORT_RANGE), width=16, depth=1, num_heads=2), encoder, 6)
    obs = ToyWindows(4).batch(np.arange(4)).observations
    target = torch.randn(4, 3, 17, 6, requires_grad=True)
    loss = term(encoder, obs, target, generator(5))
    errors = []
    for tokens in term.draw(4, 3, generator(5), torch.device("cpu")):
        context = encoder.visible(hide(encoder, obs, tokens.masks), tokens.visible)
        predicted = term.predict(context, tokens.visible, tokens.hidden)
        own = []
        for b in range(4):
            for m, place in enumerate(tokens.hidden[b].tolist()):
                frame, token = divmod(place, 16)  # the 17th token, proprioception, has no place
                own.append((predicted[b, m] - target[b, frame, token]).abs().mean())
        errors.append(torch.stack(own).mean())
    torch.testing.assert_close(loss, (errors[0] + errors[1]) / 2)
    loss.backward()
    assert target.grad is None
    assert all(p.grad is not None and p.grad.any() for p in term.parameters())


def test_it_equals_a_reference_in_float64_and_so_does_its_gradient() -> None:
    """Two cameras and a token without a place: embedding, place, attention and the error, written a second time in numpy."""
    layout, width, heads, dim = TokenLayout(2, 2, 1), 12, 2, 5
    encoder = SimpleNamespace(layout=layout)
    torch.manual_seed(0)
    term = MaskedPrediction(MaskedConfig((SMALL,), width=width, depth=1, num_heads=heads), encoder, dim).double()  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in term.parameters():  # norms and biases too
            parameter.copy_(torch.randn(parameter.shape) * 0.4)
    tokens = drawn(SMALL, 2, 2, layout)
    weights = {name: value.detach().numpy() for name, value in term.state_dict().items()}
    random = rng(1)
    context, target = random.normal(size=(2, tokens.visible.shape[1], dim)), random.normal(size=(2, 2, 9, dim))

    def loss(context: Tensor) -> Tensor:
        predicted = term.predict(context, tokens.visible, tokens.hidden)
        wanted = take(torch.from_numpy(target)[:, :, :8].flatten(1, 2), tokens.hidden)
        return (predicted - wanted).abs().mean()

    def reference(context: np.ndarray) -> float:
        return masked_error(weights, heads, 2, context, tokens.visible.numpy(), tokens.hidden.numpy(), target)

    assert_equal(loss, reference, context)


def test_a_vision_transformer_sees_the_shown_tokens_of_a_frame_and_no_others() -> None:
    """`visible` is the trunk run on each frame's shown tokens alone."""
    encoder = model_of("vit").encoder.eval()
    assert isinstance(encoder, ViTEncoder)
    obs = ToyWindows(2).batch(np.arange(2)).observations
    tokens = drawn(SMALL, 2, 3, encoder.layout)
    found = encoder.visible(obs, tokens.visible)
    placed, extra = encoder.sensors(obs)
    for b in range(2):
        for frame in range(3):
            rows = (tokens.visible[b] // 16 == frame).nonzero().squeeze(1)
            place = tokens.visible[b, rows] % 16
            x = torch.cat([placed[b, frame, place], extra[b, frame]])[None]
            turned = torch.cat([place, torch.tensor([16])])
            out = encoder.out(encoder.vit(x, (encoder.cos[turned], encoder.sin[turned])))[0, : len(place)]
            torch.testing.assert_close(found[b, rows], out)


@pytest.mark.parametrize("target", ["online", "ema"])
@pytest.mark.parametrize("kind", ["conv", "vit"])
def test_pretraining_teaches_the_encoder_and_leaves_the_predictor_alone(kind: str, target: Any) -> None:
    model = model_of(kind)
    config = ObjectiveConfig(
        prediction_coef=0, rollout_coef=0, masked_coef=1, target=target, ema=EMAConfig(),
        sigreg_coef=0.05 if target == "online" else 0.0,
        masked=MaskedConfig(width=16, depth=1, num_heads=2),
    )  # fmt: skip
    objective = build_objective(config, model)
    window = dataclasses.replace(ToyWindows(8).batch(np.arange(8)), actions=torch.zeros(8, 2, 1))  # of no use here
    loss, terms = objective(model, window, generator())
    assert set(terms) == ({"masked", "sigreg"} if target == "online" else {"masked"})
    torch.testing.assert_close(loss.detach(), terms["masked"] + 0.05 * terms.get("sigreg", torch.zeros(())))
    loss.backward()
    assert all(p.grad is None for p in model.predictor.parameters())
    silent = {n for n, p in model.encoder.named_parameters() if p.grad is None}
    # a token for proprioception is no place; without attention between tokens nothing hidden depends on it
    assert all("tokenize_vectors" in name for name in silent)
    assert int(model.encoder.norm.num_updates) == 1  # type: ignore[arg-type]


class Told:
    """An encoder whose tokens are given."""

    layout, cameras = TokenLayout(2), ()

    def visible(self, obs: dict[str, Tensor], kept: Tensor) -> Tensor:
        return take(obs["z"].flatten(1, 2), kept)


def test_hidden_frames_of_a_still_film_are_copied_from_the_others() -> None:
    """Tokens of unit variance: saying their mean costs 0.8. Whatever the context's projection lost could not be copied."""
    torch.manual_seed(0)
    encoder: Any = Told()
    one_frame = BlockMaskConfig(1, (1.0, 1.0), duration=(0.34, 0.34), ratio=(0.3, 0.4))
    term = MaskedPrediction(MaskedConfig((one_frame,), width=32, depth=1, num_heads=4), encoder, 6)
    optimiser, draws, losses = torch.optim.AdamW(term.parameters(), 5e-3), generator(), []
    for _ in range(100):
        z = torch.randn(32, 1, 4, 6, generator=draws).expand(-1, 3, -1, -1)
        loss = term(encoder, {"z": z}, z, draws)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-5:]) < 0.15 < 0.7 < losses[0]


@pytest.mark.slow
def test_hidden_places_of_a_still_film_are_learned_from_pixels() -> None:
    model, windows = model_of("vit"), ToyWindows(32)
    kind = BlockMaskConfig(3, (0.2, 0.2), duration=(0.34, 0.34), ratio=(0.05, 0.5))
    config = ObjectiveConfig(
        prediction_coef=0, rollout_coef=0, masked_coef=1, masked=MaskedConfig((kind,), width=32, depth=2, num_heads=2)
    )
    objective = build_objective(config, model)
    window = windows.batch(np.arange(32))
    still = {key: x[:, :1].expand_as(x) for key, x in window.observations.items()}
    window = dataclasses.replace(window, observations=still)
    optimiser = torch.optim.AdamW([*model.encoder.parameters(), *objective.parameters()], 3e-3)
    draws, losses = generator(), []
    for _ in range(180):
        loss, terms = objective(model, window, draws)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(terms["masked"]))
    assert np.mean(losses[-10:]) < 0.4 < 0.7 < np.mean(losses[:3])
