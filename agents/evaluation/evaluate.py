"""Evaluation as a protocol: every agent meets the same held-out starts, and every finished episode is kept."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import gymnasium
import numpy as np

from agents.baselines import Agent
from agents.evaluation.journal import Journal
from agents.evaluation.protocol import EvaluationProtocol, evaluation_seeds, require_held_out, versions
from agents.evaluation.scores import CEILING, FLOOR, AgentScore, EpisodeResult, Evaluation, this_machine
from agents.worldspec import BUDGETS, budget_of, spec_of
from worldmodel.checks import require_at_least
from worldmodel.errors import ConfigError, MismatchError
from worldmodel.progress import NoProgress, Progress

log = logging.getLogger(__name__)

Tell = Callable[[int], None]
"""Told how many starts are drawn."""


@dataclass(frozen=True)
class EvalConfig:
    """Which episodes are played, and what is kept of them."""

    num_episodes: int = 60
    """Episodes an agent."""
    seed: int = 0
    """Which sequence of held-out starts."""
    agents: tuple[str, ...] = ("random", "worldmodel", "expert")
    """Who plays; the floor and the ceiling always do, whether they are named or not."""
    num_objects: int | None = None
    """Objects on the table; None leaves it to the environment's configuration."""
    budget: int | None = None
    """Actions an episode may take; None leaves it to the environment's configuration."""

    ENV_KEYS: ClassVar[dict[str, str]] = {"num_objects": "num_objects", "max_sweeps": "budget"}
    """Keyword argument of the environment -> setting here that decides it, unless that is None."""

    def __post_init__(self) -> None:
        """Raise ConfigError for an evaluation that says nothing."""
        require_at_least(self, 1, "num_episodes", *(() if self.budget is None else ("budget",)))

    @property
    def players(self) -> tuple[str, ...]:
        """Who plays, each once, between the floor and the ceiling: without them a score says nothing."""
        between = (name for name in dict.fromkeys(self.agents) if name not in (FLOOR, CEILING))
        return (FLOOR, *between, CEILING)

    def env_overrides(self) -> dict[str, Any]:
        """Keyword arguments that the environment must be made with for this evaluation."""
        given = {key: getattr(self, name) for key, name in self.ENV_KEYS.items()}
        return {key: value for key, value in given.items() if value is not None}


def protocol_of(env: gymnasium.Env, config: EvalConfig, tell: Tell | None = None) -> EvaluationProtocol:
    """The protocol of an evaluation in this environment; draws the starts, which takes a reset each."""
    spec = spec_of(env)
    for key, value in config.env_overrides().items():
        told = budget_of(spec.env_kwargs) if key in BUDGETS else spec.env_kwargs.get(key)
        got = value if told is None else told
        if got not in (value, [value, value], (value, value)):  # a range of one is a number
            raise MismatchError(
                f"{key} is {got!r} in the environment and {value!r} in the evaluation; make it with env_overrides()"
            )
    return EvaluationProtocol(
        env_id=spec.env_id,
        env_kwargs=spec.env_kwargs,
        seed=config.seed,
        starts=draw_starts(env, config.num_episodes, config.seed, tell),
        budget=config.budget,
        robot=spec.robot,
        renderer=spec.renderer,
        versions=versions(),
    )


def draw_starts(env: gymnasium.Env, num: int, seed: int, tell: Tell | None = None) -> tuple[int, ...]:
    """Environment seeds of `num` starts that are not solved already; `tell` hears how many there are after each.

    Raises MismatchError when nearly all are solved already.
    """
    starts: list[int] = []
    solved = 0
    for start in evaluation_seeds(seed):
        if len(starts) == num:
            break
        _, info = env.reset(seed=start)
        if not _fact(info, "success"):
            starts.append(start)
            if tell is not None:
                tell(len(starts))
            continue
        solved += 1
        if solved > 100 + 20 * num:
            raise MismatchError(f"{solved} of {solved + len(starts)} starts are solved already; this task asks for nothing")
    if solved:
        log.info("%d starts were solved already and were redrawn", solved)
    return tuple(starts)


def evaluate(
    env: gymnasium.Env,
    agents: Mapping[str, Agent],
    config: EvalConfig,
    *,
    trained_on: Iterable[tuple[int, int]] = (),
    journal: Path | None = None,
    progress: Progress | None = None,
    absent: Mapping[str, str] | None = None,
) -> Evaluation:
    """Play every agent from the same starts, one robot at a time.

    `trained_on` are the (first, last) ranges of seeds in the manifest: a start among them is refused (MismatchError). Each
    finished episode is appended to `journal` (JSON lines); what an evaluation finds there of the same agents, world, code
    and machine it does not play again. `absent` says why a floor or a ceiling does not play.
    """
    progress = progress or NoProgress()
    if not agents:
        raise ConfigError("no agents to evaluate")
    total, done = len(agents) * config.num_episodes, 0
    protocol = protocol_of(
        env, config, lambda drawn: progress.update(0, total, drawing=f"start {drawn} of {config.num_episodes}")
    )
    require_held_out(protocol.starts, trained_on)
    identities = {name: agent.identity for name, agent in agents.items()}
    kept = Journal(journal, protocol, env, identities) if journal is not None else None

    episodes: list[EpisodeResult] = []
    for name, agent in agents.items():
        mine: list[EpisodeResult] = []
        for index, start in enumerate(protocol.starts):
            result = kept.known.get((name, start)) if kept is not None else None
            if result is None:
                result = play_episode(env, agent, start, name=name, episode=index, budget=config.budget)
                if kept is not None:
                    kept.append(result)
            mine.append(dataclasses.replace(result, episode=index))
            done += 1
            progress.update(done, total, agent=name, success=sum(e.success for e in mine) / len(mine))
        episodes += mine
    scores = {name: AgentScore.of([e for e in episodes if e.agent == name]) for name in agents}
    return Evaluation(protocol, scores, tuple(episodes), identities, this_machine(), dict(absent or {}))


def play_episode(
    env: gymnasium.Env,
    agent: Agent,
    start: int,
    *,
    name: str = "agent",
    episode: int = 0,
    budget: int | None = None,
) -> EpisodeResult:
    """One episode of an agent from one start."""
    agent.reset([start])
    observation, info = env.reset(seed=start)
    num_objects = int(_fact(info, "num_objects"))
    plan_ms: list[float] = []
    num_actions, total_reward, over = 0, 0.0, False
    while not over:
        batched = {key: np.asarray(value)[None] for key, value in observation.items()}
        plan, begun = getattr(agent, "last_plan", None), time.perf_counter()
        action = agent.act(batched, [env])[0]
        taken = time.perf_counter() - begun
        if getattr(agent, "last_plan", True) is not plan:  # else it was one more action of a block that is planned
            plan_ms.append(1000 * taken)
        observation, reward, terminated, truncated, info = env.step(action)
        num_actions, total_reward = num_actions + 1, total_reward + float(reward)
        over = terminated or truncated or num_actions == budget
    return EpisodeResult(
        agent=name,
        episode=episode,
        seed=start,
        success=bool(_fact(info, "success")),
        num_objects=num_objects,
        num_cleared=int(_fact(info, "num_cleared")),
        num_dropped=int(_fact(info, "num_dropped")),
        num_actions=num_actions,
        plan_ms=tuple(plan_ms),
        total_reward=total_reward,
    )


def _fact(info: Mapping[str, Any], key: str) -> Any:
    if key not in info:
        raise MismatchError(
            f"the environment's info has no {key!r}; an evaluation needs success, num_objects, num_cleared, num_dropped"
        )
    return info[key]
