"""Fits a world model to recorded windows, and keeps what comes out: the loop, its resuming, the checkpoint, the log."""
