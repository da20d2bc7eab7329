"""The world model: an encoder, and a predictor that works on what the encoder says.

B batch   T time   H horizon   N candidates   K tokens a frame   D latent width   A action dim
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from worldmodel.checks import require_at_least
from worldmodel.encoder import EncoderConfig, build_encoder
from worldmodel.errors import ConfigError
from worldmodel.given import require_actions, require_observation
from worldmodel.nn.embodied import Body, embody
from worldmodel.nn.memory import ContextOf, Memory, reaches, take_rows
from worldmodel.normalisation import MeanStd
from worldmodel.predictor import Predictor, PredictorConfig
from worldmodel.types import Latent, Observation, WorldSpec


@dataclass(frozen=True)
class JEPAConfig:
    """Everything that shapes the model; with a WorldSpec it determines the weights' shapes."""

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    """Sensors -> latent."""
    predictor: PredictorConfig = field(default_factory=PredictorConfig)
    """Latent and action -> next latent."""
    sensors: tuple[str, ...] = ("pixels",)
    """Keys of the observation that the encoder reads, the camera that actions are calibrated for first among the pictures.
    Privileged ones are refused."""
    context_length: int = 1
    """Frames that a prediction sees, the same in training and planning."""
    context_of: ContextOf = "model"
    """Whether the model sees context_length frames, exactly and however long a window is, or each of its blocks does, as in
    published block-causal predictors. Blocks see further together: train those on windows no longer than the context."""
    rollout_chunk: int = 512
    """Candidates rolled out at a time, to bound memory."""
    embodiments: bool = False
    """Whether datasets with different actions and vectors may be mixed: each embodiment gets projections of its own for them,
    and its own normalisation of the latent; all share the rest."""

    def __post_init__(self) -> None:
        """Raise ConfigError for parts that do not fit each other."""
        require_at_least(self, 1, "context_length", "rollout_chunk")
        if len(set(self.sensors)) != len(self.sensors):
            raise ConfigError(f"sensors is {list(self.sensors)}; expected each sensor once")
        if self.encoder.output == "grid" and self.encoder.grid % self.predictor.merge:
            raise ConfigError(f"predictor.merge {self.predictor.merge} does not divide the grid of {self.encoder.grid} places")


class JEPA(nn.Module):
    """Joint-embedding predictive architecture: `encode`, `predict` (teacher forced) and `rollout` (open loop)."""

    def __init__(
        self,
        config: JEPAConfig,
        spec: WorldSpec,
        normalisation: Mapping[str, MeanStd] | None = None,
        others: Sequence[Body] = (),
    ) -> None:
        """`spec` is the world as the model sees it; `normalisation` of its vectors comes from the dataset or the manifest.

        `others` are further embodiments, numbered from 1 on.
        """
        super().__init__()
        self.bodies = (Body(spec, normalisation or {}), *others)
        if others and not config.embodiments:
            raise ConfigError("several embodiments need model.embodiments: true")
        self.embodiment = 0
        self.encoder = build_encoder(config.encoder, config.sensors, self.bodies)
        # what was read from a pretrained network's folder is part of the configuration from now on
        self.config = dataclasses.replace(config, encoder=getattr(self.encoder, "resolved", config.encoder))
        self.predictor = Predictor(
            config.predictor,
            [body.spec.action for body in self.bodies],
            self.encoder.layout,
            config.encoder.token_dim,
            reaches(config.predictor.depth, config.context_length, config.context_of),
        )

    @property
    def spec(self) -> WorldSpec:
        """The world of the current embodiment, as the model sees it."""
        return self.bodies[self.embodiment].spec

    def embody(self, number: int) -> None:
        """Be the embodiment of this number from now on. MismatchError for one that it does not have."""
        if number != self.embodiment or number >= len(self.bodies):
            embody(self, number, len(self.bodies))
            self.embodiment = number

    def encode(self, obs: Observation) -> Latent:
        """Latents of observed frames, (B, T, K, D). MismatchError for frames that are not as they were recorded."""
        require_observation(obs, self.config.sensors, self.spec, self.encoder.optional)
        return self.encoder(obs)

    def predict(self, z: Latent, actions: Tensor) -> Latent:
        """Latent after each frame given the real ones up to it: (B, T, K, D), (B, T, A) -> (B, T, K, D)."""
        require_actions(z, actions, "(B, T, A)", (*z.shape[:2], self.spec.action.dim))
        if self.predictor.context_length == 1:  # frames do not see each other: fold them into the batch
            return self.predictor(z.flatten(0, 1).unsqueeze(1), actions.flatten(0, 1).unsqueeze(1)).view(z.shape)
        return self.predictor(z, actions)

    def step(self, z: Latent, actions: Tensor) -> Tensor:
        """Latent after the last frame: history (B, T, K, D) and its actions (B, T, A) -> (B, K, D)."""
        past = self._remember(z, actions[:, :-1])
        return self.predictor.advance(z[:, -1], actions[:, -1], past, z.shape[1] - 1)[0]

    def rollout(self, context: Latent, actions: Tensor, past_actions: Tensor | None = None) -> Latent:
        """Latents after each action, (B, N, H, K, D), for context (B, T, K, D) and actions (B, N, H, A).

        All N candidates start from the same context, which is computed once for all of them. `past_actions` (B, T - 1, A)
        are those between the context's frames: needed when the model sees more than one of them.
        """
        require_actions(context, actions, "(B, N, H, A)", (len(context), -1, -1, self.spec.action.dim))
        num_batch, num_candidates, horizon, _ = actions.shape
        num_seen = min(self.config.context_length, context.shape[1])
        if num_seen > 1 and past_actions is None:
            raise ValueError(f"a context of {num_seen} frames needs the past_actions between them; give them, or one frame")
        shared = self._remember(context, past_actions if past_actions is not None else actions[:, 0, :0])
        first, newest = context.shape[1] - 1, context[:, -1]
        flat = actions.flatten(0, 1)  # (B*N, H, A)
        of_row = torch.arange(num_batch, device=actions.device).repeat_interleave(num_candidates)
        parts = [
            self._rollout_rows(newest[of_row[rows]], take_rows(shared, of_row[rows]), flat[rows], first)
            for rows in torch.arange(len(flat), device=actions.device).split(self.config.rollout_chunk)
        ]
        return torch.cat(parts).view(num_batch, num_candidates, horizon, *context.shape[2:])

    def _rollout_rows(self, z: Tensor, memory: Memory, actions: Tensor, frame: int) -> Tensor:
        """z (R, K, D), the memory of the frames before it, actions (R, H, A) -> (R, H, K, D)."""
        imagined = []
        for h in range(actions.shape[1]):
            z, memory = self.predictor.advance(z, actions[:, h], memory, frame + h)
            imagined.append(z)
        return torch.stack(imagined, dim=1)

    def _remember(self, z: Latent, past_actions: Tensor) -> Memory:
        """Memory of all frames of z (B, T, K, D) but the last, given the actions (B, T - 1, A) between them."""
        if self.predictor.context_length == 1 or z.shape[1] == 1:
            return (None,) * len(self.predictor.blocks)
        return self.predictor.remember(z[:, :-1], past_actions)

    @property
    def picture(self) -> str:
        """Key of the camera whose pictures are drawn from latents. Raises ConfigError for a model without a camera."""
        if self.encoder.image is None:
            raise ConfigError(f"no camera among the sensors {list(self.config.sensors)}; heads and reports need one")
        return self.encoder.image

    @property
    def num_parameters(self) -> int:
        """Number of weights, those of frozen parts included."""
        return sum(p.numel() for p in self.parameters())
