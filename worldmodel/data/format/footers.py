"""Footers of parquet files, kept: with a row group an episode one is thousands of entries long and takes 0.1 s to parse."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq


@dataclass(frozen=True)
class Footer:
    """What a parquet file says of itself."""

    metadata: pq.FileMetaData
    """For `pq.ParquetFile(path, metadata=...)`, which then parses nothing."""
    ends: np.ndarray
    """(G,) int64: number of rows up to and including each row group."""

    @property
    def num_rows(self) -> int:
        """Rows of the file."""
        return int(self.ends[-1]) if len(self.ends) else 0

    def groups(self, start: int, stop: int) -> tuple[list[int], int]:
        """The row groups that hold the rows [start, stop), and the number of the first row in them."""
        first, last = np.searchsorted(self.ends, [start, stop - 1], side="right")
        return list(range(first, last + 1)), int(self.ends[first - 1]) if first else 0


def footer(path: Path) -> Footer:
    """The footer of a file as it is now; parsed again when the file has changed. Raises what pyarrow raises."""
    stat = path.stat()
    return _footer(path, stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=64)
def _footer(path: Path, mtime: int, size: int) -> Footer:
    metadata = pq.read_metadata(path)
    ends = np.cumsum([metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)], dtype=np.int64)
    return Footer(metadata, ends)
