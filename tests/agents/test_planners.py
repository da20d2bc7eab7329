"""Planners against worlds whose best plan is known."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from agents.planners import PLANNERS, CEMConfig, ElitesConfig, MPPIConfig, RecordedActions, SamplingConfig, build_planner
from tests.fakes import Clock, Integrator, SquaredDistance, TwoModes, action_spec, generators
from worldmodel.errors import ConfigError, WorldModelError

CONFIGS = {
    "cem": CEMConfig(horizon=2, num_samples=(128, 64, 64, 64, 64), num_elites=8, min_std=0.005),
    "elites": ElitesConfig(horizon=2, num_samples=(128, 64, 64, 64, 64), num_elites=8),
    "mppi": MPPIConfig(horizon=2, num_samples=(128, 64, 64, 64, 64), std=0.2),
}


def config_of(name: str) -> Any:
    """The config class of a planner; the classes differ in their fields."""
    return PLANNERS[name][0]


SHORT = ElitesConfig(horizon=2, num_samples=(32, 16), num_elites=4, num_proposals=32)


def start(num: int = 1, dim: int = 2) -> torch.Tensor:
    """Context (B, 1, 1, A): at the origin."""
    return torch.zeros(num, 1, 1, dim)


def test_every_planner_has_a_case() -> None:
    assert set(CONFIGS) == set(PLANNERS)


@pytest.mark.parametrize("name", CONFIGS)
def test_finds_the_known_optimum(name: str) -> None:
    target = torch.tensor([0.9, -0.6])
    plan = build_planner(CONFIGS[name], action_spec()).plan(
        Integrator(), start(), SquaredDistance(target), generators=generators(0)
    )
    assert plan.actions.shape == (1, 2, 2)
    assert torch.dist(plan.actions.sum(dim=1)[0], target) < 0.12
    exact = (plan.actions.sum(dim=1) - target).square().sum(dim=-1)
    torch.testing.assert_close(plan.cost, exact)


@pytest.mark.parametrize("name", CONFIGS)
def test_batched_equals_one_by_one(name: str) -> None:
    planner, targets = build_planner(CONFIGS[name], action_spec()), torch.tensor([[0.9, -0.6], [-1.2, 0.1], [0.0, 2.0]])
    together = planner.plan(Integrator(), start(3), SquaredDistance(targets), generators=generators(5, 6, 7))
    for i, seed in enumerate((5, 6, 7)):
        alone = planner.plan(Integrator(), start(), SquaredDistance(targets[i]), generators=generators(seed))
        torch.testing.assert_close(together.actions[i], alone.actions[0])
        torch.testing.assert_close(together.trace.mean[:, i], alone.trace.mean[:, 0])


@pytest.mark.parametrize("name", CONFIGS)
def test_stays_in_bounds_of_any_unit(name: str) -> None:
    spec = action_spec(bound=0.2)
    asked = SquaredDistance(torch.tensor([9.0, -9.0]))
    config = config_of(name)(horizon=2, num_samples=(32, 32), num_proposals=16, keep_candidates=True)
    bank = torch.full((16, 2), 3.0)  # recorded somewhere with wider bounds
    plan = build_planner(config, spec, bank).plan(Integrator(), start(), asked, generators=generators(0))
    for candidates in plan.trace.candidates:
        assert candidates.abs().max() == torch.tensor(0.2)  # the bank is clipped to the bounds, and nothing leaves them


@pytest.mark.parametrize("name", CONFIGS)
def test_keeps_the_best_ever_seen_and_traces_it(name: str) -> None:
    config = config_of(name)(horizon=1, num_samples=(64, 32, 16), num_elites=4) if name != "mppi" else MPPIConfig(horizon=1)
    config = type(config)(**{**vars(config), "keep_candidates": True})
    plan = build_planner(config, action_spec()).plan(
        Integrator(), start(2), SquaredDistance(torch.tensor([0.3, 0.4])), generators=generators(1, 2)
    )
    lowest = torch.stack([costs.amin(dim=1) for costs in plan.trace.costs]).amin(dim=0)
    torch.testing.assert_close(plan.cost, lowest)
    assert [len(c[0]) for c in plan.trace.candidates] == list(config.num_samples)
    assert plan.trace.num_iterations == 3 and plan.trace.best.shape == plan.trace.mean.shape == (3, 2)
    assert (plan.trace.best.diff(dim=0) <= 0).all()
    torch.testing.assert_close(plan.trace.best[-1], plan.cost)


def test_elites_keep_two_modes_that_a_gaussian_averages() -> None:
    """Recorded sweeps of two kinds, both nearly right: the mean of the two kinds is useless."""
    centres = torch.cat([torch.full((64, 4), -0.7), torch.full((64, 4), 0.7)])
    bank = centres + 0.1 * torch.randn(128, 4, generator=generators(3)[0])
    useful = {}
    for name in ("cem", "elites"):
        config = config_of(name)(horizon=1, num_samples=(128, 128), num_elites=16, keep_candidates=True)
        planner = build_planner(config, action_spec(4), bank)
        plan = planner.plan(Integrator(), start(dim=4), TwoModes(width=0.2), generators=generators(0))
        assert plan.cost < 0.1  # the best ever seen is kept by both
        useful[name] = (plan.trace.costs[1] < 0.9).float().mean().item()
    assert useful["elites"] > 2 * useful["cem"]


def test_proposals_are_the_first_candidates_without_replacement() -> None:
    bank = torch.linspace(-1, 1, 64).reshape(32, 2)
    config = CEMConfig(horizon=2, num_samples=(32, 8), num_proposals=32, num_elites=4, keep_candidates=True)
    plan = build_planner(config, action_spec(), bank).plan(
        Integrator(), start(), SquaredDistance(torch.zeros(2)), generators=generators(0)
    )
    first = plan.trace.candidates[0][0]  # (N, H, A)
    for step in range(2):
        torch.testing.assert_close(first[:, step].sort(dim=0).values, bank)
    assert not torch.equal(first[:, 0], first[:, 1])  # each step has its own order


def test_a_small_bank_gives_all_and_the_rule_samples_the_rest() -> None:
    bank = torch.tensor([[0.25, 0.25], [0.75, 0.75]])
    config = CEMConfig(horizon=1, num_samples=(10,), num_proposals=8, num_elites=2, keep_candidates=True)
    plan = build_planner(config, action_spec(), bank).plan(
        Integrator(), start(), SquaredDistance(torch.zeros(2)), generators=generators(0)
    )
    first = plan.trace.candidates[0][0, :, 0]
    assert first.shape == (10, 2)
    assert {tuple(row) for row in first[:2].tolist()} == {(0.25, 0.25), (0.75, 0.75)}
    assert len(first.unique(dim=0)) == 10


def test_proposals_may_look_at_the_context() -> None:
    def towards(context: torch.Tensor, num: int, horizon: int, generators: object) -> torch.Tensor:
        return context[:, -1:, :].expand(-1, 1, horizon, -1)  # (B, 1, H, A)

    config = CEMConfig(horizon=1, num_samples=(4,), num_elites=2, keep_candidates=True)
    plan = build_planner(config, action_spec(), towards).plan(
        Integrator(), start(1) + 0.5, SquaredDistance(torch.ones(2)), generators=generators(0)
    )
    torch.testing.assert_close(plan.trace.candidates[0][0, 0], torch.full((1, 2), 0.5))
    torch.testing.assert_close(plan.actions, torch.full((1, 1, 2), 0.5))


@pytest.mark.parametrize("name", CONFIGS)
def test_the_warm_start_is_tried_as_it_is(name: str) -> None:
    target = torch.tensor([0.5, 0.25])
    warm = torch.tensor([[[0.5, 0.0], [0.0, 0.25]]])
    planner = build_planner(config_of(name)(num_samples=(16,)), action_spec())
    plan = planner.plan(Integrator(), start(), SquaredDistance(target), generators=generators(0), warm_start=warm)
    torch.testing.assert_close(plan.actions, warm)
    assert plan.cost.item() == pytest.approx(0, abs=1e-12)


def test_the_next_warm_start_is_the_plan_one_step_on() -> None:
    plan = build_planner(CEMConfig(horizon=3), action_spec()).plan(
        Integrator(), start(2), SquaredDistance(torch.ones(2)), generators=generators(0, 1)
    )
    shifted = plan.shifted()
    torch.testing.assert_close(shifted[:, :2], plan.actions[:, 1:])
    torch.testing.assert_close(shifted[:, 2], plan.actions[:, 2])


@pytest.mark.parametrize(
    ("deadline", "samples"),
    [(None, [100, 50, 50, 20]), (10.0, [100, 50, 50, 20]), (2.1, [100, 50, 50]), (1.6, [100, 50]), (1.4, [100]), (0.0, [100])],
)
def test_an_iteration_that_does_not_fit_is_not_begun(deadline: float | None, samples: list[int]) -> None:
    """A candidate takes 10 ms: the iterations end at 1.0, 1.5, 2.0 and 2.2 s."""
    clock = Clock()
    model = Integrator(clock, seconds=0.01)
    config = CEMConfig(num_samples=(100, 50, 50, 20))
    plan = build_planner(config, action_spec(), clock=clock).plan(
        model, start(), SquaredDistance(torch.ones(2)), generators=generators(0), deadline=deadline
    )
    assert model.num_rollouts == samples
    assert plan.trace.seconds == pytest.approx([0.01 * n for n in samples])


def test_costs_that_are_not_numbers_never_win() -> None:
    def cost(rollout: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        first = actions[:, :, 0, 0]
        return torch.where(first > 0, math.nan, first.abs())

    for config in CONFIGS.values():
        plan = build_planner(config, action_spec()).plan(Integrator(), start(), cost, generators=generators(0))
        assert plan.actions[0, 0, 0] <= 0 and math.isfinite(plan.cost.item())
    with pytest.raises(WorldModelError, match="no candidate has a finite cost"):
        build_planner(SHORT, action_spec()).plan(
            Integrator(), start(), lambda rollout, actions: actions[:, :, 0, 0] * math.nan, generators=generators(0)
        )


def test_one_seed_is_one_plan() -> None:
    planner = build_planner(SHORT, action_spec(), torch.rand(64, 2, generator=generators(9)[0]))
    plans = [
        planner.plan(Integrator(), start(), SquaredDistance(torch.ones(2)), generators=generators(seed)) for seed in (0, 0, 1)
    ]
    assert torch.equal(plans[0].actions, plans[1].actions)
    assert not torch.equal(plans[0].actions, plans[2].actions)


def test_mistakes_are_named() -> None:
    with pytest.raises(ConfigError, match="SamplingConfig is the config of no planner; available: cem, elites, mppi"):
        build_planner(SamplingConfig(), action_spec())
    with pytest.raises(ConfigError, match="num_elites is 9; expected 1 to 8"):
        CEMConfig(num_samples=(64, 8), num_elites=9)
    cases: tuple[tuple[Any, dict[str, Any]], ...] = (
        (CEMConfig, {"init_std": 0.0}),
        (CEMConfig, {"min_std": -0.1}),
        (ElitesConfig, {"init_std": float("nan")}),
        (ElitesConfig, {"std_decay": 1.5}),
        (MPPIConfig, {"std": 0.0}),
        (MPPIConfig, {"temperature": float("nan")}),
    )
    for config, changes in cases:
        with pytest.raises(ConfigError, match=f"{next(iter(changes))} is .*; expected"):
            config(**changes)
    with pytest.raises(ConfigError, match="num_samples"):
        CEMConfig(num_samples=())
    with pytest.raises(ConfigError, match=r"expected \(M, A\)"):
        RecordedActions(torch.zeros(0, 2))
    with pytest.raises(ConfigError, match="proposals have 3 elements"):
        build_planner(SHORT, action_spec(), torch.zeros(4, 3))
    with pytest.raises(ConfigError, match="warm start has shape"):
        build_planner(SHORT, action_spec()).plan(
            Integrator(), start(), SquaredDistance(torch.ones(2)), generators=generators(0), warm_start=torch.zeros(1, 5, 2)
        )
