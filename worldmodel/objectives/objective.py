"""The objective: the weighted sum of its terms over one window of frames.

B batch   T time   K tokens a frame   D latent width
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Literal

import torch
from torch import Tensor, nn

from worldmodel.checks import require_at_least
from worldmodel.errors import ConfigError
from worldmodel.jepa import JEPA
from worldmodel.nn.embodied import embody, per_body
from worldmodel.objectives.contrastive import InfoNCE, InfoNCEConfig, embedding_of
from worldmodel.objectives.ema import EMAConfig, EMATarget
from worldmodel.objectives.inverse_dynamics import InverseDynamics
from worldmodel.objectives.latent_actions import LatentActions
from worldmodel.objectives.masked import MaskedConfig, MaskedPrediction
from worldmodel.objectives.prediction import ErrorName, prediction_errors
from worldmodel.objectives.sigreg import SIGReg, SIGRegConfig
from worldmodel.objectives.similarity import difference
from worldmodel.objectives.straightening import curvature
from worldmodel.objectives.vicreg import VICRegConfig, variance_and_covariance
from worldmodel.types import Window


@dataclass(frozen=True)
class ObjectiveConfig:
    """Weights of the terms, and how each is taken. A weight of zero costs nothing."""

    prediction_coef: float = 1.0
    """Error one action ahead, from real latents."""
    rollout_coef: float = 1.0
    """Error further ahead, from imagined latents."""
    actions: Literal["recorded", "inferred"] = "recorded"
    """Which actions predictions are told: those that were recorded, or latent ones, inferred from the two frames that each lies
    between. The latter is pretraining on films of a robot, whose recorded actions, if any, are not looked at by the loss."""
    error: ErrorName = "squared"
    """Which error that is: the mean of squared differences, or of absolute ones (V-JEPA 2-AC)."""
    rollout_steps: int = 2
    """Actions ahead; windows need one frame more."""
    rollout_gradient: Literal["through", "stopped"] = "through"
    """Whether an error teaches all the imagined steps before it, or only the one it belongs to."""
    target: Literal["online", "ema"] = "online"
    """What predictions aim at: the encoder's latents, or those of a copy that slowly follows it, without gradient."""
    ema: EMAConfig = field(default_factory=EMAConfig)
    """How slowly."""
    stop_gradient_target: bool = False
    """Whether predictions may pull on their targets."""
    sigreg_coef: float = 0.05
    """Epps-Pulley statistic of the latents at each place."""
    sigreg: SIGRegConfig = field(default_factory=SIGRegConfig)
    """How finely that is tested."""
    variance_coef: float = 0.0
    """VICReg's hinge on the standard deviation of each channel."""
    covariance_coef: float = 0.0
    """VICReg's squared covariances between channels."""
    vicreg: VICRegConfig = field(default_factory=VICRegConfig)
    """How much spread is enough."""
    inverse_dynamics_coef: float = 0.0
    """Squared error of the actions read off two latents."""
    inverse_dynamics_steps: int = 1
    """Actions between those two latents: 1 for neighbours, train.num_frames - 1 for the first and the last."""
    similarity_coef: float = 0.0
    """Squared difference of consecutive latents: keeps them slow."""
    straightening_coef: float = 0.0
    """One minus the cosine of consecutive latent velocities; windows need three frames."""
    contrastive_coef: float = 0.0
    """InfoNCE between latents and the embedding of the instruction."""
    contrastive: InfoNCEConfig = field(default_factory=InfoNCEConfig)
    """Which embedding, and how sharply."""
    masked_coef: float = 0.0
    """Absolute error of the latents of hidden places, from those of the visible ones; actions are not looked at. With
    prediction_coef and rollout_coef at 0 this is pretraining on films: the predictor is not trained."""
    masked: MaskedConfig = field(default_factory=MaskedConfig)
    """What is hidden, and what predicts it."""

    def __post_init__(self) -> None:
        """Raise ConfigError for a negative weight, or a rollout of no step."""
        require_at_least(self, 0, "prediction_coef", "rollout_coef", "sigreg_coef", "inverse_dynamics_coef")
        require_at_least(self, 0, "variance_coef", "covariance_coef", "straightening_coef", "contrastive_coef", "masked_coef")
        require_at_least(self, 0, "similarity_coef")
        require_at_least(self, 1, "rollout_steps", "inverse_dynamics_steps")

        if self.actions == "inferred" and not self.predicts:
            raise ConfigError("actions is inferred, and nothing is predicted from them; raise prediction_coef or rollout_coef")
        if self.actions == "inferred" and self.inverse_dynamics_coef > 0:
            raise ConfigError(
                "actions is inferred, and inverse_dynamics_coef would look at the recorded ones; expected one of the two"
            )
        if not any(getattr(self, each.name) for each in fields(self) if each.name.endswith("_coef")):
            raise ConfigError("every weight is 0: nothing would be learned; set one, such as prediction_coef")

    @property
    def predicts(self) -> bool:
        """Whether the predictor is trained."""
        return self.prediction_coef > 0 or self.rollout_coef > 0

    @property
    def plans(self) -> bool:
        """Whether the model learns what the robot's actions do; without, it is one to begin from (train.init_from)."""
        return self.predicts and self.actions == "recorded"

    @property
    def num_frames(self) -> int:
        """Frames that a window needs for the terms in use."""
        needed = [2]
        if self.rollout_coef > 0:
            needed.append(self.rollout_steps + 1)
        if self.inverse_dynamics_coef > 0:
            needed.append(self.inverse_dynamics_steps + 1)
        if self.straightening_coef > 0:
            needed.append(3)
        return max(needed)


