"""The planning agent on worlds whose model is exact."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agents.baselines import ExpertAgent, RandomAgent
from agents.costs import ProgressCost, ProgressCostConfig
from agents.mpc import MPCAgent
from agents.planners import ElitesConfig, Plan, build_planner
from tests.fakes import Clock, Integrator, LineHead, LineModel, LineWorld, SquaredDistance, action_spec
from worldmodel.errors import MismatchError

CONFIG = ElitesConfig(horizon=2, num_samples=(64, 32), num_elites=4)


def integrating(target: torch.Tensor, **options) -> MPCAgent:
    return MPCAgent(Integrator(), build_planner(CONFIG, action_spec()), SquaredDistance(target), sensors=("state",), **options)


def clearing(seed_of_bank: int = 0) -> MPCAgent:
    bank = torch.rand(256, 2, generator=torch.Generator().manual_seed(seed_of_bank)) * 2 - 1
    planner = build_planner(CONFIG, action_spec(), bank)
    return MPCAgent(LineModel(), planner, ProgressCost(LineHead(), ProgressCostConfig()), sensors=("state",))


def test_reaches_a_target_from_every_environment() -> None:
    planner = build_planner(ElitesConfig(horizon=1, num_samples=(64, 32, 32)), action_spec())
    agent = MPCAgent(Integrator(), planner, SquaredDistance(torch.tensor([1.5, -0.5])), sensors=("state",))
    state = np.array([[0.0, 0.0], [1.0, 1.0], [-1.0, 0.5]], np.float32)
    agent.reset([1, 2, 3])
    for _ in range(6):
        actions = agent.act({"state": state, "pixels": np.zeros((3, 1))})
        assert actions.shape == (3, 2) and actions.dtype == np.float32 and np.abs(actions).max() <= 1
        state = state + actions
    assert np.abs(state - [1.5, -0.5]).max() < 0.1


def test_clears_the_line_with_an_exact_model() -> None:
    agent, env = clearing(), LineWorld(num_objects=3, max_sweeps=4)
    cleared = 0
    for seed in range(5):
        agent.reset([seed])
        observation, info = env.reset(seed=seed)
        while np.any(info["status"] == 1):
            observation, _, terminated, truncated, info = env.step(agent.act({k: v[None] for k, v in observation.items()})[0])
            if terminated or truncated:
                break
        cleared += info["success"]
    assert cleared == 5


def test_batched_equals_alone_and_resets_only_the_masked() -> None:
    states = np.array([[0.1, 0.2], [0.5, -0.4]], np.float32)
    together = integrating(torch.tensor([1.0, 1.0]))
    together.reset([7, 8])
    alone = integrating(torch.tensor([1.0, 1.0]))
    alone.reset([8])
    for _ in range(2):
        both = together.act({"state": states})
        np.testing.assert_allclose(both[1], alone.act({"state": states[1:]})[0], rtol=1e-5)
    together.reset([9, 10], mask=np.array([True, False]))
    both = together.act({"state": states})
    np.testing.assert_allclose(both[1], alone.act({"state": states[1:]})[0], rtol=1e-5)


class Watching:
    """A planner that notes what it is given."""

    def __init__(self) -> None:
        self.given: list[dict] = []
        self.inner = build_planner(CONFIG, action_spec())

    def plan(self, model, context, cost, **options) -> Plan:
        self.given.append({"context": context, "model": model, **options})
        return self.inner.plan(model, context, cost, **options)


def watched(**options) -> tuple[MPCAgent, Watching]:
    planner = Watching()
    target = SquaredDistance(torch.zeros(2))
    return MPCAgent(Integrator(), planner, target, sensors=("state",), **options), planner


def test_the_second_decision_is_warm_started_with_the_plan_one_step_on() -> None:
    agent, planner = watched()
    agent.reset([0])
    agent.act({"state": np.zeros((1, 2), np.float32)})
    assert planner.given[0]["warm_start"] is None
    first = agent.last_plan
    assert first is not None
    agent.act({"state": np.ones((1, 2), np.float32)})
    assert torch.equal(planner.given[1]["warm_start"], first.shifted())
    agent.reset([0])
    agent.act({"state": np.ones((1, 2), np.float32)})
    assert planner.given[2]["warm_start"] is None


def test_the_context_grows_to_its_length_and_remembers_the_actions_between() -> None:
    agent, planner = watched(context_length=3)
    agent.reset([0, 1])
    actions = []
    for step in range(4):
        actions.append(agent.act({"state": np.full((2, 2), float(step), np.float32)}))
    seen = [given["context"][0, :, 0, 0].tolist() for given in planner.given]
    assert seen == [[0], [0, 1], [0, 1, 2], [1, 2, 3]]
    past = planner.given[3]["model"].past_actions
    np.testing.assert_array_equal(past.numpy(), np.stack(actions[1:3], axis=1))
    agent.reset([5, 6], mask=np.array([True, False]))
    agent.act({"state": np.full((2, 2), 9.0, np.float32)})
    assert planner.given[4]["context"][:, :, 0, 0].tolist() == [[9], [9]]  # as many frames as both have seen


def test_as_many_environments_as_were_begun() -> None:
    agent = integrating(torch.zeros(2))
    agent.reset([0])
    with pytest.raises(MismatchError, match=r"began 1 environments, and act\(\) sees \{'state': 2\}"):
        agent.act({"state": np.zeros((2, 2), np.float32)})
    with pytest.raises(MismatchError, match="no state"):
        agent.act({"pixels": np.zeros((1, 2), np.uint8)})


def test_the_deadline_counts_from_the_beginning_of_the_decision() -> None:
    clock = Clock()
    clock.now = 100.0
    agent, planner = watched(decision_seconds=0.5, clock=clock)
    agent.reset([0])
    agent.act({"state": np.zeros((1, 2), np.float32)})
    assert planner.given[0]["deadline"] == 100.5


def test_the_identity_follows_what_would_change_the_actions() -> None:
    class Weighted(torch.nn.Linear):
        def encode(self, obs):
            raise NotImplementedError

        def rollout(self, context, actions, past_actions=None):
            raise NotImplementedError

    def agent(weight: float = 1.0, target: float = 0.0, config: ElitesConfig = CONFIG, **options) -> str:
        model = Weighted(1, 1)
        torch.nn.init.constant_(model.weight, weight)
        torch.nn.init.constant_(model.bias, 0.0)
        cost = SquaredDistance(torch.tensor([target]))
        return MPCAgent(model, build_planner(config, action_spec()), cost, sensors=("state",), **options).identity

    assert agent() == agent()
    others = [agent(weight=2.0), agent(target=1.0), agent(config=ElitesConfig(horizon=3)), agent(decision_seconds=1.0)]
    others.append(agent(device="meta"))  # the same actions at another speed: latencies of two devices are never mixed
    assert len({agent(), *others}) == 6


def test_floor_and_ceiling() -> None:
    spec = action_spec(bound=0.5)
    floor = RandomAgent(spec)
    floor.reset([1, 2])
    first = floor.act({})
    assert first.shape == (2, 2) and first.dtype == np.float32 and np.abs(first).max() <= 0.5
    second = floor.act({})
    floor.reset([1, 9], mask=np.array([True, False]))
    third = floor.act({})
    np.testing.assert_array_equal(third[0], first[0])  # begun again
    assert not np.array_equal(third[1], second[1])  # gone on

    env = LineWorld()
    env.reset(seed=2)
    expert = ExpertAgent()
    expert.reset([0])
    np.testing.assert_array_equal(expert.act({}, [env]), [[np.float32(env.place[0]), 1.0]])
    with pytest.raises(MismatchError, match="needs the environments"):
        expert.act({})


def test_a_world_without_an_expert_is_named() -> None:
    import gymnasium

    expert = ExpertAgent()
    expert.reset([0])
    with pytest.raises(MismatchError, match=r"has no expert_action"):
        expert.act({}, [gymnasium.make("CartPole-v1")])
