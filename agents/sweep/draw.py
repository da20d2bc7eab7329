"""The distributions of W&B's sweep files: one number each from a generator.

Names and keys are W&B's (https://docs.wandb.ai/guides/sweeps/sweep-config-keys); `log_uniform` has its bounds as natural
exponents, `log_uniform_values` as the values themselves; a name with `q_` rounds to a multiple of q.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from worldmodel.errors import ConfigError, unknown_name

Keys = Mapping[str, Any]
"""What a parameter gives besides its distribution's name."""


def _uniform(rng: np.random.Generator, p: Keys) -> float:
    return float(rng.uniform(p["min"], p["max"]))


def _log_uniform_values(rng: np.random.Generator, p: Keys) -> float:
    return math.exp(rng.uniform(math.log(p["min"]), math.log(p["max"])))


def _normal(rng: np.random.Generator, p: Keys) -> float:
    return float(rng.normal(p.get("mu", 0.0), p.get("sigma", 1.0)))


def _rounded(draw: Callable[[np.random.Generator, Keys], float]) -> Callable[[np.random.Generator, Keys], float]:
    def drawn(rng: np.random.Generator, p: Keys) -> float:
        q = p.get("q", 1)
        return round(draw(rng, p) / q) * q

    return drawn


_BOUNDS = ("min", "max")
_DRAWN: dict[str, Callable[[np.random.Generator, Keys], float]] = {
    "uniform": _uniform,
    "int_uniform": lambda rng, p: int(rng.integers(p["min"], p["max"], endpoint=True)),
    "log_uniform": lambda rng, p: math.exp(_uniform(rng, p)),
    "log_uniform_values": _log_uniform_values,
    "normal": _normal,
    "log_normal": lambda rng, p: math.exp(_normal(rng, p)),
}
DISTRIBUTIONS: dict[str, Callable[[np.random.Generator, Keys], float]] = {
    **_DRAWN,
    **{f"q_{name}": _rounded(draw) for name, draw in _DRAWN.items() if name != "int_uniform"},
}
"""Name -> a number drawn with the parameter's keys."""


def distribution_of(name: str | None, keys: Keys) -> str:
    """The distribution of that name, or the one that W&B takes for these keys. ConfigError when they do not fit."""
    if name is None:
        bounds = [keys.get(key) for key in _BOUNDS]
        name = "normal" if "mu" in keys or "sigma" in keys else "uniform"
        if all(type(bound) is int for bound in bounds):
            name = "int_uniform"
    if name not in DISTRIBUTIONS:
        raise ConfigError(unknown_name("distribution", name, ("constant", "categorical", *DISTRIBUTIONS)))
    for key, value in keys.items():
        if not math.isfinite(value) or (key == "q" and value <= 0):
            raise ConfigError(f"{key} is {value}; expected a number{' above 0' if key == 'q' else ''}")
    if "normal" in name:
        if not keys.get("sigma", 1.0) > 0:
            raise ConfigError(f"sigma is {keys['sigma']}; expected more than 0")
        return name
    if lacking := [key for key in _BOUNDS if keys.get(key) is None]:
        raise ConfigError(f"{' and '.join(lacking)} missing; expected value, values, or min and max")
    if not keys["min"] <= keys["max"] or (name.endswith("log_uniform_values") and not keys["min"] > 0):
        wanted = "0 < min <= max" if name.endswith("log_uniform_values") else "min <= max"
        raise ConfigError(f"min is {keys['min']} and max is {keys['max']}; expected {wanted}")
    if name == "int_uniform" and not all(type(keys[key]) is int for key in _BOUNDS):
        raise ConfigError(f"min is {keys['min']} and max is {keys['max']}; expected integers for int_uniform")
    return name
