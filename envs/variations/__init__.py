"""Factors of variation: what differs between episodes besides the task, in training and held out."""

from envs.variations.factors import FACTORS
from envs.variations.variations import Variations, VariationsConfig

__all__ = ["FACTORS", "Variations", "VariationsConfig"]
