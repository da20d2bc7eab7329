"""Sensors -> latent tokens: a small convolutional encoder with one token for each place of a grid.

B batch   T time   K tokens a frame   D token width
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from worldmodel.checks import require_at_least, require_share
from worldmodel.errors import ConfigError, MismatchError
from worldmodel.layout import TokenLayout
from worldmodel.nn.norm import PlaceNorm
from worldmodel.normalisation import MeanStd
from worldmodel.types import Observation, WorldSpec


@dataclass(frozen=True)
class EncoderConfig:
    """What the encoder looks like."""

    widths: tuple[int, ...] = (32, 64, 64)
    """Channels of each convolution. After the stem they halve the picture until it is `grid` wide; the rest keep its size."""
    stem_stride: int = 4
    """Stride of the first convolution [pixels]. 4 costs half of what 2 does, and sees as much of small objects."""
    grid: int = 8
    """Places along each side of the picture: grid * grid tokens."""
    token_dim: int = 16
    """Width of a token, D."""
    norm_momentum: float = 0.02
    """Share of a new batch in the running statistics of the per-place normalisation."""

    def __post_init__(self) -> None:
        """Raise ConfigError for sizes that make no encoder."""
        if not self.widths or min(self.widths) < 1:
            raise ConfigError(f"widths is {list(self.widths)}; expected a positive number for each convolution, as in [32, 64]")
        require_at_least(self, 1, "stem_stride", "grid", "token_dim")
        require_share(self, "norm_momentum", zero=False)


class ImageTokenizer(nn.Module):
    """Pictures uint8 (R, H, W, 3) -> tokens (R, grid * grid, D), not normalised yet."""

    def __init__(self, config: EncoderConfig, shape: tuple[int, ...]) -> None:
        super().__init__()
        height, width, channels = shape
        halvings = math.log2(height / (config.grid * config.stem_stride))
        if height != width or halvings != int(halvings) or not 0 <= halvings < len(config.widths):
            raise ConfigError(
                f"a picture of {height} x {width} does not come down to a grid of {config.grid} by a stem stride of "
                f"{config.stem_stride} and {len(config.widths) - 1} halvings at most; make the picture square, its side the "
                "grid times the stem's stride times a power of two, and give enough widths"
            )
        layers: list[nn.Module] = []
        for i, out in enumerate(config.widths):
            stride = config.stem_stride if i == 0 else 2 if i <= int(halvings) else 1
            kernel = stride + 2 if i == 0 else 3  # the stem's patches overlap by a pixel on each side
            layers += [nn.Conv2d(channels, out, kernel, stride, padding=1), nn.ReLU(inplace=True)]
            channels = out
        layers.append(nn.Conv2d(channels, config.token_dim, 1))
        self.layers = nn.Sequential(*layers).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, pixels: Tensor) -> Tensor:
        """Pictures are centred to [-1, 1] here, and only here."""
        # (R, H, W, 3) seen as (R, 3, H, W) is channels_last already: no copy besides the conversion.
        x = pixels.permute(0, 3, 1, 2).float().mul_(2 / 255).sub_(1)
        return self.layers(x).flatten(2).transpose(1, 2)


class VectorTokenizer(nn.Module):
    """A vector (R, P) -> one token (R, 1, D)."""

    mean: Tensor
    std: Tensor

    def __init__(self, size: int, token_dim: int, scale: MeanStd | None = None) -> None:
        """`scale` comes from the manifest, which is why it is not among the weights; None leaves vectors as they are."""
        super().__init__()
        scale = scale or MeanStd((0.0,) * size, (1.0,) * size)
        if not len(scale.mean) == len(scale.std) == size:
            raise MismatchError(f"the normalisation has {len(scale.mean)} numbers, the vector has {size}")
        std = torch.tensor(scale.std)
        self.register_buffer("mean", torch.tensor(scale.mean), persistent=False)
        # what never changed in the recording says nothing: it is not blown up
        self.register_buffer("std", torch.where(std > 1e-6, std, 1.0), persistent=False)
        self.layers = nn.Sequential(nn.Linear(size, 64), nn.SiLU(), nn.Linear(64, token_dim))

    def forward(self, vector: Tensor) -> Tensor:
        """(R, P) -> (R, 1, D)."""
        return self.layers((vector.float() - self.mean) / self.std).unsqueeze(1)


class TokenEncoder(nn.Module):
    """Observation -> (B, T, K, D): the picture's places in row order, then one token for each vector sensor."""

    def __init__(
        self,
        config: EncoderConfig,
        sensors: tuple[str, ...],
        spec: WorldSpec,
        normalisation: Mapping[str, MeanStd] | None = None,
    ) -> None:
        super().__init__()
        images, vectors = select_sensors(sensors, spec)
        self.image, self.vectors = images[0], vectors
        self.tokenize_image = ImageTokenizer(config, spec.sensors[self.image].shape)
        self.tokenize_vectors = nn.ModuleDict(
            {
                key: VectorTokenizer(math.prod(spec.sensors[key].shape), config.token_dim, (normalisation or {}).get(key))
                for key in vectors
            }
        )
        self.layout = TokenLayout(config.grid, num_extra=len(vectors))
        self.num_tokens = self.layout.num_tokens
        self.norm = PlaceNorm(self.num_tokens, config.token_dim, config.norm_momentum)

    def forward(self, obs: Observation) -> Tensor:
        """(B, T, K, D) float32, each place of unit variance over the data."""
        pixels = obs[self.image]
        batch, time = pixels.shape[:2]
        tokens = [self.tokenize_image(pixels.flatten(0, 1))]
        tokens += [self.tokenize_vectors[key](obs[key].flatten(0, 1).flatten(1)) for key in self.vectors]
        z = self.norm(torch.cat(tokens, dim=1) if len(tokens) > 1 else tokens[0])
        return z.unflatten(0, (batch, time))


def select_sensors(sensors: tuple[str, ...], spec: WorldSpec) -> tuple[list[str], list[str]]:
    """Keys of the image (exactly one) and of the vectors. Raises ConfigError for unknown or privileged sensors."""
    images, vectors = [], []
    for key in sensors:
        if key not in spec.sensors:
            raise ConfigError(f"unknown sensor {key!r}; the world has {', '.join(sorted(spec.sensors))}")
        sensor = spec.sensors[key]
        if sensor.privileged:
            raise ConfigError(
                f"sensor {key!r} is privileged: no robot could see it, so the encoder may not; remove it from sensors"
            )
        (images if sensor.kind == "image" else vectors).append(key)
    if len(images) != 1:
        raise ConfigError(f"the encoder needs exactly one image among its sensors, got {images} of {list(sensors)}")
    return images, vectors
