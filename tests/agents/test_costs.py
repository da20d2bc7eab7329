"""Costs and goals, exactly."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agents.costs import GoalDistance, GoalDistanceConfig, ProgressCost, ProgressCostConfig
from agents.goals import goal_from_picture, goal_observation, to_observation
from tests.fakes import LineModel, LineWorld
from worldmodel.errors import ConfigError, MismatchError
from worldmodel.layout import TokenLayout

ACTIONS = torch.zeros(1, 1, 2, 2)


def test_goal_distance_by_hand() -> None:
    rollout = torch.tensor([[[[[1.0, 2.0], [3.0, 4.0]], [[0.0, 0.0], [1.0, 1.0]]]]])  # (1, 1, 2, K=2, D=2)
    goal = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    # first step: (1 + 4 + 4 + 9) / 2 places = 9; the second is the goal
    assert GoalDistance(goal, GoalDistanceConfig("sum"))(rollout, ACTIONS).tolist() == [[9.0]]
    assert GoalDistance(goal, GoalDistanceConfig("last"))(rollout, ACTIONS).tolist() == [[0.0]]
    assert GoalDistance(goal[None] + 1, GoalDistanceConfig("last"))(rollout, ACTIONS).tolist() == [[2.0]]


def test_vectors_count_as_much_as_pictures_unless_told() -> None:
    """Four places and two tokens without one, in plain numbers."""
    goal, rollout = torch.zeros(6, 1), torch.tensor([1.0, 2.0, 0.0, 1.0, 3.0, 1.0])[None, None, None, :, None]
    layout = TokenLayout(grid=2, num_extra=2)
    for share, want in ((0.5, 0.5 * 6 / 4 + 0.5 * 10 / 2), (0.0, 6 / 4), (1.0, 10 / 2), (0.2, 0.8 * 6 / 4 + 0.2 * 10 / 2)):
        config = GoalDistanceConfig(vectors=share)
        cost = GoalDistance(goal, config, config.weights(layout))
        torch.testing.assert_close(cost(rollout, ACTIONS), torch.tensor([[want]]))
    assert GoalDistance(goal)(rollout, ACTIONS).tolist() == [[pytest.approx(16 / 6)]]
    for alone in (TokenLayout(grid=2), TokenLayout(0, 0, 4)):
        assert GoalDistanceConfig().weights(alone).tolist() == [0.25] * 4
    with pytest.raises(ConfigError, match=r"vectors is 1\.5; expected 0 to 1"):
        GoalDistanceConfig(vectors=1.5)
    with pytest.raises(ConfigError, match=r"\(4,\) weights for 6 tokens"):
        GoalDistance(goal, weights=torch.ones(4))


def test_a_goal_an_environment() -> None:
    rollout = torch.zeros(2, 3, 1, 4, 1)
    goal = torch.tensor([1.0, 2.0])[:, None, None].expand(2, 4, 1)
    assert GoalDistance(goal)(rollout, ACTIONS).tolist() == [[1.0] * 3, [4.0] * 3]


class FixedHead:
    """Whatever the latent: two objects, with given probabilities and places."""

    def __init__(self, probability: list, position: list) -> None:
        self.logits, self.position = torch.tensor(probability).log(), torch.tensor(position)

    def __call__(self, latent: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        lead = latent.shape[:-2]
        return self.logits.expand(*lead, -1, -1), self.position.expand(*lead, -1, -1)


HEAD = FixedHead([[0.1, 0.5, 0.3, 0.1], [0.2, 0.25, 0.25, 0.3]], [[0.0, 0.2], [0.6, 0.7]])


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (ProgressCostConfig(floor_coef=0, discount=1.0), 2 * 0.75),
        (ProgressCostConfig(floor_coef=0, discount=0.5), 1.5 * 0.75),
        (ProgressCostConfig(floor_coef=2, discount=1.0), 2 * (0.75 + 2 * 0.4)),
    ],
)
def test_progress_cost_by_hand(config: ProgressCostConfig, expected: float) -> None:
    value = ProgressCost(HEAD, config)(torch.zeros(2, 3, 2, 4, 1), ACTIONS)
    torch.testing.assert_close(value, torch.full((2, 3), expected))


def test_clearing_sooner_is_cheaper() -> None:
    class Reads:
        def __call__(self, latent: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return 30 * torch.nn.functional.one_hot(latent[..., 0].long(), 4).float(), latent.new_zeros(*latent.shape[:-1], 2)

    sooner, later, never = (torch.tensor(s).view(1, 1, 3, 1, 1) for s in ([2, 2, 2], [1, 2, 2], [1, 1, 1]))
    values = ProgressCost(Reads(), ProgressCostConfig(discount=0.9))(torch.cat([sooner, later, never], dim=1), ACTIONS)
    torch.testing.assert_close(values, torch.tensor([[0.0, 1.0, 1 + 0.9 + 0.81]]))


def test_mistakes_are_named() -> None:
    for floor, discount in ((2.0, 0.0), (2.0, 1.5), (-1.0, 0.9), (float("nan"), 0.9)):
        with pytest.raises(ConfigError, match=r"floor_coef must be at least 0 and discount in \(0, 1\]"):
            ProgressCostConfig(floor, discount)
    with pytest.raises(ConfigError, match=r"expected \(K, D\)"):
        GoalDistance(torch.zeros(3))
    with pytest.raises(ConfigError, match="expected 'last' or 'sum'"):
        GoalDistance(torch.zeros(3, 2), GoalDistanceConfig("mean"))  # type: ignore[arg-type]


def test_goal_from_a_picture() -> None:
    world = LineWorld(num_objects=2)
    observation = goal_observation(world, seed=3)
    goal = goal_from_picture(LineModel(), observation, ("state",))
    assert goal.shape == (3, 2)
    assert goal[:, 1].tolist() == [2, 2, 0]  # both in the bin, the third slot empty


def test_a_world_that_shows_no_goal_is_named() -> None:
    class Forgetful(LineWorld):
        def reset(self, *, seed: int | None = None, options: dict | None = None):
            observation, info = super().reset(seed=seed)
            return observation, {**info, "success": False}

    with pytest.raises(MismatchError, match="goal"):
        goal_observation(Forgetful(), seed=0)


def test_a_missing_sensor_is_named() -> None:
    with pytest.raises(MismatchError, match=r"no proprio; it has pixels"):
        to_observation({"pixels": np.zeros((1, 1, 2, 2, 3), np.uint8)}, ("pixels", "proprio"))
