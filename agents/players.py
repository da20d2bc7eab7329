"""Who plays in an evaluation, by name.

random   expert   worldmodel   worldmodel:goal   worldmodel~proprio   worldmodel:goal~wrist~proprio
"""

from __future__ import annotations

import dataclasses

import gymnasium

from agents.baselines import Agent, ExpertAgent, RandomAgent
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
    told, *without = name.split("~")
    kind, colon, cost = told.partition(":")
    if name == "random":
        return RandomAgent(run.worlds[require_fit(run, env)].action)
    if name == "expert":
        return ExpertAgent()
    if kind != "worldmodel" or (colon and cost not in COSTS):
        names = ("random", "expert", "worldmodel", *(f"worldmodel:{c}" for c in COSTS))
        raise ConfigError(unknown_name("agent", name, names))
    chosen = dataclasses.replace(config.cost, name=cost) if cost else config.cost
    return build_agent(run, config.planner, chosen, env, without)
