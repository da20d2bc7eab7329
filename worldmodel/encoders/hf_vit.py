"""The vision transformers of DINOv2, DINOv3 and V-JEPA 2 as one network: they differ in positions, prefix tokens and MLPs.

    family     positions                              prefix              MLP
    dinov2     learned, resized by bicubic sampling   class (+ registers) GELU or SwiGLU, LayerScale
    dinov3     rotary over (y, x) in [-1, 1]          class, registers    GELU or SwiGLU, LayerScale
    vjepa2     rotary over (time, y, x)               none                GELU; a frame is repeated to fill a tubelet

R pictures   G grid side   L tokens   C width   E width of a head
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worldmodel.encoders.config import Backbone
from worldmodel.errors import CheckpointError

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's, by which all of these networks normalise pictures."""

Turn = tuple[Tensor, Tensor]
"""Cosine and sine for each token and channel of a head, (L, E)."""


class PretrainedBlock(nn.Module):
    """Attention and MLP, each with its LayerNorm and its LayerScale."""

    def __init__(self, shape: Backbone) -> None:
        super().__init__()
        c, self.num_heads, self.pairs = shape.width, shape.num_heads, shape.family == "vjepa2"
        self.norm1, self.norm2 = nn.LayerNorm(c, eps=shape.eps), nn.LayerNorm(c, eps=shape.eps)
        self.q, self.k, self.v, self.out = (nn.Linear(c, c) for _ in range(4))
        self.up, self.down = nn.Linear(c, shape.hidden), nn.Linear(shape.hidden, c)
        self.gate = nn.Linear(c, shape.hidden) if shape.gated else None
        self.scale1, self.scale2 = (None if self.pairs else nn.Parameter(torch.ones(c)) for _ in range(2))

    def forward(self, x: Tensor, turn: Turn | None) -> Tensor:
        """(R, L, C) -> the same."""
        h = self.norm1(x)
        q, k, v = (layer(h).unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for layer in (self.q, self.k, self.v))
        if turn is not None:
            q, k = self._rotate(q, turn), self._rotate(k, turn)
        h = self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        x = x + (h if self.scale1 is None else h * self.scale1)
        h = self.norm2(x)
        h = self.down(F.gelu(self.up(h)) if self.gate is None else F.silu(self.gate(h)) * self.up(h))
        return x + (h if self.scale2 is None else h * self.scale2)

    def _rotate(self, x: Tensor, turn: Turn) -> Tensor:
        """The second channel of a pair is the neighbour (V-JEPA 2), or half a head away (DINOv3)."""
        a, b = x.unflatten(-1, (-1, 2)).unbind(-1) if self.pairs else x.chunk(2, dim=-1)
        across = torch.stack([-b, a], dim=-1).flatten(-2) if self.pairs else torch.cat([-b, a], dim=-1)
        return x * turn[0].to(x.dtype) + across * turn[1].to(x.dtype)


