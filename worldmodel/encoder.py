"""Sensors -> latent tokens: the encoder that a configuration asks for."""

from __future__ import annotations

from worldmodel.encoders.base import Encoder
from worldmodel.encoders.config import EncoderConfig
from worldmodel.encoders.conv import ImageTokenizer, TokenEncoder
from worldmodel.encoders.fused import FusedEncoder, ViTEncoder
from worldmodel.encoders.sensors import modality_of, require_readable
from worldmodel.nn.embodied import Body

__all__ = ["Encoder", "EncoderConfig", "ImageTokenizer", "TokenEncoder", "build_encoder"]


def build_encoder(config: EncoderConfig, sensors: tuple[str, ...], bodies: tuple[Body, ...]) -> Encoder:
    """The encoder for these sensors of one body or of several. ConfigError for sensors that it may not or cannot read."""
    if config.kind == "vit":
        encoder: Encoder = ViTEncoder(config, sensors, bodies)
    elif config.kind == "pretrained":
        from worldmodel.encoders.pretrained import PretrainedEncoder

        encoder = PretrainedEncoder(config, sensors, bodies)
    else:
        encoder = (TokenEncoder if _is_plain(config, sensors, bodies) else FusedEncoder)(config, sensors, bodies)
    if config.frozen:
        encoder.freeze()
    return encoder


def _is_plain(config: EncoderConfig, sensors: tuple[str, ...], bodies: tuple[Body, ...]) -> bool:
    """Whether one camera and vectors are all there is, as a grid."""
    require_readable([key for key in sensors if not config.sensor_dropout or key in bodies[0].spec.sensors], bodies[0].spec)
    if config.output != "grid" or config.sensor_dropout > 0:
        return False
    found = [modality_of(key, bodies[0].spec.sensors[key], config.tokens.modalities) for key in sensors]
    return found.count("camera") == 1 and all(modality in ("camera", "proprio") for modality in found)
