"""Choosing among episodes: quality.py measures them, expression.py reads a condition, curate.py makes a view."""
