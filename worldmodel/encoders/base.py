"""What every encoder is: frames in, normalised tokens out; and what masked prediction needs of it.

B batch   T time   K tokens a frame   D token width   V visible tokens
"""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from worldmodel.encoders.config import EncoderConfig
from worldmodel.layout import TokenLayout
from worldmodel.nn.norm import PlaceNorm
from worldmodel.types import Observation


class Encoder(nn.Module):
    """Observation -> latent. A frame's latent depends on that frame and on `tubelet` - 1 before it, never on later ones."""

    layout: TokenLayout
    """Which tokens lie where."""
    norm: nn.Module
    """Of the tokens over the data."""
    image: str | None
    """The camera of the first grid, which pictures of latents are drawn of; None without one."""
    cameras: tuple[str, ...]
    """Sensors of the grids, in the layout's order: cameras, then depth."""
    tubelet: int = 1
    """Frames that a latent depends on."""
    optional: frozenset[str] = frozenset()
    """Sensors that may be missing."""
    _frozen = False

    @property
    def num_tokens(self) -> int:
        """K."""
        return self.layout.num_tokens

    def tokens(self, obs: Observation) -> Tensor:
        """(B, T, K, D), not normalised."""
        raise NotImplementedError

    def forward(self, obs: Observation) -> Tensor:
        """(B, T, K, D) float32, each place of unit variance over the data, unless the configuration says otherwise."""
        x = self.tokens(obs)
        return self.norm(x.flatten(0, 1)).unflatten(0, x.shape[:2])

    def visible(self, obs: Observation, kept: Tensor) -> Tensor:
        """Tokens at `kept` (B, V), which counts the T * placed tokens of a window, from those alone: (B, V, D), not normalised.

        The pictures in `obs` have been painted over wherever a token is hidden (worldmodel.masking), so that an encoder
        whose tokens overlap knows no more than one whose tokens do not.
        """
        x = self.tokens(obs)[:, :, : self.layout.num_placed].flatten(1, 2)  # (B, T * placed, D)
        return x.gather(1, kept.unsqueeze(-1).expand(-1, -1, x.shape[-1]))

    def freeze(self) -> None:
        """Weights and normalisation stay as they are from now on, in training too."""
        self.requires_grad_(False)
        self._frozen = True
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """A frozen encoder is never in training mode."""
        return super().train(mode and not self._frozen)


def normaliser(config: EncoderConfig, num_tokens: int) -> nn.Module:
    """What an encoder's tokens (..., K, D) go through last."""
    if config.norm == "none":
        return Unnormalised()
    return PlaceNorm(num_tokens if config.norm == "place" else 1, config.token_dim, config.norm_momentum)


class Unnormalised(nn.Module):
    """Tokens as they are, in float32."""

    def forward(self, z: Tensor) -> Tensor:
        """(..., K, D) -> the same."""
        return z.float() if z.dtype in (torch.bfloat16, torch.float16) else z
