"""Small worlds and models whose right answers are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium
import numpy as np
import torch
from torch import Tensor

from worldmodel.types import ActionSpec, Observation

ABSENT, TABLE, BIN, FLOOR = 0, 1, 2, 3


def action_spec(dim: int = 2, bound: float = 1.0) -> ActionSpec:
    """Actions of `dim` numbers in [-bound, bound]."""
    return ActionSpec(names=tuple(f"a{i}" for i in range(dim)), low=(-bound,) * dim, high=(bound,) * dim)


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Integrator:
    """A world whose best plan is known: the state is the sum of the actions. One token a frame, as wide as an action."""

    def __init__(self, clock: Clock | None = None, seconds: float = 0.0) -> None:
        self.clock, self.seconds = clock, seconds
        self.num_rollouts: list[int] = []

    def encode(self, obs: Observation) -> Tensor:
        """The state itself, (B, T, 1, A)."""
        return obs["state"][:, :, None]

    def rollout(self, context: Tensor, actions: Tensor, past_actions: Tensor | None = None) -> Tensor:
        """(B, N, H, 1, A); each candidate costs `seconds` of the clock."""
        if self.clock is not None:
            self.clock.now += self.seconds * actions.shape[1]
        self.num_rollouts.append(actions.shape[1])
        return (context[:, -1, 0][:, None, None] + actions.cumsum(dim=2))[:, :, :, None]


@dataclass(frozen=True)
class SquaredDistance:
    """Squared distance of the last state to a target (A,) or (B, A)."""

    target: Tensor

    def __call__(self, rollout: Tensor, actions: Tensor) -> Tensor:
        """(B, N)."""
        target = self.target if self.target.ndim == 1 else self.target[:, None]
        return (rollout[:, :, -1, 0] - target).square().sum(dim=-1)


@dataclass(frozen=True)
class TwoModes:
    """First actions near -0.7 or +0.7 (all elements) cost nothing, between the two they cost 1: their mean is useless."""

    width: float = 0.1

    def __call__(self, rollout: Tensor, actions: Tensor) -> Tensor:
        """(B, N)."""
        first = actions[:, :, 0]
        near = [(first - centre).square().sum(dim=-1) for centre in (-0.7, 0.7)]
        return 1 - torch.stack([torch.exp(-d / (2 * self.width**2)) for d in near]).sum(dim=0)


class LineWorld(gymnasium.Env):
    """Objects on a line. An action (place, side) hits the objects within `reach` of its place: side >= 0 clears, < 0 drops.

    A quarter of the starts are solved already.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}
    instruction = "clear the line"
    slots, reach = 3, 0.15

    def __init__(self, num_objects: int = 2, max_sweeps: int = 4) -> None:
        self.num_objects, self.max_sweeps = num_objects, max_sweeps
        box = gymnasium.spaces.Box
        self.observation_space = gymnasium.spaces.Dict(
            pixels=box(0, 255, (8, 8, 3), np.uint8), state=box(-4, 4, (2 * self.slots,), np.float32)
        )
        self.action_space = box(-1, 1, (2,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """Objects at places that are at least two reaches apart."""
        super().reset(seed=seed)
        rng = self.np_random
        self.place = np.zeros(self.slots)
        self.status = np.zeros(self.slots, np.int64)
        self.place[: self.num_objects] = rng.permutation(np.linspace(-0.8, 0.8, 5))[: self.num_objects]
        self.status[: self.num_objects] = BIN if rng.uniform() < 0.25 or (options or {}).get("goal") else TABLE
        self.count = 0
        return self._observe(), self._info()

    def step(self, action: np.ndarray):
        """Hit what is within reach."""
        hit = (np.abs(self.place - action[0]) < self.reach) & (self.status == TABLE)
        self.status = np.where(hit, BIN if action[1] >= 0 else FLOOR, self.status)
        self.count += 1
        info = self._info()
        terminated = not np.any(self.status == TABLE)
        return self._observe(), float(hit.sum()), terminated, not terminated and self.count >= self.max_sweeps, info

    def expert_action(self, rng: np.random.Generator) -> np.ndarray:
        """Clears the first object that is left."""
        place = self.place[self.status == TABLE]
        return np.array([place[0] if len(place) else 0.0, 1.0], np.float32)

    def aimed_action(self, rng: np.random.Generator) -> np.ndarray:
        """Near an object that is left, on either side."""
        left = self.place[self.status == TABLE]
        place = (rng.choice(left) if len(left) else 0.0) + rng.normal(0, 0.05)
        return np.array([place, rng.uniform(-0.5, 1)], np.float32).clip(-1, 1)

    def _observe(self) -> dict[str, np.ndarray]:
        pixels = np.zeros((8, 8, 3), np.uint8)
        pixels[self.status, ((self.place + 1) * 3.9).astype(int)] = 255
        return {"pixels": pixels, "state": np.concatenate([self.place, self.status]).astype(np.float32)}

    def _info(self) -> dict[str, Any]:
        return {
            "success": bool(np.all(self.status[: self.num_objects] == BIN)),
            "num_objects": self.num_objects,
            "num_cleared": int(np.sum(self.status == BIN)),
            "num_dropped": int(np.sum(self.status == FLOOR)),
            "status": self.status.copy(),
            "position": np.stack([self.place, np.zeros(self.slots)], axis=1).astype(np.float32),
        }


class LineModel:
    """The exact model of LineWorld: K objects of width 2 (place, status)."""

    def encode(self, obs: Observation) -> Tensor:
        """(B, T, K, 2)."""
        return torch.stack(obs["state"].chunk(2, dim=-1), dim=-1)

    def rollout(self, context: Tensor, actions: Tensor, past_actions: Tensor | None = None) -> Tensor:
        """(B, N, H, K, 2)."""
        place = context[:, -1, :, 0][:, None].expand(-1, actions.shape[1], -1)  # (B, N, K)
        status = context[:, -1, :, 1][:, None].expand_as(place)
        frames = []
        for where, side in (action.unbind(-1) for action in actions.unbind(dim=2)):  # each (B, N)
            hit = ((place - where[..., None]).abs() < LineWorld.reach) & (status == TABLE)
            outcome = torch.where(side >= 0, float(BIN), float(FLOOR))[..., None]
            status = torch.where(hit, outcome, status)
            frames.append(torch.stack([place, status], dim=-1))
        return torch.stack(frames, dim=2)


class LineHead:
    """Reads LineModel's latents: certain of every status."""

    def __call__(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (..., K, 4), positions (..., K, 2)."""
        logits = 50.0 * torch.nn.functional.one_hot(latent[..., 1].long(), 4).float()
        return logits, torch.stack([latent[..., 0], torch.zeros_like(latent[..., 0])], dim=-1)


def generators(*seeds: int) -> list[torch.Generator]:
    """One generator a seed."""
    return [torch.Generator().manual_seed(seed) for seed in seeds]
