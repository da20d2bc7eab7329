"""A sweep file in W&B's words: parameters and what they may be."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from agents.sweep.draw import DISTRIBUTIONS, distribution_of
from worldmodel.checks import require_at_least
from worldmodel.errors import ConfigError

UNSET: Any = object()


@dataclass(frozen=True)
class Parameter:
    """What a parameter may be, in W&B's words."""

    value: Any = UNSET
    """Always this."""
    values: tuple[Any, ...] | None = None
    """One of these."""
    probabilities: tuple[float, ...] = ()
    """How often each, where trials are random."""
    distribution: str | None = None
    """Name of a distribution (agents/sweep/draw.py), constant or categorical."""
    min: float | int | None = None
    """Lower bound."""
    max: float | int | None = None
    """Upper bound."""
    mu: float | None = None
    """Mean of a normal distribution."""
    sigma: float | None = None
    """Its standard deviation."""
    q: float | int | None = None
    """Step to which a q_ distribution rounds."""
    parameters: dict[str, Any] = field(default_factory=dict)
    """Parameters in a section of this name."""

    @property
    def listed(self) -> tuple[Any, ...]:
        """All that it may be; empty where it is drawn from a distribution."""
        return self.values or () if self.value is UNSET else (self.value,)

    @property
    def keys(self) -> dict[str, Any]:
        """What its distribution is made of."""
        given = {name: getattr(self, name) for name in ("min", "max", "mu", "sigma", "q")}
        return {name: value for name, value in given.items() if value is not None}

    def draw(self, rng: np.random.Generator) -> Any:
        """A value at random."""
        if not self.listed:
            return DISTRIBUTIONS[distribution_of(self.distribution, self.keys)](rng, self.keys)
        weights = np.array(self.probabilities or [1.0] * len(self.listed))
        return self.listed[int(rng.choice(len(self.listed), p=weights / weights.sum()))]


@dataclass(frozen=True)
class SweepConfig:
    """A sweep file. What only W&B's server needs is read and left to it."""

    method: str
    """grid is every combination, random are run_cap random ones; what bayes is, W&B's server chooses."""
    parameters: dict[str, Parameter]
    """Name -> what it may be."""
    run_cap: int | None = None
    """Largest number of trials; W&B's server draws random ones without end where it is not given."""
    name: str = ""
    """What it is called; the file's name unless told."""
    program: str = ""
    """For W&B's agent."""
    command: tuple[str, ...] = ()
    """For W&B's agent."""
    description: str = ""
    """For W&B."""
    project: str = ""
    """For W&B."""
    entity: str = ""
    """For W&B."""
    metric: dict[str, Any] = field(default_factory=dict)
    """For W&B."""
    early_terminate: dict[str, Any] = field(default_factory=dict)
    """For W&B's server; trials here run to their end."""

    def __post_init__(self) -> None:
        """Raise ConfigError for an unknown method, a metric without a name, and for no trial."""
        if self.method not in ("grid", "random", "bayes"):
            raise ConfigError(f"method is {self.method!r}; expected grid, random or bayes")
        if self.metric or self.method == "bayes":
            name = self.metric.get("name")
            if not (isinstance(name, str) and name):
                got = "is missing" if name is None else f"is {name!r}"
                raise ConfigError(f"metric.name {got}; expected the name of a metric, such as eval/worldmodel/success_rate")
        if self.run_cap is not None:
            require_at_least(self, 1, "run_cap")


def require_whole(parameter: Parameter, method: str) -> None:
    """Raise ConfigError for a parameter of which no value could be taken."""
    values, chances = parameter.values, parameter.probabilities
    if values is not None and not values:
        raise ConfigError("values is empty; expected a list of one or more, such as [0, 1]")
    if parameter.value is not UNSET and values:
        raise ConfigError("value and values are both given; expected one of them")
    if chances and len(chances) != len(values or ()):
        raise ConfigError(f"{len(chances)} probabilities for {len(values or ())} values; expected as many")
    if chances and not (min(chances) >= 0 and 0 < sum(chances) < math.inf):
        raise ConfigError(f"probabilities is {list(chances)}; expected numbers of at least 0, not all of them 0")
    if parameter.listed:
        return
    distribution_of(parameter.distribution, parameter.keys)
    if method == "grid":
        raise ConfigError("a grid needs value or values; use method: random for a distribution")
