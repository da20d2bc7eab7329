"""Every engine against attention written as loops in float64, in value and gradient, over random shapes and masks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from worldmodel.nn import attention
from worldmodel.nn.attention import Attention, Engine, attend
from worldmodel.nn.masks import FrameMask, Mask, TokenMask
from worldmodel.nn.rotary import rotation


def reference(q: Tensor, k: Tensor, v: Tensor, allowed: np.ndarray) -> Tensor:
    """One query at a time, float64: q k v (B, heads, L, d), allowed (B, queries, L). What sees nothing gets zeros."""
    rows = []
    for b, h, i in np.ndindex(*q.shape[:3]):
        out = torch.zeros(v.shape[-1], dtype=torch.float64)
        weights = {
            j: torch.exp((q[b, h, i] * k[b, h, j]).sum() / math.sqrt(q.shape[-1])) for j in np.flatnonzero(allowed[b, i])
        }
        for j, weight in weights.items():
            out = out + weight / sum(weights.values()) * v[b, h, j]
        rows.append(out)
    return torch.stack(rows).view(*q.shape[:3], -1)


def sees(num_frames: int, tokens: int, reach: int | None) -> np.ndarray:
    """Frame by frame in words: not the future, and not further back than the reach; (L, L)."""
    length = num_frames * tokens
    table = np.zeros((length, length), dtype=bool)
    for i, j in np.ndindex(length, length):
        query_frame, key_frame = i // tokens, j // tokens
        table[i, j] = key_frame <= query_frame and (reach is None or key_frame >= query_frame - reach)
    return table


@dataclass
class Case:
    mask: Mask | None
    allowed: np.ndarray
    q: Tensor
    k: Tensor
    v: Tensor
    upstream: Tensor
    engines: list[Engine]


def random_case(seed: int) -> Case:
    """Sizes, mask and contents from a seed; all kinds of masks come up in turn."""
    rng = np.random.default_rng(seed)
    batch, heads, num_frames, tokens = (int(n) for n in rng.integers([1, 1, 1, 1], [3, 3, 5, 4]))
    length, dim = num_frames * tokens, 2 * int(rng.integers(1, 9))
    queries, engines = length, ["auto", "sdpa"]
    kind = ("none", "short", "causal", "banded", "keys", "pairs")[seed % 6]
    allowed = np.ones((batch, length, length), dtype=bool)
    mask: Mask | None = None
    if kind == "short":  # as when the past is remembered: fewer queries than keys
        queries = int(rng.integers(1, length + 1))
        allowed = allowed[:, :queries]
    elif kind in ("causal", "banded"):
        reach = None if kind == "causal" else int(rng.integers(0, 4))
        mask = FrameMask(num_frames, tokens, reach)
        allowed[:] = sees(num_frames, tokens, reach)
        engines += ["frames", "flex"]
    elif kind == "keys":
        visible = rng.random((batch, length)) < 0.6
        mask, allowed = TokenMask(torch.from_numpy(visible)), np.repeat(visible[:, None], length, axis=1)
        engines += ["flex"]
    elif kind == "pairs":
        rows = 1 if seed % 4 == 1 else batch  # a mask of one row serves the whole batch
        pairs = rng.random((rows, length, length)) < 0.5
        mask, allowed = TokenMask(torch.from_numpy(pairs)), np.broadcast_to(pairs, allowed.shape)
        engines += ["flex"]
    generator = torch.Generator().manual_seed(seed)
    q, upstream = (torch.randn(batch, heads, queries, dim, generator=generator) for _ in range(2))
    k, v = (torch.randn(batch, heads, length, dim, generator=generator) for _ in range(2))
    return Case(mask, allowed, q, k, v, upstream, engines)  # type: ignore[arg-type]


def relative(got: Tensor, want: Tensor) -> float:
    """Norm of the difference over the norm; over one where everything wanted is zero."""
    return float((got.double() - want).norm() / (want.norm() if want.any() else 1.0))


@pytest.mark.parametrize("seed", range(36))
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
@pytest.mark.filterwarnings("ignore:.*flex_attention")
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_every_engine_equals_the_reference_in_value_and_gradient(seed: int, dtype: torch.dtype, tolerance: float) -> None:
    case = random_case(seed)
    given = [x.to(dtype) for x in (case.q, case.k, case.v)]
    exact = [x.double().requires_grad_() for x in given]
    want = reference(*exact, case.allowed)  # type: ignore[call-arg]
    (want * case.upstream.to(dtype).double()).sum().backward()
    whole = float(torch.stack([x.grad.norm() for x in exact if x.grad is not None]).norm())
    for engine in case.engines:
        if engine == "flex":  # on a CPU without gradient; with it where there is CUDA (test_attention_devices.py)
            with torch.no_grad():
                assert relative(attend(*given, case.mask, "flex"), want.detach()) < tolerance  # type: ignore[call-arg]
            continue
        leaves = [x.clone().requires_grad_() for x in given]
        got = attend(*leaves, case.mask, engine)  # type: ignore[call-arg]
        assert got.dtype == dtype
        got.backward(case.upstream.to(dtype))
        assert relative(got.detach(), want.detach()) < tolerance, engine
        for leaf, other, name in zip(leaves, exact, "qkv", strict=True):
            assert leaf.grad is not None
            assert other.grad is not None
            # a softmax over one key has no gradient besides rounding: that is held against the gradients of all three
            scale = max(float(other.grad.norm()), 0.1 * whole)
            assert float((leaf.grad.double() - other.grad).norm()) < tolerance * scale, (engine, name)


@pytest.mark.parametrize("reach", [None, 0, 1, 2, 7])
def test_dense_masks_are_block_causal_and_banded(reach: int | None) -> None:
    got = FrameMask(4, 3, reach).dense(torch.device("cpu")).numpy()
    np.testing.assert_array_equal(got, sees(4, 3, reach))


def test_a_token_that_sees_nothing_gets_zeros_and_finite_gradients() -> None:
    q, k, v = (torch.randn(1, 1, 4, 8, generator=torch.Generator().manual_seed(i), requires_grad=True) for i in range(3))
    allowed = torch.ones(1, 4, 4, dtype=torch.bool)
    allowed[0, 2] = False
    out = attend(q, k, v, TokenMask(allowed))
    out.sum().backward()
    assert not out[0, 0, 2].any()
    assert all(x.grad is not None and bool(x.grad.isfinite().all()) for x in (q, k, v))


def test_a_cpu_goes_frame_by_frame_where_windows_are_long() -> None:
    long, short = (torch.zeros(1, 1, n, 8) for n in (4 * attention.FRAMES_FROM // 4, 12))
    assert attention._choose(long, FrameMask(4, attention.FRAMES_FROM // 4)) == "frames"
    assert attention._choose(short, FrameMask(4, 3)) == "sdpa"
    assert attention._choose(long, TokenMask(torch.ones(1, attention.FRAMES_FROM, dtype=torch.bool))) == "sdpa"
    with pytest.raises(ValueError, match="FrameMask"):
        attend(short, short, short, TokenMask(torch.ones(1, 12, dtype=torch.bool)), "frames")


@pytest.mark.parametrize(("width", "engine"), [(8, "sdpa"), (14, "sdpa"), (16, "flex"), (24, "flex")])
def test_cuda_has_kernels_for_heads_that_are_wide_enough(width: int, engine: Engine) -> None:
    q: Any = SimpleNamespace(is_cuda=True, device=torch.device("cuda"), shape=(2, 2, 12, width))
    assert attention._choose(q, FrameMask(4, 3)) == engine


def test_odd_head_width_is_refused() -> None:
    with pytest.raises(ValueError, match="even"):
        Attention(9, 3)


@pytest.mark.parametrize("reach", [1, None])
def test_tokens_after_remembered_ones_equal_one_pass(reach: int | None) -> None:
    torch.manual_seed(0)
    layer = Attention(16, 2).double()
    x, positions = torch.randn(2, 8, 16, dtype=torch.float64), torch.arange(8.0, dtype=torch.float64)[:, None]
    turn = rotation(positions, 8)
    whole = layer(x, turn, FrameMask(4, 2, reach))
    past = None
    for frame in range(4):
        tokens = slice(2 * frame, 2 * frame + 2)
        out, past = layer.extend(x[:, tokens], (turn[0][tokens], turn[1][tokens]), past=past)
        torch.testing.assert_close(out, whole[:, tokens], rtol=0, atol=1e-12)
        if reach is not None:
            past = past[0][:, :, -2 * reach :], past[1][:, :, -2 * reach :]
    with pytest.raises(ValueError, match="no mask"):
        layer.extend(x, turn, FrameMask(4, 2), past)


def test_frames_do_not_see_the_future() -> None:
    torch.manual_seed(0)
    layer = Attention(16, 2)
    x, turn, mask = torch.randn(1, 6, 16), rotation(torch.arange(6.0)[:, None], 8), FrameMask(3, 2)
    with torch.no_grad():
        before = layer(x, turn, mask)
        x[:, 4:] += 1
        after = layer(x, turn, mask)
    torch.testing.assert_close(after[:, :4], before[:, :4])
    assert not torch.allclose(after[:, 4:], before[:, 4:])
