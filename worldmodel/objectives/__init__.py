"""What the world model learns from: prediction in latent space, and what keeps the latent from collapsing."""

from __future__ import annotations

from worldmodel.objectives.contrastive import InfoNCEConfig
from worldmodel.objectives.ema import EMAConfig
from worldmodel.objectives.masked import MaskedConfig
from worldmodel.objectives.objective import Objective, ObjectiveConfig, build_objective
from worldmodel.objectives.sigreg import SIGRegConfig
from worldmodel.objectives.vicreg import VICRegConfig

__all__ = [
    "EMAConfig",
    "InfoNCEConfig",
    "MaskedConfig",
    "Objective",
    "ObjectiveConfig",
    "SIGRegConfig",
    "VICRegConfig",
    "build_objective",
]
