"""What the robot does: it plans in a learned world model, is measured against floor and ceiling, and shows what it did.

planners + costs -> mpc -> evaluate -> report;   cli.py is the only file that knows every part of the project
"""
