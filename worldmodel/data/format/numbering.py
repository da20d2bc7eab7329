"""Files of a dataset are numbered through all chunk folders, and so are its frames, episodes and tasks."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import pyarrow as pa

from worldmodel.data.format.features import CHUNK_FILES

N = TypeVar("N", int, np.ndarray)


def numbered(pattern: str, number: int, video_key: str = "") -> str:
    """The path of file `number`, relative to the dataset, by a pattern such as DATA_PATH."""
    return pattern.format(video_key=video_key, chunk_index=number // CHUNK_FILES, file_index=number % CHUNK_FILES)


def place_of(folder: str, number: N) -> dict[str, N]:
    """Columns of the episode rows that say in which file of a folder (data, meta/episodes, videos/KEY) an episode is."""
    return {f"{folder}/chunk_index": number // CHUNK_FILES, f"{folder}/file_index": number % CHUNK_FILES}


def with_numbers(table: pa.Table, name: str, values: np.ndarray) -> pa.Table:
    """The table with these whole numbers in a column that it has."""
    place = table.schema.get_field_index(name)
    return table.set_column(place, table.schema.field(place).with_type(pa.int64()), pa.array(values, pa.int64()))
