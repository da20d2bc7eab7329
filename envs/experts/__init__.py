"""Scripted policies over privileged state: the ceiling of every score table, and the aimed actions of recorded data."""

from envs.experts.sweeping import CLEARANCE, SWEEP_X_MAX, SWEEP_Y_MAX, Placed, aimed_sweep, clear_by_sweeps

__all__ = ["CLEARANCE", "SWEEP_X_MAX", "SWEEP_Y_MAX", "Placed", "aimed_sweep", "clear_by_sweeps"]
