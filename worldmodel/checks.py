"""Range checks of configurations: one line that names the field, what was got and what was expected.

The strict loader puts the file and the section in front: `demo.yaml: train: batch_size is 1; expected at least 2`.
NaN is in no range, and neither is infinity, which no manifest could hold: JSON has no word for it.
"""

from __future__ import annotations

import math

from worldmodel.errors import ConfigError

MAX_SEED = 2**63 - 1
"""The largest seed that every generator takes and every dataset stores."""


def require_at_least(config: object, lowest: float, *names: str) -> None:
    """Raise ConfigError when one of these fields is less than `lowest`, or infinite."""
    for name in names:
        value = getattr(config, name)
        if not lowest <= value < math.inf:
            raise ConfigError(f"{name} is {value}; expected at least {lowest}")


def require_positive(config: object, *names: str) -> None:
    """Raise ConfigError when one of these fields is not more than 0, or infinite."""
    for name in names:
        value = getattr(config, name)
        if not 0 < value < math.inf:
            raise ConfigError(f"{name} is {value}; expected more than 0")


def require_share(config: object, *names: str, zero: bool = True, one: bool = True) -> None:
    """Raise ConfigError when one of these fields is no share; `zero` and `one` tell whether the ends are shares too."""
    for name in names:
        value = getattr(config, name)
        if not 0 <= value <= 1 or (value == 0 and not zero) or (value == 1 and not one):
            raise ConfigError(f"{name} is {value}; expected a number in {'[' if zero else '('}0, 1{']' if one else ')'}")


def require_seed(name: str, seed: int) -> None:
    """Raise ConfigError for a seed that is negative or beyond 63 bits."""
    if not 0 <= seed <= MAX_SEED:
        raise ConfigError(f"{name} is {seed}; expected a whole number from 0 to 2^63 - 1")
