"""The world model: an encoder, and a predictor that works on what the encoder says.

B batch   T time   H horizon   N candidates   K tokens a frame   D latent width   A action dim
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from worldmodel.checks import require_at_least
from worldmodel.encoder import EncoderConfig, TokenEncoder
from worldmodel.errors import ConfigError
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
    """Keys of the observation that the encoder reads: one image, and any vectors. Privileged ones are refused."""
    context_length: int = 1
    """Frames that a prediction sees, the same in training and planning."""
    rollout_chunk: int = 512
    """Candidates rolled out at a time, to bound memory."""

    def __post_init__(self) -> None:
        """Raise ConfigError for parts that do not fit each other."""
        require_at_least(self, 1, "context_length", "rollout_chunk")
        if len(set(self.sensors)) != len(self.sensors):
            raise ConfigError(f"sensors is {list(self.sensors)}; expected each sensor once")
        if self.encoder.grid % self.predictor.merge:
            raise ConfigError(f"predictor.merge {self.predictor.merge} does not divide the grid of {self.encoder.grid} places")


class JEPA(nn.Module):
    """Joint-embedding predictive architecture: `encode`, `predict` (teacher forced) and `rollout` (open loop)."""

    def __init__(self, config: JEPAConfig, spec: WorldSpec, normalisation: Mapping[str, MeanStd] | None = None) -> None:
        """`spec` is the world as the model sees it; `normalisation` of its vectors comes from the dataset or the manifest."""
        super().__init__()
        self.config, self.spec = config, spec
        self.encoder = TokenEncoder(config.encoder, config.sensors, spec, normalisation)
        self.predictor = Predictor(
            config.predictor, spec.action, config.encoder.grid, self.encoder.num_tokens, config.encoder.token_dim
        )

    def encode(self, obs: Observation) -> Latent:
        """Latents of observed frames, (B, T, K, D)."""
        return self.encoder(obs)

    def predict(self, z: Latent, actions: Tensor) -> Latent:
        """Latent after each frame given the real ones up to it: (B, T, K, D), (B, T, A) -> (B, T, K, D)."""
        num_frames, context = z.shape[1], self.config.context_length
        if context == 1:  # frames do not see each other: fold them into the batch
            return self.predictor(z.flatten(0, 1).unsqueeze(1), actions.flatten(0, 1).unsqueeze(1)).view(z.shape)
        first = self.predictor(z[:, :context], actions[:, :context])
        if num_frames <= context:
            return first
        # Later frames see exactly the last `context` frames, as in a rollout. (A banded mask would see further back,
        # by one context a block.)
        rest = [
            self.step(z[:, t + 1 - context : t + 1], actions[:, t + 1 - context : t + 1]) for t in range(context, num_frames)
        ]
        return torch.cat([first, torch.stack(rest, dim=1)], dim=1)

    def step(self, z: Latent, actions: Tensor) -> Tensor:
        """Latent after the last frame: history (B, T, K, D) and its actions (B, T, A) -> (B, K, D)."""
        context = self.config.context_length
        return self.predictor(z[:, -context:], actions[:, -context:])[:, -1]

    def rollout(self, context: Latent, actions: Tensor, past_actions: Tensor | None = None) -> Latent:
        """Latents after each action, (B, N, H, K, D), for context (B, T, K, D) and actions (B, N, H, A).

        All N candidates start from the same context. `past_actions` (B, T - 1, A) are those between the context's frames:
        needed when the model sees more than one of them.
        """
        num_batch, num_candidates, horizon, _ = actions.shape
        num_seen = min(self.config.context_length, context.shape[1])
        if num_seen > 1 and past_actions is None:
            raise ValueError(f"a context of {num_seen} frames needs the past_actions between them; give them, or one frame")
        seen = context[:, -num_seen:]
        past = past_actions[:, -(num_seen - 1) :] if past_actions is not None and num_seen > 1 else actions[:, 0, :0]
        flat = actions.flatten(0, 1)  # (B*N, H, A)
        of_row = torch.arange(num_batch, device=actions.device).repeat_interleave(num_candidates)
        parts = [
            self._rollout_rows(seen[of_row[rows]], past[of_row[rows]], flat[rows])
            for rows in torch.arange(len(flat), device=actions.device).split(self.config.rollout_chunk)
        ]
        return torch.cat(parts).view(num_batch, num_candidates, horizon, *context.shape[2:])

    def _rollout_rows(self, frames: Tensor, past: Tensor, actions: Tensor) -> Tensor:
        """frames (R, t, K, D), past (R, t - 1, A), actions (R, H, A) -> (R, H, K, D)."""
        imagined = []
        for h in range(actions.shape[1]):
            past = torch.cat([past, actions[:, h : h + 1]], dim=1)[:, -self.config.context_length :]
            z = self.step(frames, past)
            imagined.append(z)
            frames = torch.cat([frames, z.unsqueeze(1)], dim=1)[:, -self.config.context_length :]
        return torch.stack(imagined, dim=1)

    @property
    def num_parameters(self) -> int:
        """Number of trainable numbers."""
        return sum(p.numel() for p in self.parameters())
