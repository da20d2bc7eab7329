"""Any sensors through one trunk: tokens of all of them, and out as a grid, a few tokens, or one vector.

    sensors -> tokens (+ modality, + which one) -> trunk (ViT, or none) -> grid | pooled | vector -> normalised per place

B batch   T time   K tokens a frame   D token width   P placed tokens   E extra tokens   C trunk width   V visible tokens
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from worldmodel.encoders.base import Encoder, normaliser
from worldmodel.encoders.config import EncoderConfig
from worldmodel.encoders.sensors import SensorTokens, require_readable
from worldmodel.errors import ConfigError
from worldmodel.layout import TokenLayout
from worldmodel.nn.actions import token_centres
from worldmodel.nn.embodied import Body, per_body
from worldmodel.nn.masks import TokenMask
from worldmodel.nn.rotary import rotation
from worldmodel.nn.tokenizers.camera import CameraTokenizer, ConvTokenizer, conv_layers, patch_layers
from worldmodel.nn.vit import AttentivePool, Row, ViT
from worldmodel.types import Observation


class FusedEncoder(Encoder):
    """Tokens of every sensor, seen together by a trunk a frame at a time. Any subset of a world's sensors will do."""

    def __init__(self, config: EncoderConfig, sensors: tuple[str, ...], bodies: tuple[Body, ...]) -> None:
        super().__init__()
        somewhere = {key for body in bodies for key in body.spec.sensors} if config.sensor_dropout else set()
        for body in bodies:  # which may lack what another one has, where sensors may be missing
            known = [key for key in sensors if key in body.spec.sensors or key not in somewhere]
            require_readable(known or sensors, body.spec)
        self.config, self.tubelet = config, config.tubelet
        self.width = self._width()
        self.sensors = SensorTokens(config, sensors, bodies, self.width, self._camera, self._depth)
        self.inner = self.sensors.layout
        self.cameras = tuple(self.sensors.placed) if config.output == "grid" else ()
        cameras = [key for key in self.sensors.placed if self.sensors.modalities[key] == "camera"]
        self.image = cameras[0] if cameras else None
        self.optional = frozenset(sensors) if config.sensor_dropout > 0 and len(sensors) > 1 else frozenset()
        if config.output == "grid" and not self.inner.num_placed:
            raise ConfigError(
                f"a grid needs a picture, and the sensors are {list(sensors)}; add a camera, or use output: vector or pooled"
            )
        self._build_trunk()
        # Out: every token as it is, or a few that have looked at all of them.
        if config.output == "grid":
            self.pool, self.layout = None, self.inner
        else:
            count = 1 if config.output == "vector" else config.num_pooled
            flat = config.pool == "flat"
            self.pool, self.layout = Row() if flat else AttentivePool(self.width, count), TokenLayout(0, 0, count)
        tokens_in_row = self.inner.num_tokens if isinstance(self.pool, Row) else 1
        self.out = nn.Linear(tokens_in_row * self.width, config.token_dim)
        self.norm = per_body([normaliser(config, self.num_tokens) for _ in bodies])

    def tokens(self, obs: Observation) -> Tensor:
        """(B, T, K, D), not normalised; each frame on its own."""
        x = torch.cat(self.sensors(obs), dim=2)  # (B, T, P + E, C)
        lead = x.shape[:2]
        x = self._trunk(x.flatten(0, 1))
        if self.pool is not None:
            x = self.pool(x)
        return self.out(x).unflatten(0, lead)

    def _width(self) -> int:
        return self.config.widths[-1]

    def _camera(self, shape: tuple[int, ...], width: int) -> nn.Module:
        return ConvTokenizer(shape, self.config.widths, self.config.stem_stride, self.config.grid, width)

    def _depth(self, shape: tuple[int, ...], width: int) -> nn.Module:
        c = self.config
        return conv_layers((shape[0], shape[1]), shape[2], c.widths, c.stem_stride, c.grid, width)

    def _build_trunk(self) -> None:
        """Nothing besides what has seen the sensors."""

    def _trunk(self, x: Tensor) -> Tensor:
        """(B * T, P + E, C) -> the same."""
        return x


class ViTEncoder(FusedEncoder):
    """Patches of all cameras and the other sensors' tokens, seen together by a vision transformer."""

    cos: Tensor
    sin: Tensor

    def visible(self, obs: Observation, kept: Tensor) -> Tensor:
        """As `Encoder.visible`; what is hidden is not computed."""
        if self.pool is not None:
            raise ConfigError("masked prediction needs tokens that have a place; use model.encoder.output: grid")
        placed, extra = self.sensors(obs)
        num_placed, num_extra = placed.shape[2], extra.shape[2]
        frames = torch.arange(extra.shape[1], device=kept.device).repeat_interleave(num_extra).expand(len(kept), -1)
        x = placed.flatten(1, 2)
        x = torch.cat([x.gather(1, kept.unsqueeze(-1).expand(-1, -1, x.shape[-1])), extra.flatten(1, 2)], dim=1)
        place = torch.arange(num_placed, num_placed + num_extra, device=kept.device).repeat(extra.shape[1])
        place = torch.cat([kept % num_placed, place.expand(len(kept), -1)], dim=1)  # (B, V + T * E)
        frame = torch.cat([kept // num_placed, frames], dim=1)
        turn = self.cos[place].unsqueeze(1), self.sin[place].unsqueeze(1)  # the same for all heads
        x = self.vit(x, turn, TokenMask(frame.unsqueeze(2) == frame.unsqueeze(1)))
        return self.out(x[:, : kept.shape[1]])

    def _width(self) -> int:
        return self.config.vit.shape[0]

    def _camera(self, shape: tuple[int, ...], width: int) -> nn.Module:
        c = self.config
        return CameraTokenizer(shape, c.grid, width, tubelet=c.vit.tubelet, stem=c.vit.stem)

    def _depth(self, shape: tuple[int, ...], width: int) -> nn.Module:
        return patch_layers((shape[0], shape[1]), shape[2], self.config.grid, width, self.config.vit.stem)

    def _build_trunk(self) -> None:
        width, depth, heads = self.config.vit.shape
        self.vit = ViT(width, depth, heads, self.config.vit.mlp_ratio)
        # (time, y, x) of each token: frames are seen one by one, so their time is 0; tokens without a place lie in the middle
        grid = self.inner.grid
        places = token_centres(grid).flip(-1) * grid / 2 if grid else torch.zeros(0, 2)
        places = torch.cat([places.repeat(self.inner.num_cameras, 1), torch.zeros(self.inner.num_extra, 2)])
        cos, sin = rotation(torch.cat([torch.zeros(len(places), 1), places], dim=-1), width // heads)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def _trunk(self, x: Tensor) -> Tensor:
        return self.vit(x, (self.cos, self.sin))
