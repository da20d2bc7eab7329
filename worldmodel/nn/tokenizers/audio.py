"""Sound as patches of a log-mel spectrogram, computed here: no torchaudio.

B batch   T time   S samples a frame   F frequencies   M mel bands   W spectra   C width of a token
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worldmodel.errors import ConfigError

WINDOW, HOP = 0.025, 0.010
"""Length of a spectrum and the time between two [s]: the usual ones for speech and for contact sounds."""
FLOOR = 1e-6
"""Power that counts as silence."""


def mel_filters(num_mels: int, num_fft: int, rate: int) -> Tensor:
    """Triangles on the mel scale, (M, F): mel = 2595 log10(1 + Hz / 700), from 0 to half the rate, each with a peak of 1."""
    top = 2595 * math.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (torch.linspace(0, top, num_mels + 2, dtype=torch.float64) / 2595) - 1)  # [Hz]
    hz = torch.linspace(0, rate / 2, num_fft // 2 + 1, dtype=torch.float64)
    low, peak, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (hz - low) / (peak - low), (high - hz) / (high - peak)
    return torch.minimum(rising, falling).clamp_min(0).float()


class AudioTokenizer(nn.Module):
    """Sound of each frame (B, T, S) float32 in [-1, 1] -> (B, T, tokens, C): patches of bands x spectra, low bands first."""

    window: Tensor
    filters: Tensor
    grid = 0

    def __init__(self, num_samples: int, width: int, *, rate: int = 16000, num_mels: int = 64, patch: int = 16) -> None:
        """`rate` in samples a second; `patch`: mel bands, and spectra, in one token."""
        super().__init__()
        if num_mels % patch:
            raise ConfigError(f"{num_mels} mel bands do not divide into patches of {patch}")
        length, self.hop = round(WINDOW * rate), round(HOP * rate)
        self.num_fft = 2 ** math.ceil(math.log2(length))
        self.padding = max(0, length - num_samples)  # a frame shorter than a spectrum ends in silence
        self.num_spectra = 1 + (num_samples + self.padding - length) // self.hop
        self.patch, self.length = patch, length
        self.register_buffer("window", torch.hann_window(length), persistent=False)
        self.register_buffer("filters", mel_filters(num_mels, self.num_fft, rate), persistent=False)
        self.num_tokens = num_mels // patch * math.ceil(self.num_spectra / patch)
        self.embed = nn.Linear(patch**2, width)
        self.place = nn.Parameter(0.02 * torch.randn(self.num_tokens, width))

    def log_mel(self, sound: Tensor) -> Tensor:
        """(R, S) -> (R, M, W): about 0 for loud sound, -1 for silence."""
        pieces = F.pad(sound.float(), (0, self.padding)).unfold(-1, self.length, self.hop)  # (R, W, length)
        power = torch.fft.rfft(pieces * self.window, self.num_fft).abs().square() / self.length
        return ((power @ self.filters.T + FLOOR).log() / -math.log(FLOOR)).transpose(1, 2)

    def forward(self, sound: Tensor) -> Tensor:
        """(B, T, S) -> (B, T, tokens, C)."""
        mel = self.log_mel(sound.flatten(2).flatten(0, 1))
        mel = F.pad(mel, (0, -self.num_spectra % self.patch), value=-1.0)
        patches = mel.unfold(1, self.patch, self.patch).unfold(2, self.patch, self.patch).flatten(3).flatten(1, 2)
        return (self.embed(patches) + self.place).unflatten(0, sound.shape[:2])
