"""A finalized dataset of ten tiny episodes."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_world import record_into

from worldmodel.data import Dataset, finalize


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A finalized dataset of ten episodes."""
    record_into(tmp_path / "data", range(10))
    finalize(tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def dataset(root: Path) -> Dataset:
    return Dataset.open(root)
