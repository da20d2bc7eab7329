"""Temporal similarity: a latent changes no more from frame to frame than it must (PLDM, arXiv:2502.14819, section 3).

    mean (z_{t+1} - z_t)^2

Alone it is smallest where nothing is left in the latent: VICReg's variance, or SIGReg, has to stand against it.

B batch   T time   K tokens a frame   D latent width
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def difference(z: Tensor) -> Tensor:
    """Mean squared difference of consecutive latents (scalar) of z (B, T, K, D), with gradient into both."""
    return F.mse_loss(z[:, 1:], z[:, :-1])
