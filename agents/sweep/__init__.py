"""Many runs from one file: what W&B calls a sweep, run here and without a server.

space.py (file -> trials) -> trial.py (a trial's run) -> table.py (what came out) -> command.py (all of it)
summary.py: a finished trial, told to W&B's agent
"""
