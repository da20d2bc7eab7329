"""Learning rates against torch's own schedule and against values worked out by hand."""

from __future__ import annotations

import pytest
import torch

from worldmodel.train.optimizer import build_adamw
from worldmodel.train.schedule import constant, one_cycle


@pytest.mark.parametrize(("num_steps", "warmup"), [(20, 0.3), (101, 0.1), (7, 0.5)])
def test_one_cycle_is_torchs(num_steps, warmup):
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=3e-3, total_steps=num_steps, pct_start=warmup, cycle_momentum=False
    )
    for step in range(num_steps):
        assert one_cycle(step, num_steps, 3e-3, warmup) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        if step + 1 < num_steps:
            theirs.step()


def test_one_cycle_by_hand():
    # Top at update 0.3 * 10 - 1 = 2; half-way up is the mean of start (0.04) and peak.
    rates = [one_cycle(step, 10, 1.0, 0.3) for step in range(10)]
    assert rates[0] == pytest.approx(0.04)
    assert rates[1] == pytest.approx(0.52)
    assert rates[2] == pytest.approx(1.0)
    assert rates[9] == pytest.approx(0.04e-4)
    assert rates[2:] == sorted(rates[2:], reverse=True)


@pytest.mark.parametrize("num_steps", [1, 2, 3])
def test_a_run_too_short_to_warm_up_starts_at_the_peak(num_steps):
    assert one_cycle(0, num_steps, 1.0, 0.0) == 1.0
    assert one_cycle(0, num_steps, 1.0, 0.3) == 1.0


def test_constant_after_a_linear_warmup():
    assert [constant(step, 10, 1.0, 0.4) for step in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert constant(0, 10, 2.0, 0.0) == 2.0


def test_only_matrices_decay():
    linear = torch.nn.Linear(2, 2)
    linear.weight.data.fill_(1.0)
    linear.bias.data.fill_(1.0)
    optimizer = build_adamw(linear.parameters(), learning_rate=0.1, weight_decay=0.5, betas=(0.9, 0.999))
    for parameter in linear.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    assert torch.allclose(linear.weight, torch.full((2, 2), 0.95))  # 1 - lr * decay
    assert torch.equal(linear.bias, torch.ones(2))
