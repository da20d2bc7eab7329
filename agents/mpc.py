"""Model-predictive control: look, plan in latent space, do the first action, look again.

B environments   T frames of context   H horizon   A action dim   K tokens a frame   D latent width
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import gymnasium
import numpy as np
import torch
from torch import Tensor

from agents.goals import to_observation
from agents.planners.sampling import Plan, Planner
from agents.protocol import content_hash
from worldmodel.errors import ConfigError, MismatchError
from worldmodel.types import Cost, Latent, Observation, WorldModel


class ContextualModel(WorldModel, Protocol):
    """A world model that can be told of the actions between its frames of context."""

    def rollout(self, context: Latent, actions: Tensor, past_actions: Tensor | None = None) -> Latent:
        """As `WorldModel.rollout`; `past_actions` is (B, T - 1, A)."""
        ...


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
    """Plans with a model at every decision and does the first action of the plan.

    `sensors` and `context_length` come from the manifest: they are what the model was trained with. `decision_seconds`
    bounds the time of one decision (the planner stops early and answers with the best so far); None lets it finish.
    """

    def __init__(
        self,
        model: ContextualModel,
        planner: Planner,
        cost: Cost,
        *,
        sensors: Sequence[str],
        context_length: int = 1,
        decision_seconds: float | None = None,
        device: torch.device | str = "cpu",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if context_length < 1:
            raise ConfigError(f"context_length is {context_length}; expected at least 1")
        self.model, self.planner, self.cost = model, planner, cost
        self.sensors, self.context_length = tuple(sensors), context_length
        self.decision_seconds, self.device, self.clock = decision_seconds, torch.device(device), clock
        self.generators: list[torch.Generator] = []
        self.frames: list[list[dict[str, np.ndarray]]] = []
        self.done: list[list[np.ndarray]] = []
        self.fresh: list[bool] = []
        self.last_plan: Plan | None = None
        self._identity: str | None = None

    @property
    def identity(self) -> str:
        """Hash of weights, planner, cost and how they are used; of the kind of device too, which the latencies depend on."""
        if self._identity is None:
            settings = (self.sensors, self.context_length, self.decision_seconds, self.device.type)
            self._identity = "mpc-" + content_hash(self.model, self.planner, self.cost, settings)
        return self._identity

    def reset(self, seeds: Sequence[int], mask: np.ndarray | None = None) -> None:
        """Forget frames and plans: in every environment, or where the mask (B,) is True."""
        if mask is None:
            self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]
            self.frames = [[] for _ in seeds]
            self.done = [[] for _ in seeds]
            self.fresh = [True] * len(seeds)
            self.last_plan = None
            return
        for index, (seed, new) in enumerate(zip(seeds, mask, strict=True)):
            if new:
                self.generators[index] = torch.Generator().manual_seed(seed)
                self.frames[index], self.done[index] = [], []
                self.fresh[index] = True

    @torch.no_grad()
    def act(self, observations: Mapping[str, np.ndarray], envs: Sequence[gymnasium.Env] = ()) -> np.ndarray:
        """First actions (B, A) float32 of the plans for observations (B, ...); `envs` are not looked at."""
        begun = self.clock()
        context = self.model.encode(self._observed(observations))  # (B, T, K, D)
        plan = self.planner.plan(
            self._remembering(context.shape[1]),
            context,
            self.cost,
            generators=self.generators,
            warm_start=self._warm_start(),
            deadline=None if self.decision_seconds is None else begun + self.decision_seconds,
        )
        self.last_plan = plan
        self.fresh = [False] * len(self.fresh)
        actions = plan.actions[:, 0].float().cpu().numpy()
        for done, action in zip(self.done, actions, strict=True):
            done.append(action)
            del done[: -self.context_length]
        return actions

    def _remembering(self, num_frames: int) -> WorldModel:
        """The model, told of the actions between its frames of context when there are several."""
        if num_frames == 1:
            return self.model
        past = np.stack([np.stack(done[-(num_frames - 1) :]) for done in self.done])  # (B, T - 1, A)
        return Remembering(self.model, torch.from_numpy(past).to(self.device))

    def _observed(self, observations: Mapping[str, np.ndarray]) -> Observation:
        """The newest frames as tensors (B, T, ...), with as many frames as every environment has seen, at most the context."""
        sizes = {key: len(observations[key]) for key in self.sensors if key in observations}
        if any(size != len(self.frames) for size in sizes.values()):
            raise MismatchError(f"reset() began {len(self.frames)} environments, and act() sees {sizes}; they must be as many")
        for index, frames in enumerate(self.frames):
            frames.append({key: np.asarray(observations[key][index]) for key in self.sensors if key in observations})
            del frames[: -self.context_length]
        length = min(len(frames) for frames in self.frames)
        stacked = {
            key: np.stack([np.stack([frame[key] for frame in frames[-length:]]) for frames in self.frames])
            for key in self.frames[0][0]
        }
        return to_observation(stacked, self.sensors, self.device)

    def _warm_start(self) -> Tensor | None:
        """The previous plans, one step on; None when every environment has just begun.

        An environment that has just begun among others tries the action of zeros in place of another episode's plan.
        """
        if self.last_plan is None or all(self.fresh):
            return None
        warm = self.last_plan.shifted()
        fresh = torch.tensor(self.fresh, device=warm.device)[:, None, None]
        return torch.where(fresh, torch.zeros_like(warm), warm)
