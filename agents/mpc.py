"""Model-predictive control: look, plan in latent space, do the first action (or block of actions), look again.

B environments   T frames of context   H horizon   A action dim   K tokens a frame   D latent width
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import gymnasium
import numpy as np
import torch
from torch import Tensor

from agents.episode_goals import EpisodeGoals
from agents.evaluation.protocol import content_hash
from agents.goals import to_observation
from agents.planners.plan import Plan, Planner
from worldmodel.errors import ConfigError, MismatchError
from worldmodel.types import Cost, Latent, Observation, WorldModel


class ContextualModel(WorldModel, Protocol):
    """A world model that can be told of the actions between its frames of context."""

    def rollout(self, context: Latent, actions: Tensor, past_actions: Tensor | None = None) -> Latent:
        """As `WorldModel.rollout`; `past_actions` is (B, T - 1, A)."""
        ...


Prepare = Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]
"""Observations (B, ...) as the world gives them -> as the model takes them."""


@dataclass(frozen=True)
class Remembering:
    """A world model that knows what was done between the frames that it has seen."""

    model: ContextualModel
    """The model itself."""
    past_actions: Tensor
    """(B, T - 1, A)."""

    def encode(self, obs: Observation) -> Latent:
        """Latents of observed frames, (B, T, K, D)."""
        return self.model.encode(obs)

    def rollout(self, context: Latent, actions: Tensor) -> Latent:
        """Latents after each action, (B, N, H, K, D)."""
        return self.model.rollout(context, actions, self.past_actions)


class MPCAgent:
    """Plans with a model and does the first action of the plan, one step of the world after the other; then plans again.

    `sensors`, `context_length`, `action_block` and how pictures are made to fit (`prepare`) come from the manifest: they are
    what the model was trained with. An action of the model is `action_block` actions of the world, done one by one before
    the next decision. Each frame is encoded once, when it is new, with the `tubelet` - 1 before it that its latent depends on;
    what stays of it is its latent. What the cameras `dead` show is black, as if they had failed.

    `decision_seconds` bounds the time of one decision (the planner stops early and answers with the best so far); None lets
    it finish. With `EpisodeGoals` in place of a cost, an environment is asked for its goal when an episode begins.
    """

    def __init__(
        self,
        model: ContextualModel,
        planner: Planner,
        cost: Cost | EpisodeGoals,
        *,
        sensors: Sequence[str],
        context_length: int = 1,
        action_block: int = 1,
        tubelet: int = 1,
        dead: Sequence[str] = (),
        prepare: Prepare | None = None,
        decision_seconds: float | None = None,
        device: torch.device | str = "cpu",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if min(context_length, action_block, tubelet) < 1:
            given = f"context_length is {context_length}, action_block is {action_block} and tubelet is {tubelet}"
            raise ConfigError(f"{given}; expected at least 1")
        self.model, self.planner, self.cost = model, planner, cost
        self.sensors, self.context_length, self.action_block = tuple(sensors), context_length, action_block
        self.tubelet, self.dead = tubelet, tuple(dead)
        self.prepare = prepare or (lambda frames: frames)
        self.decision_seconds, self.device, self.clock = decision_seconds, torch.device(device), clock
        self.minds: list[_Mind] = []
        self.last_plan: Plan | None = None
        self._identity: str | None = None

    @property
    def identity(self) -> str:
        """Hash of weights, planner, cost and how they are used; of the kind of device too, which the latencies depend on."""
        if self._identity is None:
            settings = (self.sensors, self.context_length, self.decision_seconds, self.device.type)
            settings += (self.action_block,) if self.action_block > 1 else ()
            settings += (("dead", *self.dead),) if self.dead else ()
            self._identity = "mpc-" + content_hash(self.model, self.planner, self.cost, settings)
        return self._identity

    def reset(self, seeds: Sequence[int], mask: np.ndarray | None = None) -> None:
        """Forget frames and plans: in every environment, or where the mask (B,) is True."""
        if mask is None:
            self.minds = [_Mind(torch.Generator().manual_seed(seed)) for seed in seeds]
            self.last_plan = None
            return
        for index, (seed, new) in enumerate(zip(seeds, mask, strict=True)):
            if new:
                self.minds[index] = _Mind(torch.Generator().manual_seed(seed))

    @torch.no_grad()
    def act(self, observations: Mapping[str, np.ndarray], envs: Sequence[gymnasium.Env] = ()) -> np.ndarray:
        """Actions (B, A) float32 for observations (B, ...); `envs` are asked for their goals, or not looked at.

        An environment is looked at, and planned for, when the last block that was planned for it is done.
        """
        sizes = {key: len(observations[key]) for key in self.sensors if key in observations}
        if any(size != len(self.minds) for size in sizes.values()):
            raise MismatchError(f"reset() began {len(self.minds)} environments, and act() sees {sizes}; they must be as many")
        rows = [index for index, mind in enumerate(self.minds) if not mind.ahead]
        if isinstance(self.cost, EpisodeGoals):
            self._ask_for_goals(self.cost, envs)
        if rows:
            self._decide(rows, {key: np.asarray(observations[key])[rows] for key in sizes})
        return np.stack([mind.ahead.popleft() for mind in self.minds])

    def _decide(self, rows: Sequence[int], observations: Mapping[str, np.ndarray]) -> None:
        """Plan the next block of the environments `rows`, all of them at once."""
        begun = self.clock()
        minds = [self.minds[index] for index in rows]
        context = self._look(minds, observations)  # (B, T, K, D)
        plan = self.planner.plan(
            self._remembering(minds, context.shape[1]),
            context,
            self._cost_of(minds),
            generators=[mind.generator for mind in minds],
            warm_start=_warm_start(minds),
            deadline=None if self.decision_seconds is None else begun + self.decision_seconds,
        )
        self.last_plan = plan
        first = plan.actions[:, 0].float().cpu().numpy()  # (B, action_block * A)
        if first.shape[1] % self.action_block:
            raise MismatchError(
                f"a plan of {first.shape[1]} numbers an action does not divide into {self.action_block} actions"
            )
        for mind, block, warm in zip(minds, first, plan.shifted(), strict=True):
            mind.done.append(block)
            del mind.done[: -self.context_length]
            mind.ahead.extend(block.reshape(self.action_block, -1))
            mind.warm = warm

    def _ask_for_goals(self, goals: EpisodeGoals, envs: Sequence[gymnasium.Env]) -> None:
        """Ask the environments whose episode has just begun. MismatchError when they are not at hand."""
        if len(envs) != len(self.minds):
            raise MismatchError(f"goals are asked of the environments: {len(self.minds)} expected, {len(envs)} got")
        for mind, env in zip(self.minds, envs, strict=True):
            mind.goal = goals.look(env) if mind.goal is None else mind.goal

    def _cost_of(self, minds: Sequence[_Mind]) -> Cost:
        """The cost of these environments' plans."""
        if not isinstance(self.cost, EpisodeGoals):
            return self.cost
        return self.cost.cost([mind.goal for mind in minds if mind.goal is not None])

    def _remembering(self, minds: Sequence[_Mind], num_frames: int) -> WorldModel:
        """The model, told of the actions between its frames of context when there are several."""
        if num_frames == 1:
            return self.model
        past = np.stack([np.stack(mind.done[-(num_frames - 1) :]) for mind in minds])  # (B, T - 1, action_block * A)
        return Remembering(self.model, torch.from_numpy(past).to(self.device))

    def _look(self, minds: Sequence[_Mind], observations: Mapping[str, np.ndarray]) -> Latent:
        """Latents of the newest frames (B, T, K, D), of as many as every environment has seen, at most the context."""
        newest = self.model.encode(self._observed(minds, observations))[:, -1]  # (B, K, D)
        for mind, z in zip(minds, newest, strict=True):
            mind.latents.append(z)
            del mind.latents[: -self.context_length]
        length = min(len(mind.latents) for mind in minds)
        return torch.stack([torch.stack(mind.latents[-length:]) for mind in minds])

    def _observed(self, minds: Sequence[_Mind], observations: Mapping[str, np.ndarray]) -> Observation:
        """What the newest latent depends on, (B, tubelet, ...): the first frame stands for those before the beginning."""
        seen = self.prepare(observations)
        seen = {key: np.zeros_like(values) if key in self.dead else values for key, values in seen.items()}
        for index, mind in enumerate(minds):
            mind.frames.append({key: np.asarray(values[index]) for key, values in seen.items()})
            mind.frames[:0] = mind.frames[:1] * (self.tubelet - len(mind.frames))
            del mind.frames[: -self.tubelet]
        stacked = {
            key: np.stack([np.stack([frame[key] for frame in mind.frames]) for mind in minds]) for key in minds[0].frames[0]
        }
        return to_observation(stacked, self.sensors, self.device)


class _Mind:
    """What the agent knows of one environment."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator
        self.frames: list[dict[str, np.ndarray]] = []
        """The last of those in which it decided, the newest last."""
        self.latents: list[Tensor] = []
        """(K, D) each: of those in the model's context."""
        self.done: list[np.ndarray] = []
        """(action_block * A,) each: what it decided after them."""
        self.ahead: deque[np.ndarray] = deque()
        """(A,) each: what is left of the block that it decided last."""
        self.warm: Tensor | None = None
        """(H, action_block * A): the last plan, one decision on."""
        self.goal: Tensor | None = None
        """(K, D): where it should lead, where each episode has a goal of its own."""


def _warm_start(minds: Sequence[_Mind]) -> Tensor | None:
    """The previous plans, one decision on, (B, H, A); None when every environment has just begun.

    An environment that has just begun among others tries the action of zeros in place of another episode's plan.
    """
    known = [mind.warm for mind in minds if mind.warm is not None]
    if not known:
        return None
    return torch.stack([torch.zeros_like(known[0]) if mind.warm is None else mind.warm for mind in minds])
