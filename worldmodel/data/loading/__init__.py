"""A dataset into batches: cache.py holds its frames, index.py finds its windows, windows.py and stream.py read them, sampler.py
and mixture.py choose among them, batches.py hands them to training.
"""
