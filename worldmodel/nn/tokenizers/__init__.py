"""Sensors as tokens, one file a modality: values (B, T, ...) -> (B, T, tokens, C).

camera.py       pictures and films: patches or tubelets, a convolutional stem, or convolutions down to the grid
depth.py        depth pictures
vector.py       proprioception; touch and force
audio.py        log-mel patches of what was heard since the frame before
instruction.py  words, hashed; or a sentence's embedding from elsewhere
"""

from __future__ import annotations

from worldmodel.nn.tokenizers.audio import AudioTokenizer
from worldmodel.nn.tokenizers.camera import CameraTokenizer, ConvTokenizer, conv_layers
from worldmodel.nn.tokenizers.depth import DepthTokenizer
from worldmodel.nn.tokenizers.instruction import SentenceTokenizer, WordTokenizer, encode_text
from worldmodel.nn.tokenizers.vector import TouchTokenizer, VectorTokenizer

__all__ = [
    "AudioTokenizer",
    "CameraTokenizer",
    "ConvTokenizer",
    "DepthTokenizer",
    "SentenceTokenizer",
    "TouchTokenizer",
    "VectorTokenizer",
    "WordTokenizer",
    "conv_layers",
    "encode_text",
]
