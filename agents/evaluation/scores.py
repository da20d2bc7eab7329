"""What an evaluation found: episodes, scores with their confidence, and what they were measured on."""

from __future__ import annotations

import dataclasses
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agents.evaluation.protocol import EvaluationProtocol, Interval, content_hash, wilson
from worldmodel.train.files import dump_json, write_atomic

FLOOR, CEILING = "random", "expert"
"""Names of the agents between which every score is read."""


@dataclass(frozen=True)
class EpisodeResult:
    """How one agent fared from one start."""

    agent: str
    """Name of the agent."""
    episode: int
    """Place of the start in the protocol."""
    seed: int
    """Environment seed of the start."""
    success: bool
    """The task's own rule held at the end."""
    num_objects: int
    """Objects at the start."""
    num_cleared: int
    """Objects in the bin at the end."""
    num_dropped: int
    """Objects on the floor at the end."""
    num_actions: int
    """Actions done; an agent that plans blocks of them has decided less often."""
    plan_ms: tuple[float, ...]
    """Duration of each decision [ms], one robot at a time."""
    total_reward: float | None = None
    """Sum of the rewards; None of episodes that were played before it was kept."""

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {**dataclasses.asdict(self), "plan_ms": list(self.plan_ms)}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> EpisodeResult:
        """The inverse of `to_json`."""
        return cls(**{**row, "plan_ms": tuple(row["plan_ms"])})


@dataclass(frozen=True)
class Latency:
    """Quantiles of the duration of a decision [ms]."""

    p50: float
    """Half of the decisions take at most this long."""
    p95: float
    """Nineteen of twenty take at most this long."""

    def to_json(self) -> dict[str, float]:
        """As plain JSON values."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Returns:
    """Mean sum of rewards of an episode, with its 95 % interval by the normal approximation."""

    mean: float
    """In the world's own units."""
    low: float
    """1.96 standard errors below."""
    high: float
    """1.96 standard errors above."""

    @classmethod
    def of(cls, values: Sequence[float]) -> Returns:
        """Of the episodes' sums, at least one; the interval of a single one is that one."""
        half = 1.96 * float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else 0.0
        mean = float(np.mean(values))
        return cls(mean, mean - half, mean + half)


@dataclass(frozen=True)
class AgentScore:
    """What the table says of one agent."""

    n: int
    """Episodes."""
    success: Interval
    """Share of episodes with success."""
    objects_cleared: float
    """Share of all objects that ended in the bin."""
    dropped: float
    """Share of all objects that ended on the floor."""
    plan_ms: Latency
    """Duration of a decision."""
    returns: Returns | None = None
    """Sum of rewards; None when some episode was played before it was kept."""

    @classmethod
    def of(cls, episodes: Sequence[EpisodeResult]) -> AgentScore:
        """The score of an agent's episodes, at least one."""
        num_objects = max(1, sum(e.num_objects for e in episodes))
        p50, p95 = np.percentile([ms for e in episodes for ms in e.plan_ms], [50, 95])
        rewards = [e.total_reward for e in episodes if e.total_reward is not None]
        return cls(
            n=len(episodes),
            success=wilson(sum(e.success for e in episodes), len(episodes)),
            objects_cleared=sum(e.num_cleared for e in episodes) / num_objects,
            dropped=sum(e.num_dropped for e in episodes) / num_objects,
            plan_ms=Latency(float(p50), float(p95)),
            returns=Returns.of(rewards) if len(rewards) == len(episodes) else None,
        )

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Evaluation:
    """Scores with everything that is needed to trust them."""

    protocol: EvaluationProtocol
    """What was asked."""
    scores: dict[str, AgentScore]
    """Agent -> its score."""
    episodes: tuple[EpisodeResult, ...]
    """What the scores were computed from."""
    identities: dict[str, str]
    """Agent -> hash of what it was made of."""
    machine: dict[str, str | int]
    """What the latencies were measured on."""
    absent: dict[str, str] = field(default_factory=dict)
    """Floor or ceiling that this world cannot have -> why."""

    @property
    def hash(self) -> str:
        """12 hexadecimal digits: equal when the same agents were asked the same."""
        return content_hash(self.protocol.hash, dict(sorted(self.identities.items())))

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "protocol": self.protocol.to_json(),
            "agents": {name: score.to_json() for name, score in self.scores.items()},
            "identities": self.identities,
            "machine": self.machine,
            **({"absent": self.absent} if self.absent else {}),
            "episodes": [episode.to_json() for episode in self.episodes],
        }

    def save(self, path: Path) -> None:
        """Write the JSON file, the old one or the new one, never half of each."""
        write_atomic(path, (dump_json(self.to_json()) + "\n").encode())


def this_machine() -> dict[str, str | int]:
    """What latencies depend on."""
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count() or 0,
        "torch_threads": torch.get_num_threads(),
        "platform": platform.platform(),
    }


def _cpu_name() -> str:
    """The processor's name, as Linux tells it; elsewhere what Python knows."""
    table = Path("/proc/cpuinfo")
    lines = table.read_text().splitlines() if table.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
