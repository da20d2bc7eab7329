"""What the world model learns from: prediction in latent space, and what keeps the latent from collapsing."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from worldmodel.checks import require_at_least
from worldmodel.jepa import JEPA
from worldmodel.objectives.inverse_dynamics import InverseDynamics
from worldmodel.objectives.prediction import prediction_errors
from worldmodel.objectives.sigreg import SIGReg, SIGRegConfig
from worldmodel.types import Window


@dataclass(frozen=True)
class ObjectiveConfig:
    """Weights of the terms, and how each is taken. A weight of zero costs nothing."""

    prediction_coef: float = 1.0
    """Squared error one action ahead, from real latents."""
    rollout_coef: float = 1.0
    """Squared error further ahead, from imagined latents."""
    rollout_steps: int = 2
    """Actions ahead; windows need one frame more."""
    stop_gradient_target: bool = False
    """Whether predictions may pull on their targets."""
    sigreg_coef: float = 0.05
    """Epps-Pulley statistic of the latents at each place."""
    sigreg: SIGRegConfig = field(default_factory=SIGRegConfig)
    """How finely that is tested."""
    inverse_dynamics_coef: float = 0.0
    """Squared error of the action read off two consecutive latents."""

    def __post_init__(self) -> None:
        """Raise ConfigError for a negative weight, or a rollout of no step."""
        require_at_least(self, 0, "prediction_coef", "rollout_coef", "sigreg_coef", "inverse_dynamics_coef")
        require_at_least(self, 1, "rollout_steps")


class Objective(nn.Module):
    """The weighted sum of the terms: objective(model, window, generator) -> (loss, terms)."""

    def __init__(self, config: ObjectiveConfig, model: JEPA) -> None:
        super().__init__()
        self.config = config
        self.sigreg = SIGReg(config.sigreg)
        self.inverse_dynamics = (
            InverseDynamics(model.encoder.num_tokens, model.config.encoder.token_dim, model.spec.action)
            if config.inverse_dynamics_coef > 0
            else None
        )

    def forward(self, model: JEPA, window: Window, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss (scalar) and its detached terms: pred, rollout, copy, sigreg and, where it is used, inverse."""
        c = self.config
        z = model.encode(window.observations)
        errors = prediction_errors(
            model, z, window.actions, c.rollout_steps if c.rollout_coef > 0 else 1, c.stop_gradient_target
        )
        loss = c.prediction_coef * errors.one_step + c.rollout_coef * errors.rollout
        terms = {"pred": errors.one_step, "rollout": errors.rollout, "copy": errors.copy}
        if c.sigreg_coef > 0:
            terms["sigreg"] = self.sigreg(z, generator)
            loss = loss + c.sigreg_coef * terms["sigreg"]
        if self.inverse_dynamics is not None:
            terms["inverse"] = self.inverse_dynamics(z, window.actions)
            loss = loss + c.inverse_dynamics_coef * terms["inverse"]
        return loss, {name: term.detach() for name, term in terms.items()}


def build_objective(config: ObjectiveConfig, model: JEPA) -> Objective:
    """The objective for a model. Its own parameters (inverse dynamics) are trained with the model's."""
    return Objective(config, model)


__all__ = ["Objective", "ObjectiveConfig", "SIGRegConfig", "build_objective"]
