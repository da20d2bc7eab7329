"""A program that decodes episodes into a cache that another process is building; see cache_processes.py.

It reads the job, a line of JSON, and then lines of "first episode, episode after the last, row of the first frame". After
each it prints how many frames it has written, or what went wrong, and it ends with its input.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import numpy as np

from worldmodel.data.dataset import Dataset
from worldmodel.data.format.files import one_line
from worldmodel.data.loading.cache_build import fill
from worldmodel.errors import DataError
from worldmodel.progress import NoProgress


def main() -> None:
    """Work until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the builder, which ends this one
    job = json.loads(sys.stdin.readline() or "{}")
    if not job:
        return
    ds: Dataset | None = None
    for line in sys.stdin:
        first, stop, row = map(int, line.split())
        try:
            if ds is None:
                ds = Dataset.open(job["root"])
                if ds.fingerprint != job["fingerprint"]:
                    raise DataError(f"{job['root']} has changed while its cache was being built; build it again")
            piece = ds.select(np.arange(first, stop))
            fill(piece, job["columns"], Path(job["part"]), job["files"], job["image_size"], row, NoProgress())
            print(json.dumps({"done": piece.num_frames}), flush=True)
        except (DataError, OSError) as error:
            print(json.dumps({"error": one_line(error)}), flush=True)


if __name__ == "__main__":
    main()
