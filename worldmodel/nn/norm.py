"""Normalisation of tokens over the batch at their own place.

Pooled over places, tokens would spend their variance on saying where they are, and a still background would drown the few
places where something happens. So each (place, channel) has its own mean and variance over batch and time.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worldmodel.nn.across import mean_across, num_ranks


class PlaceNorm(nn.Module):
    """Batch normalisation without affine parameters, statistics per (place, channel); running ones when not training.

    Over several ranks they are those of the whole batch, with gradients.
    """

    mean: Tensor
    variance: Tensor
    num_updates: Tensor

    def __init__(self, num_places: int, width: int, momentum: float = 0.02, eps: float = 1e-4) -> None:
        super().__init__()
        self.momentum, self.eps = momentum, eps
        self.register_buffer("mean", torch.zeros(num_places * width))
        self.register_buffer("variance", torch.ones(num_places * width))
        self.register_buffer("num_updates", torch.zeros((), dtype=torch.int64))

    def forward(self, z: Tensor) -> Tensor:
        """Normalised tokens in float32 (float64 where z is), same shape as z (..., K, D)."""
        flat = z.to(torch.promote_types(z.dtype, torch.float32)).reshape(-1, self.mean.numel())  # (rows, K*D)
        if not self.training:
            return F.batch_norm(flat, self.mean, self.variance, eps=self.eps).reshape(z.shape)
        if num_ranks() > 1:
            out, mean, variance = self._over_ranks(flat)
        else:
            mean, variance = torch.zeros_like(self.mean), torch.ones_like(self.variance)
            out = F.batch_norm(flat, mean, variance, training=True, momentum=1.0, eps=self.eps)
        # A plain average at first, so that a short run does not end on the initial values. All in tensors: one graph.
        self.num_updates += 1
        momentum = (1.0 / self.num_updates).clamp_min(self.momentum)
        self.mean.lerp_(mean, momentum)
        self.variance.lerp_(variance, momentum)
        return out.reshape(z.shape)

    def _over_ranks(self, flat: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The rows (R, K * D) normalised by the moments of all ranks' rows; their mean and unbiased variance, as for one."""
        num = len(flat) * num_ranks()
        mean = mean_across(flat.mean(0))
        centred = flat - mean
        variance = mean_across(centred.square().mean(0))
        return centred * (variance + self.eps).rsqrt(), mean.detach(), variance.detach() * (num / (num - 1))
