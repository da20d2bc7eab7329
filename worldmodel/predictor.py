"""Latent and action -> next latent: a transformer over the places of a frame, and over a few frames.

B batch   T time   K tokens a frame   D latent width   A action dim   C transformer width   G grid side   m merge
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from einops import rearrange
from torch import Tensor, nn

from worldmodel.checks import require_at_least, require_positive
from worldmodel.errors import ConfigError
from worldmodel.nn.actions import RelativeAction, VectorAction, token_centres
from worldmodel.nn.attention import FrameMask
from worldmodel.nn.blocks import AdaLNBlock
from worldmodel.nn.rotary import Rotation, rotation
from worldmodel.types import ActionSpec


@dataclass(frozen=True)
class PredictorConfig:
    """What the predictor looks like."""

    width: int = 96
    """Width of the transformer, C."""
    depth: int = 3
    """Number of blocks."""
    num_heads: int = 4
    """Attention heads a block."""
    mlp_ratio: float = 2.0
    """Hidden width of the MLP over C."""
    merge: int = 2
    """The transformer sees merge x merge neighbouring tokens as one: 2 costs a quarter of 1."""
    action: Literal["auto", "relative", "vector"] = "auto"
    """How actions are told: relative to each place, or as a plain vector. Auto is relative where the action has points."""
    action_width: int = 32
    """Width of the action's embedding at each place."""
    modulation: Literal["token", "frame"] = "frame"
    """Whether the action also steers the blocks' normalisation at each token on its own, or in the same way for a frame.
    (It is told to each token at the input either way; token costs a third more, and predicted 3 % better on discs.)"""
    cond_dim: int = 48
    """Width of the condition that steers the blocks."""

    def __post_init__(self) -> None:
        """Raise ConfigError for sizes that make no transformer."""
        require_at_least(self, 1, "width", "depth", "num_heads", "merge", "action_width", "cond_dim")
        require_positive(self, "mlp_ratio")
        if self.width % (2 * self.num_heads):
            raise ConfigError(
                f"width is {self.width}; expected a multiple of {2 * self.num_heads}: {self.num_heads} heads of even width"
            )
        if self.width * self.mlp_ratio < 1:
            raise ConfigError(f"mlp_ratio is {self.mlp_ratio}; expected at least one hidden channel, 1 / width")


class Predictor(nn.Module):
    """Next latents of up to context_length frames, each from itself, the frames before it and their actions."""

    def __init__(self, config: PredictorConfig, action: ActionSpec, grid: int, num_tokens: int, token_dim: int) -> None:
        super().__init__()
        self.config, self.grid = config, grid
        self.num_extra = num_tokens - grid**2
        relative = config.action == "relative" or (
            config.action == "auto" and len(action.points) >= 2 and action.image_from_action is not None
        )
        self.action = (
            RelativeAction(action, grid, config.action_width) if relative else VectorAction(action, config.action_width)
        )
        self.frame_action = VectorAction(action, config.cond_dim)

        patch = config.merge**2
        self.embed = nn.Linear(patch * (token_dim + config.action_width), config.width)
        self.embed_extra = nn.Linear(token_dim, config.width)
        self.num_places = (grid // config.merge) ** 2
        self.place = nn.Parameter(0.02 * torch.randn(self.num_places + self.num_extra, config.width))
        self.condition = nn.Linear(patch * config.action_width, config.cond_dim)
        self.blocks = nn.ModuleList(
            AdaLNBlock(config.width, config.num_heads, config.mlp_ratio, config.cond_dim) for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.width)
        self.out = nn.Linear(config.width, patch * token_dim)
        self.out_extra = nn.Linear(config.width, token_dim)
        for layer in (self.out, self.out_extra):  # a new predictor says that nothing moves
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self._rotations: dict[tuple[int, str], Rotation] = {}

    def forward(self, z: Tensor, actions: Tensor) -> Tensor:
        """z (B, T, K, D) and actions (B, T, A) -> z of the frame after each, (B, T, K, D); frame t sees frames <= t."""
        if z.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            # Layers of this size lose to the casts what bfloat16 gains them on a CPU (measured); convolutions do not.
            with torch.autocast("cpu", enabled=False):
                return self._forward(z, actions)
        return self._forward(z, actions)

    def _forward(self, z: Tensor, actions: Tensor) -> Tensor:
        batch, time = z.shape[:2]
        places = self.grid**2
        spatial, extra = z[:, :, :places], z[:, :, places:]

        # Embed: each place's latent beside its view of the action, merged with its neighbours.
        told = self.action(actions)  # (B, T, places or 1, action_width)
        told = self._merge(told.expand(batch, time, places, told.shape[-1]).to(z.dtype))
        x = self.embed(torch.cat([self._merge(spatial), told], dim=-1))  # (B, T, places / m^2, C)
        if self.num_extra:
            x = torch.cat([x, self.embed_extra(extra)], dim=2)
        x = (x + self.place).flatten(1, 2)

        # Condition: the action at every token, or one for the frame.
        cond = self.frame_action(actions)  # (B, T, 1, cond_dim)
        if self.config.modulation == "token":
            at_places = self.condition(told) + cond
            cond = torch.cat([at_places, cond.expand(-1, -1, self.num_extra, -1)], dim=2) if self.num_extra else at_places
        elif time > 1:
            cond = cond.expand(-1, -1, self.num_places + self.num_extra, -1)
        cond = nn.functional.silu(cond.flatten(1, 2))

        mask = FrameMask(time, self.num_places + self.num_extra) if time > 1 else None
        turn = self._rotation(time, x.device)
        for block in self.blocks:
            x = block(x, cond, turn, mask)
        x = self.norm(x).unflatten(1, (time, -1))

        # Residual: most of a table stays as it is.
        change = self._unmerge(self.out(x[:, :, : self.num_places]))
        if self.num_extra:
            change = torch.cat([change, self.out_extra(x[:, :, self.num_places :])], dim=2)
        return z + change.float()

    def _merge(self, tokens: Tensor) -> Tensor:
        m = self.config.merge
        if m == 1:
            return tokens
        return rearrange(tokens, "b t (h p w q) d -> b t (h w) (p q d)", h=self.grid // m, p=m, q=m)

    def _unmerge(self, tokens: Tensor) -> Tensor:
        m = self.config.merge
        if m == 1:
            return tokens
        return rearrange(tokens, "b t (h w) (p q d) -> b t (h p w q) d", h=self.grid // m, p=m, q=m)

    def _rotation(self, time: int, device: torch.device) -> Rotation:
        key = (time, str(device))
        if key not in self._rotations:
            side = self.grid // self.config.merge
            centres = token_centres(side).flip(-1) * side / 2  # (places, 2): down, right, in tokens
            centres = torch.cat([centres, torch.zeros(self.num_extra, 2)])
            head_dim = self.config.width // self.config.num_heads
            if time > 1:
                frames = torch.arange(time, dtype=torch.float32).repeat_interleave(len(centres))
                positions = torch.cat([centres.repeat(time, 1), frames[:, None]], dim=-1)
            else:
                positions = torch.cat([centres, torch.zeros(len(centres), 1)], dim=-1)
            cos, sin = rotation(positions, head_dim)
            self._rotations[key] = (cos.to(device), sin.to(device))
        return self._rotations[key]
