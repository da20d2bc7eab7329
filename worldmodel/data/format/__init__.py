"""The dataset's files: LeRobotDataset v3.0, and what of it is ours.

features.py is the table's schema, frames.py turns an episode into rows and back, video.py turns large pictures into clips and
video_reader.py turns them back, episodes_table.py is what is known of an episode without reading it, statistics.py summarises
features, and files.py is what keeps a crash harmless. opening.py reads a meta folder of ours, foreign.py one that another
program wrote.
"""
