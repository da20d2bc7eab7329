"""Datasets in the formats of others: `worldmodel export DATA --to lerobot|minari --out DIR`.

base.py                          the folder that appears whole or not at all, and EXPORT.md, which says what is not in it
lerobot.py minari_store.py       one format each
"""

from __future__ import annotations

from worldmodel.data.exporters.base import EXPORT, Exported, export
from worldmodel.data.exporters.lerobot import LeRobot
from worldmodel.data.exporters.minari_store import MinariStore

TARGETS = {"lerobot": LeRobot, "minari": MinariStore}
"""Name on the command line -> format."""

__all__ = ["EXPORT", "TARGETS", "Exported", "LeRobot", "MinariStore", "export"]
