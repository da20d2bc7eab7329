"""Rollouts into a dataset: who plays which episode, in which process, and who writes it down."""
