"""Attention, rotary positions and blocks against plain float64 references."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from worldmodel.nn.attention import Attention, attend
from worldmodel.nn.blocks import AdaLNBlock
from worldmodel.nn.masks import FrameMask
from worldmodel.nn.rotary import rotate, rotation


def reference_attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """One query at a time, float64, q k v (B, heads, L, d), allowed (L, L)."""
    out = np.zeros_like(v, dtype=np.float64)
    for b, h, i in np.ndindex(q.shape[:3]):
        keys = np.flatnonzero(allowed[i])
        score = np.array([q[b, h, i] @ k[b, h, j] for j in keys]) / np.sqrt(q.shape[-1])
        weight = np.exp(score - score.max())
        out[b, h, i] = (weight / weight.sum()) @ v[b, h, keys]
    return out


def block_causal(num_frames: int, tokens: int) -> np.ndarray:
    length = num_frames * tokens
    return np.array([[j // tokens <= i // tokens for j in range(length)] for i in range(length)])


@pytest.mark.parametrize(("num_frames", "tokens"), [(1, 5), (3, 4)])
def test_attention_equals_reference(num_frames: int, tokens: int) -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 3, num_frames * tokens, 6, generator=generator) for _ in range(3))
    got = attend(q, k, v, FrameMask(num_frames, tokens))
    want = reference_attention(q.double().numpy(), k.double().numpy(), v.double().numpy(), block_causal(num_frames, tokens))
    np.testing.assert_allclose(got.numpy(), want, atol=2e-6)


def test_dense_mask_is_block_causal() -> None:
    got = FrameMask(3, 2).dense(torch.device("cpu")).numpy()
    np.testing.assert_array_equal(got, block_causal(3, 2))


@pytest.mark.filterwarnings("ignore:.*flex_attention")
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_flex_equals_sdpa() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, 2, 3 * 64, 16, generator=generator) for _ in range(3))
    mask = FrameMask(3, 64)
    with torch.no_grad():
        torch.testing.assert_close(attend(q, k, v, mask, "flex"), attend(q, k, v, mask, "sdpa"), atol=1e-5, rtol=1e-5)


def test_rotated_scores_depend_on_differences_only() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k = (torch.randn(1, 12, generator=generator) for _ in range(2))

    def score(a: list[float], b: list[float]) -> float:
        turned_q = rotate(q, rotation(torch.tensor([a]), 12))
        turned_k = rotate(k, rotation(torch.tensor([b]), 12))
        return float((turned_q * turned_k).sum())

    base = score([1.0, 2.0, 0.0], [3.0, 1.0, 1.0])
    assert score([4.0, 0.0, 5.0], [6.0, -1.0, 6.0]) == pytest.approx(base, abs=1e-4)
    for axis in range(3):  # and on every axis
        moved = [3.0, 1.0, 1.0]
        moved[axis] += 1
        assert abs(score([1.0, 2.0, 0.0], moved) - base) > 1e-3


def test_rotation_keeps_lengths_and_origin() -> None:
    x = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    positions = torch.tensor([[0.0, 0.0], [1.0, 2.0], [7.0, 3.0], [2.0, 0.0]])
    turned = rotate(x, rotation(positions, 8))
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))
    torch.testing.assert_close(turned[0], x[0])


def test_odd_head_width_is_refused() -> None:
    with pytest.raises(ValueError, match="even"):
        Attention(9, 3)
    with pytest.raises(ValueError, match="even"):
        rotation(torch.zeros(2, 2), 3)


def test_a_new_block_is_the_identity_and_its_condition_is_per_token() -> None:
    torch.manual_seed(0)
    block = AdaLNBlock(width=16, num_heads=2, mlp_ratio=2, cond_dim=4)
    x, turn = torch.randn(2, 5, 16), rotation(torch.arange(5.0)[:, None], 8)
    with torch.no_grad():
        torch.testing.assert_close(block(x, torch.randn(2, 5, 4), turn), x)
        block.modulation.linear.weight.normal_(0, 0.5)
        cond = torch.randn(2, 1, 4)
        same = block(x, cond, turn)
        torch.testing.assert_close(block(x, cond.expand(2, 5, 4), turn), same)
        changed = cond.repeat(1, 5, 1)
        changed[:, 3] += 1
        assert (block(x, changed, turn) - same).abs().amax(dim=(0, 2))[3] > 1e-2


def test_frames_do_not_see_the_future() -> None:
    torch.manual_seed(0)
    attention = Attention(16, 2)
    x, turn, mask = torch.randn(1, 6, 16), rotation(torch.arange(6.0)[:, None], 8), FrameMask(3, 2)
    with torch.no_grad():
        before = attention(x, turn, mask)
        x[:, 4:] += 1
        after = attention(x, turn, mask)
    torch.testing.assert_close(after[:, :4], before[:, :4])
    assert not torch.allclose(after[:, 4:], before[:, 4:])
