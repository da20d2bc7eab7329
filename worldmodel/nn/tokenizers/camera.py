"""Pictures as a grid of tokens, row by row.

B batch   T time   R rows (B * T)   G grid side   C width
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from worldmodel.errors import ConfigError


def conv_layers(
    side: tuple[int, int], channels: int, widths: Sequence[int], stem_stride: int, grid: int, out: int
) -> nn.Sequential:
    """Convolutions from a picture (R, channels, *side) to (R, out, G, G): a strided stem, halvings, then the same size."""
    halvings = math.log2(side[0] / (grid * stem_stride))
    if side[0] != side[1] or halvings != int(halvings) or not 0 <= halvings < len(widths):
        raise ConfigError(
            f"a picture of {side[0]} x {side[1]} does not come down to a grid of {grid} by a stem stride of "
            f"{stem_stride} and {len(widths) - 1} halvings at most; make the picture square, its side the "
            "grid times the stem's stride times a power of two, and give enough widths"
        )
    layers: list[nn.Module] = []
    for i, width in enumerate(widths):
        stride = stem_stride if i == 0 else 2 if i <= int(halvings) else 1
        kernel = stride + 2 if i == 0 else 3  # the stem's patches overlap by a pixel on each side
        layers += [nn.Conv2d(channels, width, kernel, stride, padding=1), nn.ReLU(inplace=True)]
        channels = width
    layers.append(nn.Conv2d(channels, out, 1))
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def patch_layers(side: tuple[int, int], channels: int, grid: int, width: int, stem: bool) -> nn.Sequential:
    """From a picture (R, channels, *side) to (R, width, G, G): one convolution a patch, or a stem of small ones.

    The stem halves the picture by 3 x 3 convolutions, as in Xiao et al. 2021 (arXiv:2106.14881).
    """
    if side[0] % grid or side[1] % grid:
        raise ConfigError(f"a picture of {side[0]} x {side[1]} does not divide into {grid} x {grid} patches; change grid")
    patch = side[0] // grid, side[1] // grid
    if not stem:
        return nn.Sequential(nn.Conv2d(channels, width, patch, patch))
    halvings = math.log2(patch[0])
    if patch[0] != patch[1] or halvings != int(halvings) or halvings < 1:
        raise ConfigError(
            f"a convolutional stem halves pictures, and patches are {patch[0]} x {patch[1]}: make them square with a side "
            "of 2, 4, 8 ..., or leave the stem out"
        )
    layers: list[nn.Module] = []
    for i in reversed(range(int(halvings))):
        out = max(width // 2**i, 8)
        # one group: LayerNorm over a picture, the same whatever the batch
        layers += [nn.Conv2d(channels, out, 3, 2, padding=1), nn.GroupNorm(1, out), nn.GELU()]
        channels = out
    return nn.Sequential(*layers, nn.Conv2d(channels, width, 1))


def centred(pixels: Tensor) -> Tensor:
    """Pictures uint8 (..., H, W, 3) -> (..., 3, H, W) float32 in [-1, 1]."""
    # (H, W, 3) seen as (3, H, W) is channels_last already: no copy besides the conversion.
    return pixels.movedim(-1, -3).float().mul_(2 / 255).sub_(1)


class ConvTokenizer(nn.Module):
    """Pictures uint8 (B, T, H, W, 3) -> (B, T, G * G, C) by a small convolutional network."""

    def __init__(self, shape: Sequence[int], widths: Sequence[int], stem_stride: int, grid: int, width: int) -> None:
        super().__init__()
        height, across, channels = shape
        self.grid, self.num_tokens = grid, grid**2
        self.layers = conv_layers((height, across), channels, widths, stem_stride, grid, width)

    def forward(self, pixels: Tensor) -> Tensor:
        """Each frame on its own."""
        x = self.layers(centred(pixels.flatten(0, 1)))
        return x.flatten(2).transpose(1, 2).unflatten(0, pixels.shape[:2])


class CameraTokenizer(nn.Module):
    """Pictures uint8 (B, T, H, W, 3) -> (B, T, G * G, C): a token for each patch of a frame.

    With a `tubelet` of t a patch reaches t - 1 frames back (the first frame is repeated before the beginning), so that a
    token knows how its place moves, and no frame knows what comes after it (unlike V-JEPA's tubelets, which do not overlap).
    """

    def __init__(self, shape: Sequence[int], grid: int, width: int, *, tubelet: int = 1, stem: bool = False) -> None:
        super().__init__()
        height, across, channels = shape
        self.grid, self.num_tokens, self.tubelet = grid, grid**2, tubelet
        self.layers = patch_layers((height, across), channels * tubelet, grid, width, stem)

    def forward(self, pixels: Tensor) -> Tensor:
        """Frame t sees frames t - tubelet + 1 to t."""
        x = tubelets(centred(pixels), self.tubelet)
        return self.layers(x.flatten(0, 1)).flatten(2).transpose(1, 2).unflatten(0, pixels.shape[:2])


def tubelets(x: Tensor, length: int) -> Tensor:
    """Frames (B, T, c, H, W) beside those before them, the oldest first: (B, T, length * c, H, W)."""
    if length == 1:
        return x
    padded = torch.cat([x[:, :1].expand(-1, length - 1, -1, -1, -1), x], dim=1)
    return torch.cat([padded[:, i : i + x.shape[1]] for i in range(length)], dim=2)
