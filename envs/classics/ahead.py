"""Goals from recorded trajectories: begin at one of their states, with a later one as the goal, as LeWM and DINO-WM evaluate.

options = goal_ahead(episode.observations["state"], start=10)      # the state 25 steps on
observation, info = env.reset(seed=0, options=options)
env.unwrapped.goal_pixels                                          # (size, size, 3) uint8
"""

from __future__ import annotations

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
