"""The rules that make scores comparable: which seeds, what is hashed, how sure a rate is.

SEEDS  An environment seed below 1,000,000 is for evaluation, any other for recording; so no start that an agent is scored
on was ever recorded, whatever was recorded and whatever is evaluated.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
import math
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from worldmodel.errors import ConfigError, MismatchError
from worldmodel.train.provenance import package_versions

NUM_EVALUATION_SEEDS = 1_000_000
"""Environment seeds 0 <= seed < this are for evaluation."""
EPISODES_PER_SEED = 100_000
"""Episodes that one recording seed can have."""
PROTOCOL_VERSION = 1
"""Changes when the meaning of a score changes."""


def recording_seed(seed: int, episode: int) -> int:
    """Environment seed of a recorded episode. Raises ConfigError when the two are out of range."""
    if seed < 0 or not 0 <= episode < EPISODES_PER_SEED:
        raise ConfigError(
            f"seed {seed}, episode {episode}: expected a seed of at least 0 and an episode below {EPISODES_PER_SEED}; "
            "record the rest under another seed"
        )
    return NUM_EVALUATION_SEEDS + seed * EPISODES_PER_SEED + episode


def evaluation_seeds(seed: int) -> Iterator[int]:
    """Environment seeds to be tried as starts, all different, in an order that depends on `seed` alone.

    The first n do not depend on how many are asked for, so that more episodes extend an evaluation.
    """
    if seed < 0:
        raise ConfigError(f"evaluation seed is {seed}; expected at least 0")
    rng = np.random.default_rng([seed, NUM_EVALUATION_SEEDS])
    seen: set[int] = set()
    while len(seen) < NUM_EVALUATION_SEEDS:
        start = int(rng.integers(NUM_EVALUATION_SEEDS))
        if start not in seen:
            seen.add(start)
            yield start


def require_held_out(starts: Iterable[int], trained_on: Iterable[tuple[int, int]]) -> None:
    """Raise MismatchError when a start lies in a (first, last) range of seeds that were trained on, as manifests hold them."""
    ranges = tuple(trained_on)
    seen = sorted(start for start in starts if any(first <= start <= last for first, last in ranges))
    if seen:
        raise MismatchError(
            f"{len(seen)} evaluation starts were trained on (seed {seen[0]} for one); record with environment seeds of "
            f"{NUM_EVALUATION_SEEDS} or more, as `worldmodel record` does, and train again"
        )


@dataclass(frozen=True)
class Interval:
    """A rate with its 95 % confidence interval."""

    rate: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        """As plain JSON values."""
        return dataclasses.asdict(self)


def wilson(successes: int, n: int, z: float = 1.959963984540054) -> Interval:
    """Wilson's score interval of a rate (Wilson 1927); z is the normal quantile, 95 % unless told."""
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} successes of {n}; expected 0 <= successes <= n and n > 0")
    rate = successes / n
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    # the bounds are exact at the ends, which rounding would miss
    return Interval(rate, 0.0 if successes == 0 else centre - half, 1.0 if successes == n else centre + half)


@dataclass(frozen=True)
class EvaluationProtocol:
    """Everything that a score depends on besides the agent; two scores compare when their hashes are equal."""

    env_id: str
    """Gymnasium id."""
    env_kwargs: Mapping[str, Any]
    """Keyword arguments of the environment, overrides included."""
    seed: int
    """Which sequence of starts."""
    starts: tuple[int, ...]
    """Environment seeds of the episodes, the same for every agent."""
    budget: int | None
    """Decisions an episode may take; None leaves it to the environment."""
    robot: str
    """Name of the robot."""
    renderer: str
    """What drew the pixels."""
    versions: Mapping[str, str]
    """Package -> version."""
    version: int = PROTOCOL_VERSION
    """Meaning of the numbers."""

    @property
    def hash(self) -> str:
        """First 12 hexadecimal digits of the SHA-256 of the canonical JSON."""
        return hashlib.sha256(canonical_json(dataclasses.asdict(self)).encode()).hexdigest()[:12]

    @property
    def episode_hash(self) -> str:
        """The same of what one episode depends on besides its start: equal when only the choice of starts differs."""
        return dataclasses.replace(self, seed=0, starts=()).hash

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values, with the hash."""
        return {**json.loads(canonical_json(dataclasses.asdict(self))), "hash": self.hash}


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that can change a score."""
    return {"python": platform.python_version(), **package_versions()}


def canonical_json(value: Any) -> str:
    """JSON that is equal when the values are equal: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be part of a protocol; use plain JSON values")


def content_hash(*parts: object) -> str:
    """First 12 hexadecimal digits of the SHA-256 of what an agent is made of, down to its weights.

    Arrays and tensors count with their content, modules with their weights, functions with their name, and everything else
    with its attributes.
    """
    digest = hashlib.sha256()
    for part in parts:
        _absorb(digest, part)
    return digest.hexdigest()[:12]


def _absorb(digest: Any, part: object) -> None:
    digest.update(f"<{type(part).__module__}.{type(part).__qualname__}>".encode())
    if part is None or isinstance(part, bool | int | float | str | bytes):
        digest.update(repr(part).encode())
    elif isinstance(part, torch.Tensor):
        digest.update(f"{part.dtype}{tuple(part.shape)}".encode())
        digest.update(part.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    elif isinstance(part, np.ndarray):
        digest.update(f"{part.dtype}{part.shape}".encode())
        digest.update(part.tobytes())
    elif isinstance(part, torch.nn.Module):
        digest.update(repr(part).encode())
        _absorb(digest, dict(part.state_dict()))
    elif isinstance(part, Mapping):
        for key, value in part.items():
            digest.update(str(key).encode())
            _absorb(digest, value)
    elif isinstance(part, Sequence):
        for item in part:
            _absorb(digest, item)
    elif inspect.isroutine(part):
        digest.update(part.__qualname__.encode())
    else:
        _absorb(digest, vars(part))