class PretrainedViT(nn.Module):
    """Pictures uint8 (R, H, W, 3), resized to G patches a side, -> their patches' tokens (R, G * G, C)."""

    mean: Tensor
    std: Tensor

    def __init__(self, shape: Backbone, grid: int) -> None:
        super().__init__()
        self.shape, self.grid = shape, grid
        c, p = shape.width, shape.patch
        self.patch = nn.Conv3d(3, c, (shape.tubelet, p, p), (shape.tubelet, p, p)) if shape.tubelet > 1 else None
        if self.patch is None:
            self.patch = nn.Conv2d(3, c, p, p)
        dino = shape.family != "vjepa2"
        self.first = nn.Parameter(torch.zeros(1, 1, c)) if dino else None
        self.registers = nn.Parameter(torch.zeros(1, shape.num_registers, c)) if dino and shape.num_registers else None
        self.positions = nn.Parameter(torch.zeros(1, 1 + shape.positions**2, c)) if shape.positions else None
        self.blocks = nn.ModuleList(PretrainedBlock(shape) for _ in range(shape.depth))
        self.norm = nn.LayerNorm(c, eps=shape.eps)
        self.register_buffer("mean", 255 * torch.tensor(MEAN), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(STD), persistent=False)
        turn = None if shape.positions else rotary(shape, grid, 1 + shape.num_registers if dino else 0)
        for name, value in zip(("cos", "sin"), turn or (None, None), strict=True):
            self.register_buffer(name, value, persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Behind the last LayerNorm, prefix tokens left out."""
        x = ((pixels.float() - self.mean) / self.std).permute(0, 3, 1, 2)
        side = self.grid * self.shape.patch
        if x.shape[-2:] != (side, side):
            x = F.interpolate(x, size=(side, side), mode="bicubic", antialias=True)
        if self.shape.tubelet > 1:
            x = x.unsqueeze(2).expand(-1, -1, self.shape.tubelet, -1, -1)
        x = self.patch(x).flatten(2).transpose(1, 2)  # type: ignore[misc]  # (R, G * G, C)
        x, num_prefix = self._prefixed(x)
        turn = None if self.cos is None else (self.cos, self.sin)
        for block in self.blocks:
            x = block(x, turn)
        return self.norm(x)[:, num_prefix:]

    def _prefixed(self, x: Tensor) -> tuple[Tensor, int]:
        """Learned positions added, class and register tokens in front; how many of those there are."""
        if self.first is None:
            return x, 0
        first = self.first
        if self.positions is not None:
            first, x = first + self.positions[:, :1], x + self._resized()
        prefix = [first] if self.registers is None else [first, self.registers]
        x = torch.cat([*(token.expand(len(x), -1, -1) for token in prefix), x], dim=1)
        return x, 1 + self.shape.num_registers

    def _resized(self) -> Tensor:
        """Learned positions of the patches, (1, G * G, C)."""
        assert self.positions is not None
        old, places = self.shape.positions, self.positions[:, 1:]
        if old == self.grid:
            return places
        square = places.unflatten(1, (old, old)).permute(0, 3, 1, 2).float()
        smooth = self.shape.family == "dinov2_with_registers"
        square = F.interpolate(square, size=(self.grid, self.grid), mode="bicubic", align_corners=False, antialias=smooth)
        return square.flatten(2).transpose(1, 2).to(places.dtype)

    def load(self, weights: dict[str, Tensor], source: str) -> None:
        """Take over weights of these names; biases that the network does without are zeros. CheckpointError for misfits."""
        own = self.state_dict()
        lacking = [n for n in own if n not in weights and not optional_bias(n)]
        unknown = [n for n in weights if n not in own]
        wrong = [n for n in own if n in weights and own[n].shape != weights[n].shape]
        if lacking or unknown or wrong:
            raise CheckpointError(
                f"{source}: the weights are not those of its config.json; missing {lacking[:3]}, unknown {unknown[:3]}, "
                f"of another shape {wrong[:3]}"
            )
        self.load_state_dict({n: weights[n].to(v.dtype) if n in weights else torch.zeros_like(v) for n, v in own.items()})


def optional_bias(name: str) -> bool:
    """Whether a network may do without these weights: biases of linear layers in the blocks."""
    return name.endswith(".bias") and name.split(".")[-2] in ("q", "k", "v", "out", "up", "gate", "down")


def rotary(shape: Backbone, grid: int, num_prefix: int) -> Turn:
    """Cosines and sines (L, E) of the patches of a frame; prefix tokens are not turned."""
    head = shape.width // shape.num_heads
    row, column = torch.meshgrid(torch.arange(grid), torch.arange(grid), indexing="ij")
    row, column = row.flatten().float(), column.flatten().float()
    if shape.family == "vjepa2":
        # A third of the head for each of time, row and column; what is left over is not turned. Frequencies are tiled where
        # pairs are neighbours, so that the two channels of a pair turn by different angles: what the weights were trained with.
        size = 2 * (head // 3 // 2)
        omega = 10000.0 ** -(torch.arange(size // 2) / (size / 2))
        axes = [(position[:, None] * omega).repeat(1, 2) for position in (torch.zeros_like(row), row, column)]
        angle = torch.cat([*axes, torch.zeros(len(row), head - 3 * size)], dim=-1)
    else:
        inverse = 1 / shape.rope_base ** torch.arange(0, 1, 4 / head)
        centre = torch.stack([row, column], dim=-1).add(0.5) / grid * 2 - 1
        angle = (2 * math.pi * centre[:, :, None] * inverse).flatten(1).tile(2)
    angle = torch.cat([torch.zeros(num_prefix, head), angle])
    return angle.cos(), angle.sin()
