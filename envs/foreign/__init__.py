"""Other people's worlds: any Gymnasium environment, seen the way this project's own are.

    env = make("shimmy:dm_control/point_mass-easy-v0", image_size=64, max_steps=200)
    observation, info = env.reset(seed=0)      # observation: pixels (64, 64, 3) uint8, proprio (P,) float32

making.py makes one by its id, world.py is what it becomes, sensing.py sorts its observation, drawing.py sees to its pictures.
"""

from __future__ import annotations

from envs.foreign.making import make
from envs.foreign.world import ForeignEnv

__all__ = ["ForeignEnv", "make"]
