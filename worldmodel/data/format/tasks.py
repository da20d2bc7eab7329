"""meta/tasks.parquet: each task in words and its number."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from worldmodel.data.format.features import TASKS
from worldmodel.data.format.files import read_parquet


def read_tasks(root: Path) -> dict[str, int]:
    """Task in words -> its number, of the dataset in `root`.

    Raises:
        DataError: the file is missing or damaged.
    """
    table = read_parquet(root / TASKS, ["task", "task_index"])
    return dict(zip(table.column("task").to_pylist(), table.column("task_index").to_pylist(), strict=True))


def tasks_table(tasks: dict[str, int]) -> pa.Table:
    """tasks.parquet as pandas writes a frame that is indexed by the task, which is how LeRobot reads it."""
    table = pa.table({"task_index": pa.array(list(tasks.values()), pa.int64()), "task": pa.array(list(tasks), pa.string())})

    def column(name: str, kind: str, dtype: str) -> dict[str, Any]:
        return {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": dtype, "metadata": None}

    columns = [column("task_index", "int64", "int64"), column("task", "unicode", "object")]
    described = {"index_columns": ["task"], "column_indexes": [], "columns": columns, "pandas_version": "2.0.0"}
    return table.replace_schema_metadata({"pandas": json.dumps(described)})
