"""What is read off a frozen latent: progress (planning's cost), and a picture."""

from __future__ import annotations

from worldmodel.heads.config import HeadsConfig
from worldmodel.heads.fit import FittedHeads, fit_heads
from worldmodel.heads.labelled import LabelledWindows
from worldmodel.heads.picture import PictureHead, PictureHeadConfig
from worldmodel.heads.progress import (
    ABSENT,
    IN_BIN,
    ON_FLOOR,
    ON_TABLE,
    STATUS_NAMES,
    ProgressHead,
    ProgressHeadConfig,
)

__all__ = [
    "ABSENT",
    "IN_BIN",
    "ON_FLOOR",
    "ON_TABLE",
    "STATUS_NAMES",
    "FittedHeads",
    "HeadsConfig",
    "LabelledWindows",
    "PictureHead",
    "PictureHeadConfig",
    "ProgressHead",
    "ProgressHeadConfig",
    "fit_heads",
]
