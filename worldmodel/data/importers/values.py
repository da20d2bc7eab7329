"""Arrays of a source made into what a dataset holds, refused in one line where that would change them."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pyarrow as pa

from worldmodel.data.importers.base import Values
from worldmodel.data.importers.mapping import Unit
from worldmodel.errors import DataError


def rows(values: Values, what: str) -> np.ndarray:
    """The rows of a field as an array of numbers, (rows, ...).

    Raises:
        DataError: rows of different shapes, or no numbers.
    """
    try:
        array = np.asarray(values)
    except ValueError as error:  # what numpy says to lists of different lengths
        raise DataError(f"{what} is ragged: its rows have different shapes") from error
    if array.dtype == object:
        raise DataError(f"{what} is ragged or holds missing values; expected numbers in rows of one shape")
    if array.dtype.kind not in "biuf":
        raise DataError(f"{what} is {array.dtype}; expected numbers")
    if array.ndim == 0:
        raise DataError(f"{what} is a single value; expected one row a frame")
    return array


def finite(values: np.ndarray, what: str) -> np.ndarray:
    """The same values. Raises DataError, with the first bad row, when one is NaN or infinite."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        bad = np.argwhere(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))[0, 0]
        raise DataError(f"{what} holds NaN or infinity in row {bad}; expected finite numbers")
    return values


def scaled(values: np.ndarray, unit: Unit) -> np.ndarray:
    """value * scale + offset, in float64; the same array when there is nothing to do."""
    if unit.scale == 1.0 and unit.offset == 0.0:
        return values
    shape = values.shape[1:]
    scale, offset = (np.broadcast_to(np.asarray(x, np.float64), (int(np.prod(shape)),)) for x in (unit.scale, unit.offset))
    return values.astype(np.float64) * scale.reshape(shape) + offset.reshape(shape)


def to_float32(values: np.ndarray, what: str) -> np.ndarray:
    """As float32. Raises DataError for integers and numbers that float32 does not have."""
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32)
    if values.dtype.kind in "iu" and not np.array_equal(narrow.astype(np.float64), values.astype(np.float64)):
        raise DataError(
            f"{what} holds {values.dtype} numbers that float32 cannot hold; scale it in the map, or make it a label"
        )
    if not np.isfinite(narrow).all():
        raise DataError(f"{what} holds numbers beyond the range of float32; scale it in the map")
    return narrow


def between(actions: np.ndarray, every: int, rule: Literal["sum", "last", "stack"]) -> np.ndarray:
    """Actions between kept frames: (n * every, A) -> (n, A), or (n, every * A) when stacked."""
    groups = actions.reshape(-1, every, actions.shape[1])
    match rule:
        case "sum":
            return groups.sum(axis=1, dtype=np.float64).astype(np.float32)
        case "last":
            return groups[:, -1]
        case "stack":
            return groups.reshape(len(groups), -1)


def column_values(column: pa.ChunkedArray, shape: tuple[int, ...], what: str) -> np.ndarray:
    """A parquet column of numbers or of lists of them as rows, (rows, *shape).

    Raises:
        DataError: missing values, no numbers, or rows of another shape.
    """
    array: Any = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    if isinstance(array, pa.ExtensionArray):  # Hugging Face's Array2D and up
        array = array.storage
    count, nulls = len(array), array.null_count
    while isinstance(array, (pa.ListArray, pa.LargeListArray, pa.FixedSizeListArray)):
        if not isinstance(array, pa.FixedSizeListArray) and len(set(np.diff(array.offsets.to_numpy()).tolist())) > 1:
            raise DataError(f"{what} is ragged: its rows have different lengths")
        array = array.flatten()
        nulls += array.null_count
    if nulls:
        raise DataError(f"{what} has {nulls} missing values; expected none")
    if not (pa.types.is_integer(array.type) or pa.types.is_floating(array.type) or pa.types.is_boolean(array.type)):
        raise DataError(f"{what} is {array.type}; expected numbers")
    if len(array) != count * int(np.prod(shape, dtype=int)):
        raise DataError(f"{what} has {len(array)} numbers in {count} rows; expected the shape {shape} a row")
    return array.to_numpy(zero_copy_only=False).reshape(count, *shape)
