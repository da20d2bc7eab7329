"""Who plays in an evaluation, by name.

random   expert   worldmodel   worldmodel:goal   worldmodel~proprio   worldmodel:goal~wrist~proprio
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import gymnasium

from agents.baselines import Agent, ExpertAgent, RandomAgent
from agents.evaluation.scores import CEILING, FLOOR
from agents.experiment import ExperimentConfig
from agents.training.runs import Run, build_agent, require_fit
from worldmodel.errors import ConfigError, unknown_name

COSTS = ("progress", "goal")


def make_agent(name: str, run: Run, config: ExperimentConfig, env: gymnasium.Env) -> Agent:
    """The agent called `name`: random, expert, or worldmodel, as it was trained.

    worldmodel:COST plans with another cost than the configured one. worldmodel~SENSOR is the same agent when that sensor has
    failed: a camera is black, any other one is missing. ConfigError for any other name, MismatchError for an environment that
    does not fit, or a sensor that the model cannot do without.
    """
    cost, without = _parsed(name)
    if name == FLOOR:
        return RandomAgent(run.worlds[require_fit(run, env)].action)
    if name == CEILING:
        return ExpertAgent()
    chosen = dataclasses.replace(config.cost, name=cost) if cost else config.cost
    return build_agent(run, config.planner, chosen, env, without)


def require_players(names: Iterable[str], sensors: Sequence[str]) -> None:
    """Raise ConfigError for a name that is no agent's, or a failed sensor that a model of these `sensors` does not read."""
    for name in names:
        for sensor in _parsed(name)[1]:
            if sensor not in sensors:
                raise ConfigError(unknown_name("sensor", sensor, sensors))


def failed_sensors(name: str) -> list[str]:
    """The sensors that an agent is to act without."""
    return _parsed(name)[1]


def costs_of(names: Iterable[str], usual: str) -> set[str]:
    """The costs that planning agents among these go by; `usual` is that of one that names none."""
    return {_parsed(name)[0] or usual for name in names if name not in (FLOOR, CEILING)}


def _parsed(name: str) -> tuple[str, list[str]]:
    """An agent's own cost, empty where it has none, and its failed sensors. ConfigError for a name that no agent has."""
    told, *without = name.split("~")
    kind, colon, cost = told.partition(":")
    if name not in (FLOOR, CEILING) and (kind != "worldmodel" or (colon and cost not in COSTS)):
        names = (FLOOR, CEILING, "worldmodel", *(f"worldmodel:{c}" for c in COSTS))
        raise ConfigError(unknown_name("agent", name, names))
    return cost, without
