"""AdaLN-zero blocks: the identity when new, and steered token by token or all alike."""

from __future__ import annotations

import pytest
import torch

from worldmodel.nn.blocks import AdaLNBlock
from worldmodel.nn.masks import FrameMask
from worldmodel.nn.rotary import rotation


@pytest.mark.parametrize("mask", [None, FrameMask(3, 2), FrameMask(3, 2, 1)])
def test_a_new_block_is_the_identity_to_the_bit_and_its_gates_can_open(mask: FrameMask | None) -> None:
    torch.manual_seed(0)
    block = AdaLNBlock(width=16, num_heads=2, mlp_ratio=2, cond_dim=4)
    x, turn = torch.randn(2, 6, 16), rotation(torch.arange(6.0)[:, None], 8)
    out = block(x, torch.randn(2, 6, 4), turn, mask)
    assert torch.equal(out, x)
    (out * torch.randn(2, 6, 16)).sum().backward()
    grad = block.modulation.linear.weight.grad
    assert grad is not None
    shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = grad.chunk(6)
    assert gate_a.any()
    assert gate_m.any()
    assert not any(part.any() for part in (shift_a, scale_a, shift_m, scale_m))  # nothing behind a closed gate


def test_the_condition_is_per_token() -> None:
    torch.manual_seed(0)
    block = AdaLNBlock(width=16, num_heads=2, mlp_ratio=2, cond_dim=4)
    x, turn = torch.randn(2, 5, 16), rotation(torch.arange(5.0)[:, None], 8)
    with torch.no_grad():
        block.modulation.linear.weight.normal_(0, 0.5)
        cond = torch.randn(2, 1, 4)
        same = block(x, cond, turn)
        torch.testing.assert_close(block(x, cond.expand(2, 5, 4), turn), same)
        changed = cond.repeat(1, 5, 1)
        changed[:, 3] += 1
        assert (block(x, changed, turn) - same).abs().amax(dim=(0, 2))[3] > 1e-2


def test_frames_and_places_may_lie_along_their_own_axes() -> None:
    """(B, T, K, C) with a condition a frame equals (B, T * K, C) with that condition at each token."""
    torch.manual_seed(0)
    block = AdaLNBlock(width=16, num_heads=2, mlp_ratio=2, cond_dim=4)
    x, cond, turn, mask = (
        torch.randn(2, 3, 2, 16),
        torch.randn(2, 3, 1, 4),
        rotation(torch.arange(6.0)[:, None], 8),
        FrameMask(3, 2),
    )
    with torch.no_grad():
        block.modulation.linear.weight.normal_(0, 0.5)
        flat = block(x.flatten(1, 2), cond.expand(2, 3, 2, 4).flatten(1, 2), turn, mask)
        torch.testing.assert_close(block(x, cond, turn, mask), flat.view_as(x))
