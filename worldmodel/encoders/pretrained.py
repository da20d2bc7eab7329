"""An encoder whose eyes somebody else trained: DINOv2, DINOv3 or V-JEPA 2 from a local folder, frozen or trained on.

    pictures -> the network's patch tokens -> linear map to token_dim (or pooling) -> normalised per place

The folder is read when a model is made from the configuration alone. A run's own weights hold the network, and its manifest
the network's shape, so that a run does not need the folder.
"""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from worldmodel.encoders.config import Backbone, EncoderConfig
from worldmodel.encoders.fused import FusedEncoder
from worldmodel.encoders.hf_folder import read_backbone, read_weights
from worldmodel.encoders.hf_vit import PretrainedViT
from worldmodel.nn.embodied import Body
from worldmodel.nn.tokenizers.camera import patch_layers


class PretrainedTokenizer(nn.Module):
    """Pictures uint8 (B, T, H, W, 3) -> (B, T, G * G, C), each frame on its own."""

    def __init__(self, shape: Backbone, grid: int, frozen: bool) -> None:
        super().__init__()
        self.grid, self.num_tokens, self.frozen = grid, grid**2, frozen
        self.network = PretrainedViT(shape, grid).requires_grad_(not frozen)

    def forward(self, pixels: Tensor) -> Tensor:
        """No gradient into a frozen network."""
        with torch.no_grad() if self.frozen else contextlib.nullcontext():
            return self.network(pixels.flatten(0, 1)).unflatten(0, pixels.shape[:2])

    def train(self, mode: bool = True) -> Self:
        """A frozen network is never in training mode."""
        super().train(mode)
        if self.frozen:
            self.network.eval()
        return self


class PretrainedEncoder(FusedEncoder):
    """As FusedEncoder; cameras are seen by the pretrained network, other sensors by tokenizers of their own."""

    def __init__(self, config: EncoderConfig, sensors: tuple[str, ...], bodies: tuple[Body, ...]) -> None:
        pretrained, folder = config.pretrained, None
        if pretrained.path is not None and pretrained.backbone is None:
            folder = Path(pretrained.path).expanduser()
            pretrained = dataclasses.replace(pretrained, backbone=read_backbone(folder))
            config = dataclasses.replace(config, pretrained=pretrained)
        super().__init__(config, sensors, bodies)
        self.resolved = config
        if folder is not None:
            weights = read_weights(folder)
            for module in self.modules():
                if isinstance(module, PretrainedViT):
                    module.load(weights, str(folder))

    @property
    def backbone(self) -> Backbone:
        """The network's shape."""
        assert self.config.pretrained.backbone is not None
        return self.config.pretrained.backbone

    def _width(self) -> int:
        return self.backbone.width

    def _camera(self, shape: tuple[int, ...], width: int) -> nn.Module:
        return PretrainedTokenizer(self.backbone, self.config.grid, self.config.pretrained.frozen)

    def _depth(self, shape: tuple[int, ...], width: int) -> nn.Module:
        return patch_layers((shape[0], shape[1]), shape[2], self.config.grid, width, stem=False)
