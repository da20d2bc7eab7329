"""Macro-actions that a robot executes closed loop: a sweep, and a pick and place."""
