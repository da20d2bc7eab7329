"""The default encoder: convolutions for one camera with a token for each place, and a token for each vector.

B batch   T time   K tokens a frame   D token width
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from worldmodel.encoders.base import Encoder, normaliser
from worldmodel.encoders.config import EncoderConfig
from worldmodel.layout import TokenLayout
from worldmodel.nn.embodied import Body, per_body
from worldmodel.nn.tokenizers import VectorTokenizer, conv_layers
from worldmodel.nn.tokenizers.camera import centred
from worldmodel.types import Observation


class ImageTokenizer(nn.Module):
    """Pictures uint8 (R, H, W, 3) -> tokens (R, grid * grid, D), not normalised yet."""

    def __init__(self, config: EncoderConfig, shape: tuple[int, ...]) -> None:
        super().__init__()
        height, width, channels = shape
        self.layers = conv_layers((height, width), channels, config.widths, config.stem_stride, config.grid, config.token_dim)

    def forward(self, pixels: Tensor) -> Tensor:
        """Pictures are centred to [-1, 1] here, and only here."""
        return self.layers(centred(pixels)).flatten(2).transpose(1, 2)


class TokenEncoder(Encoder):
    """Observation -> (B, T, K, D): the picture's places in row order, then one token for each vector sensor."""

    image: str

    def __init__(self, config: EncoderConfig, sensors: tuple[str, ...], bodies: tuple[Body, ...]) -> None:
        super().__init__()
        kinds = {key: bodies[0].spec.sensors[key].kind for key in sensors}
        self.image = next(key for key in sensors if kinds[key] == "image")
        self.cameras = (self.image,)
        self.vectors = [key for key in sensors if key != self.image]
        self.tokenize_image = ImageTokenizer(config, bodies[0].spec.sensors[self.image].shape)
        self.tokenize_vectors = nn.ModuleDict(
            {key: per_body([_vector_tokenizer(key, config, body) for body in bodies]) for key in self.vectors}
        )
        self.layout = TokenLayout(config.grid, num_extra=len(self.vectors))
        self.norm = per_body([normaliser(config, self.num_tokens) for _ in bodies])

    def tokens(self, obs: Observation) -> Tensor:
        """(B, T, K, D), not normalised."""
        pixels = obs[self.image]
        tokens = [self.tokenize_image(pixels.flatten(0, 1))]
        tokens += [self.tokenize_vectors[key](obs[key].flatten(0, 1).flatten(1)) for key in self.vectors]
        return (torch.cat(tokens, dim=1) if len(tokens) > 1 else tokens[0]).unflatten(0, pixels.shape[:2])


def _vector_tokenizer(key: str, config: EncoderConfig, body: Body) -> VectorTokenizer:
    return VectorTokenizer(math.prod(body.spec.sensors[key].shape), config.token_dim, body.normalisation.get(key))
