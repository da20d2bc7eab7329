"""An agent whose model takes blocks of actions does a block one action at a time before it looks again."""

from __future__ import annotations

import dataclasses

import gymnasium
import numpy as np
import pytest
import torch
from torch import Tensor

from agents.baselines import RandomAgent
from agents.evaluation.evaluate import play_episode
from agents.mpc import MPCAgent
from agents.planners import ElitesConfig, build_planner
from tests.fakes import Integrator, SquaredDistance, action_spec
from worldmodel.errors import ConfigError, MismatchError
from worldmodel.framing import blocked

CONFIG = ElitesConfig(horizon=2, num_samples=(64, 32), num_elites=4)
BLOCK = 3
FACTS = {"success": False, "num_objects": 1, "num_cleared": 0, "num_dropped": 0}


class BlockIntegrator(Integrator):
    """The state is the sum of the actions, of which each block holds three."""

    def __init__(self) -> None:
        super().__init__()
        self.num_looks = 0

    def encode(self, obs: dict[str, Tensor]) -> Tensor:
        self.num_looks += len(obs["state"])
        return super().encode(obs)

    def rollout(self, context: Tensor, actions: Tensor, past_actions: Tensor | None = None) -> Tensor:
        return super().rollout(context, actions.unflatten(-1, (BLOCK, -1)).sum(-2), past_actions)


def planning(target: tuple[float, float], horizon: int = 2, **options) -> tuple[MPCAgent, BlockIntegrator]:
    config = dataclasses.replace(CONFIG, horizon=horizon)
    model, planner = BlockIntegrator(), build_planner(config, blocked(action_spec(), BLOCK))
    cost = SquaredDistance(torch.tensor(target))
    return MPCAgent(model, planner, cost, sensors=("state",), action_block=BLOCK, **options), model


def test_a_block_is_done_action_by_action_before_the_next_look() -> None:
    agent, model = planning((2.0, -2.0))
    agent.reset([0])
    state, done = np.zeros((1, 2), np.float32), []
    for step in range(7):
        action = agent.act({"state": state})
        assert action.shape == (1, 2) and action.dtype == np.float32
        done.append(action[0])
        state = state + action
        assert model.num_looks == 1 + step // BLOCK
        if step % BLOCK == 0:
            assert agent.last_plan is not None
            block = agent.last_plan.actions[0, 0].numpy().reshape(BLOCK, 2)
        np.testing.assert_array_equal(done[-1], block[step % BLOCK])


def test_it_reaches_its_target() -> None:
    agent, _ = planning((2.0, -2.0), horizon=1)  # a longer plan may take its time
    agent.reset([1, 2])
    state = np.array([[0.0, 0.0], [1.0, 1.0]], np.float32)
    for _ in range(4 * BLOCK):
        state = state + agent.act({"state": state})
    assert np.abs(state - [2.0, -2.0]).max() < 0.4


def test_environments_in_the_middle_of_different_blocks_are_planned_for_alone() -> None:
    together, model = planning((2.0, -2.0))
    together.reset([3, 4])
    alone, _ = planning((2.0, -2.0))
    alone.reset([4])
    states = np.array([[0.0, 0.0], [0.5, 0.5]], np.float32)
    for step in range(2 * BLOCK + 1):
        if step == 2:  # the first environment begins anew, in the middle of the other's block
            together.reset([9, 9], mask=np.array([True, False]))
        both = together.act({"state": states})
        np.testing.assert_allclose(both[1], alone.act({"state": states[1:]})[0], rtol=1e-5)
    assert model.num_looks == 2 + 1 + 1 + 1 + 1  # both at 0; the first at 2 and 5, the second at 3 and 6


def test_the_past_is_told_in_blocks() -> None:
    agent, model = planning((2.0, -2.0), context_length=2)
    agent.reset([0])
    pasts = []
    inner = model.rollout
    model.rollout = lambda context, actions, past_actions=None: (  # type: ignore[method-assign]
        pasts.append(past_actions) or inner(context, actions)
    )
    for _ in range(BLOCK):
        agent.act({"state": np.zeros((1, 2), np.float32)})
    assert agent.last_plan is not None
    first = agent.last_plan.actions[:, :1]
    agent.act({"state": np.ones((1, 2), np.float32)})
    assert pasts[0] is None
    torch.testing.assert_close(pasts[-1], first)


def test_what_does_not_divide_into_blocks_is_refused() -> None:
    cost = SquaredDistance(torch.zeros(2))
    agent = MPCAgent(Integrator(), build_planner(CONFIG, action_spec()), cost, sensors=("state",), action_block=BLOCK)
    agent.reset([0])
    with pytest.raises(MismatchError, match="2 numbers an action does not divide into 3 actions"):
        agent.act({"state": np.zeros((1, 2), np.float32)})
    with pytest.raises(ConfigError, match="action_block is 0"):
        MPCAgent(Integrator(), build_planner(CONFIG, action_spec()), cost, sensors=("state",), action_block=0)


def test_pictures_are_prepared_before_the_model_sees_them() -> None:
    agent, _ = planning((2.0, -2.0), prepare=lambda frames: {"state": frames["state"][:, :2]})
    agent.reset([0])
    assert agent.act({"state": np.zeros((1, 5), np.float32)}).shape == (1, 2)


def test_only_decisions_are_timed_and_every_action_counts() -> None:
    class Still(gymnasium.Env):
        def reset(self, *, seed: int | None = None, options: dict | None = None):
            return {"state": np.zeros(2, np.float32)}, FACTS

        def step(self, action: np.ndarray):
            return {"state": np.zeros(2, np.float32)}, 1.0, False, False, FACTS

    agent, model = planning((0.0, 0.0))
    result = play_episode(Still(), agent, 5, budget=7)
    assert (result.num_actions, result.total_reward, model.num_looks, len(result.plan_ms)) == (7, 7.0, 3, 3)
    result = play_episode(Still(), RandomAgent(action_spec()), 5, budget=7)
    assert (result.num_actions, len(result.plan_ms)) == (7, 7)  # one that does not plan decides on every action
