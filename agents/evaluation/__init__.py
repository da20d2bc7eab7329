"""Scores that can be trusted: the protocol, the episodes that are played, what is kept of them, violations of expectation."""
