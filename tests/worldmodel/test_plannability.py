"""Plannability on worlds whose answer is known, alarms in words, and what validation tells."""

from __future__ import annotations

import logging
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.worldmodel.test_jepa import tiny
from tests.worldmodel.toy import ToyWindows
from worldmodel.diagnostics import Health, alarms, cost_rank, goal_approach, normality, plannability
from worldmodel.errors import DataError


class Adder:
    """A latent moves by the action, times a gain: gain 1 is the world itself."""

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def encode(self, obs: dict[str, Tensor]) -> Tensor:
        raise NotImplementedError

    def rollout(self, context: Tensor, actions: Tensor, past_actions: Tensor | None = None) -> Tensor:
        """(B, T, 1, 2), (B, N, H, 2) -> (B, N, H, 1, 2)."""
        return context[:, -1:, None] + self.gain * actions.cumsum(2).unsqueeze(3)


def adding(num_windows: int = 64, num_frames: int = 3) -> tuple[Tensor, Tensor]:
    """Latents (B, T, 1, 2) that move by normal actions (B, T - 1, 2)."""
    generator = torch.Generator().manual_seed(0)
    actions = torch.randn(num_windows, num_frames - 1, 2, generator=generator)
    start = torch.randn(num_windows, 1, 2, generator=generator)
    return torch.cat([start, start + actions.cumsum(1)], dim=1).unsqueeze(2), actions


def test_the_world_itself_ranks_its_actions_first() -> None:
    z, actions = adding()
    report = plannability(Adder(), z, actions, torch.Generator().manual_seed(0), num_others=16)
    assert report.action_rank == 0 and report.error_over_copy == pytest.approx(0, abs=1e-6)
    assert report.action_ratio == pytest.approx(2**0.5, abs=0.15)  # two independent normal actions are sqrt(2) apart
    assert (report.num_windows, report.num_candidates) == (64, 17)
    half = plannability(Adder(0.5), z, actions, torch.Generator().manual_seed(0), num_others=16)
    assert half.action_ratio == pytest.approx(report.action_ratio / 2, rel=1e-5)


def test_a_model_that_ignores_the_action_is_found_out() -> None:
    z, actions = adding()
    report = plannability(Adder(0.0), z, actions, torch.Generator(), num_others=4)
    assert (report.action_ratio, report.action_rank, report.cost_spread) == (0, 0.5, 0)
    assert report.error_over_copy == pytest.approx(1)
    lines = alarms({"action_ratio": report.action_ratio, "action_rank": report.action_rank, "std": 1.0})
    assert len(lines) == 2
    assert lines[0] == "predictions ignore the action (action ratio 0; expected > 0.2)"


def test_the_spread_of_a_given_cost_is_exact() -> None:
    z, done = torch.zeros(2, 2, 1, 2), torch.tensor([[[1.0, 0.0]], [[3.0, 0.0]]])

    def cost(rollout: Tensor, actions: Tensor) -> Tensor:
        assert rollout.shape == (2, 2, 1, 1, 2) and actions.shape == (2, 2, 1, 2)
        return rollout[:, :, 0, 0, 0]

    report = plannability(Adder(), z, done, torch.Generator(), cost=cost)  # costs (1, 3) and (3, 1)
    assert report.cost_spread == pytest.approx(2**0.5 / 2)
    with pytest.raises(DataError, match="two windows"):
        plannability(Adder(), z[:1], done[:1], torch.Generator())


def test_the_rank_of_an_action_under_the_planning_cost_is_exact() -> None:
    z, done = torch.zeros(2, 1, 1, 2), torch.tensor([[1.0, 0.0], [3.0, 0.0]])
    # distances to the goal at 4: of the recorded actions 3 and 1, of the others (4, 2, 3) and (0, 1, 2)
    others = torch.tensor([[0.0, 2.0, 7.0], [4.0, 5.0, 6.0]]).unsqueeze(-1) * torch.tensor([1.0, 0.0])

    def cost(rollout: Tensor, actions: Tensor) -> Tensor:
        assert rollout.shape == (2, 4, 1, 1, 2) and actions.shape == (2, 4, 1, 2)
        return (rollout[:, :, 0, 0, 0] - 4).abs()

    # the first row prefers 2 and ties with 7; the second prefers 4 and ties with 5
    assert cost_rank(Adder(), z, done, others, cost) == pytest.approx((1.5 + 1.5) / 6)
    assert cost_rank(Adder(), z, torch.tensor([[4.0, 0.0]] * 2), others, cost) == pytest.approx(0.5 / 6)
    assert cost_rank(Adder(0.0), z, done, others, cost) == 0.5  # a model that ignores the action


@pytest.mark.parametrize("context_length", [1, 2])
def test_it_works_on_the_model_whatever_it_sees(context_length: int) -> None:
    model = tiny(context_length=context_length)
    window = ToyWindows(8, num_frames=4).batch(np.arange(8))
    with torch.no_grad():
        z = model.encode(window.observations)
    report = plannability(model, z, window.actions, torch.Generator().manual_seed(0), num_others=3)
    assert report.action_ratio > 0 and 0 <= report.action_rank <= 1


def test_goal_distance_along_episodes() -> None:
    place = torch.tensor([5.0, 3.0, 2.0, 0.0]).view(4, 1, 1)
    straight = goal_approach([place, place[1:]])  # the second one is too short to have an order
    assert straight is not None
    assert (straight.falling_share, straight.order, straight.num_episodes) == (1.0, pytest.approx(1.0), 1)
    detour = goal_approach([torch.tensor([3.0, 5.0, 2.0, 0.0]).view(4, 1, 1)])
    assert detour is not None
    assert detour.falling_share == 0.5 and detour.order == pytest.approx(0.5)
    assert goal_approach([place[2:]]) is None


def test_normality_is_low_for_normal_latents_only() -> None:
    z = torch.randn(300, 4, 8, generator=torch.Generator().manual_seed(0))
    assert 0.8 < normality(z) < 1.4
    assert normality(z[:, :, :1].expand(-1, -1, 8)) > 10
    assert normality(z) == normality(z)


def test_every_alarm_says_what_was_expected() -> None:
    wrong = {
        "std": 0.01, "dead_share": 0.9, "effective_rank": 1.0, "action_ratio": 0.02, "action_rank": 0.5, "cost_spread": 0.0,
        "error_over_copy": 1.1, "goal_order": -0.2,
    }  # fmt: skip
    assert len(alarms(wrong)) == len(wrong)
    assert all("expected" in line for line in alarms(wrong))
    assert "predictions ignore the action (action ratio 0.02; expected > 0.2)" in alarms(wrong)
    assert alarms({"std": 0.8, "action_ratio": 0.9, "other": -5.0}) == []
    assert len(alarms({"std": float("nan")})) == 1


def test_health_warns_once_when_something_stays_wrong(caplog: pytest.LogCaptureFixture) -> None:
    z, actions = adding()
    health = Health()
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            found = health(cast(Any, Adder(0.0)), z, actions)
    assert found["alarms"] == 4  # ratio, rank, spread, and no better than copying
    assert [r.message for r in caplog.records if "ignore the action" in r.message] == [
        "predictions ignore the action (action ratio 0; expected > 0.2)"
    ]
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert health(cast(Any, Adder()), z, actions)["action_rank"] == 0
        health(cast(Any, Adder(0.0)), z, actions)  # back again, for one validation only
    assert not [r for r in caplog.records if "ignore" in r.message]
