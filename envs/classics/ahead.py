"""Goals from trajectories: begin at one of their states, with a later one as the goal, as LeWM and DINO-WM evaluate.

options = goal_ahead(episode.observations["state"], start=10)      # the state 25 steps on
observation, info = env.reset(seed=0, options=options)
env.unwrapped.goal_pixels                                          # (size, size, 3) uint8
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

GOAL_OFFSET = 25
"""Steps between a start and its goal on a recorded trajectory (LeWM; DINO-WM's planning horizon)."""


def goal_ahead(states: np.ndarray, start: int, offset: int = GOAL_OFFSET) -> dict[str, np.ndarray]:
    """Reset options that begin at recorded state `start` of (T + 1, S) with the state `offset` steps later as the goal.

    ValueError when the trajectory ends before.
    """
    if not 0 <= start <= len(states) - 1 - offset:
        raise ValueError(f"start {start} and {offset} steps more do not fit a trajectory of {len(states)} states")
    return {"state": states[start], "goal_state": states[start + offset]}


class Walker(Protocol):
    """A world that can be walked in."""

    def set_goal(self, goal: np.ndarray) -> None:
        """Make a state (S,) the goal."""
        ...

    def set_state(self, state: np.ndarray) -> None:
        """Put the world into a state (S,)."""
        ...

    def state(self) -> np.ndarray:
        """The state (S,) as it is."""
        ...

    def act(self, action: np.ndarray) -> None:
        """Simulate one step of a valid action (A,)."""
        ...

    def expert_action(self, rng: np.random.Generator) -> np.ndarray:
        """The scripted expert's action (A,)."""
        ...

    def aimed_action(self, rng: np.random.Generator) -> np.ndarray:
        """A noisy action (A,)."""
        ...


def walked_ahead(world: Walker, start: np.ndarray, goal: np.ndarray, steps: int, rng: np.random.Generator) -> np.ndarray:
    """The state (S,) after `steps` from `start` on the way to `goal`: each action the expert's or an aimed one, by a coin."""
    world.set_goal(goal)
    world.set_state(start)
    for _ in range(steps):
        world.act(world.expert_action(rng) if rng.random() < 0.5 else world.aimed_action(rng))
    return world.state()