class Objective(nn.Module):
    """The weighted sum of the terms: objective(model, window, generator) -> (loss, terms)."""

    def __init__(self, config: ObjectiveConfig, model: JEPA) -> None:
        super().__init__()
        self.config = config
        num_tokens, token_dim = model.encoder.num_tokens, model.config.encoder.token_dim
        self.sigreg = SIGReg(config.sigreg)
        self.inverse_dynamics = (
            per_body(
                [
                    InverseDynamics(num_tokens, token_dim, body.spec.action, steps=config.inverse_dynamics_steps)
                    for body in model.bodies
                ]
            )
            if config.inverse_dynamics_coef > 0
            else None
        )
        self.latent_actions = (
            per_body([LatentActions(num_tokens, token_dim, body.spec.action) for body in model.bodies])
            if config.actions == "inferred"
            else None
        )
        self.contrastive = InfoNCE(config.contrastive, num_tokens, token_dim) if config.contrastive_coef > 0 else None
        self.ema = EMATarget(config.ema, model.encoder) if config.target == "ema" else None
        self.masked = MaskedPrediction(config.masked, model.encoder, token_dim) if config.masked_coef > 0 else None

    def forward(self, model: JEPA, window: Window, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss (scalar) and its detached terms: pred, rollout and copy, masked, and the regularisers, where they are used."""
        c = self.config
        if len(model.bodies) > 1:
            model.embody(window.embodiment)
            embody(self, window.embodiment, len(model.bodies))
        z = model.encode(window.observations)
        target = self.ema(window.observations) if self.ema is not None else None
        loss, terms = z.new_zeros(()), {}
        if c.predicts:
            errors = prediction_errors(
                model,
                z,
                window.actions if self.latent_actions is None else self.latent_actions(z),
                c.rollout_steps if c.rollout_coef > 0 else 1,
                c.stop_gradient_target,
                target=target,
                stop_gradient_steps=c.rollout_gradient == "stopped",
                error=c.error,
            )
            loss = c.prediction_coef * errors.one_step + c.rollout_coef * errors.rollout
            terms = {"pred": errors.one_step, "rollout": errors.rollout, "copy": errors.copy}
        if self.masked is not None:
            terms["masked"] = self.masked(model.encoder, window.observations, z if target is None else target, generator)
            loss = loss + c.masked_coef * terms["masked"]
        for name, (coef, term) in self._regularisers(z, window, generator).items():
            terms[name] = term
            loss = loss + coef * term
        return loss, {name: term.detach() for name, term in terms.items()}

    @property
    def weighted(self) -> frozenset[str]:
        """Names of the terms with a weight, which are learned from; the others (copy, say) are told for comparison."""
        c = self.config
        coefs = {
            "pred": c.prediction_coef,
            "rollout": c.rollout_coef,
            "masked": c.masked_coef,
            "sigreg": c.sigreg_coef,
            "variance": c.variance_coef,
            "covariance": c.covariance_coef,
            "inverse": c.inverse_dynamics_coef,
            "similarity": c.similarity_coef,
            "curvature": c.straightening_coef,
            "contrastive": c.contrastive_coef,
        }
        return frozenset(name for name, coef in coefs.items() if coef > 0)

    def after_update(self, model: JEPA, step: int, num_steps: int) -> None:
        """What follows the weights after update `step` (1 ... num_steps): the trainer calls it."""
        if self.ema is not None:
            self.ema.follow(model.encoder, step, num_steps)

    def _regularisers(self, z: Tensor, window: Window, generator: torch.Generator) -> dict[str, tuple[float, Tensor]]:
        """Weight and value of each further term in use, for latents z (B, T, K, D)."""
        c = self.config
        found: dict[str, tuple[float, Tensor]] = {}
        if c.sigreg_coef > 0:
            found["sigreg"] = c.sigreg_coef, self.sigreg(z, generator)
        if c.variance_coef > 0 or c.covariance_coef > 0:
            variance, covariance = variance_and_covariance(z, c.vicreg)
            found["variance"], found["covariance"] = (c.variance_coef, variance), (c.covariance_coef, covariance)
        if self.inverse_dynamics is not None:
            found["inverse"] = c.inverse_dynamics_coef, self.inverse_dynamics(z, window.actions)
        if c.similarity_coef > 0:
            found["similarity"] = c.similarity_coef, difference(z)
        if c.straightening_coef > 0:
            found["curvature"] = c.straightening_coef, curvature(z)
        if self.contrastive is not None:
            found["contrastive"] = c.contrastive_coef, self.contrastive(z, embedding_of(window, c.contrastive))
        return found


def build_objective(config: ObjectiveConfig, model: JEPA) -> Objective:
    """The objective for a model. Its own parameters (inverse dynamics, say) are trained with the model's."""
    return Objective(config, model)
