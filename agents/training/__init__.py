"""From a dataset to a run folder: the stages of training, what is measured in them, and what opens a run again."""
