"""What the model imagines: predicted latents, decoded into pictures beside what happened.

B = 1 batch, T time, H horizon, K tokens, D latent width
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from agents.report.types import Strip
from worldmodel.errors import DataError
from worldmodel.types import Episode, WorldModel

Decode = Callable[[Tensor], Tensor]
"""Latents (B, T, K, D) -> pictures (B, T, height, width, 3) uint8."""


@torch.no_grad()
def imagine_strips(
    model: WorldModel,
    picture_head: Decode,
    episodes: Sequence[Episode],
    *,
    horizon: int = 3,
    sensors: tuple[str, ...] = ("pixels",),
    picture: str = "pixels",
    device: torch.device | str = "cpu",
) -> list[Strip]:
    """One strip for each episode of at least `horizon` actions: predicted from its first frame and its own actions alone.

    `sensors` are the observations handed to the encoder, `picture` the one that `picture_head` draws. The model is used as
    it is handed in: put it in evaluation mode first.
    """
    strips = []
    for episode in episodes:
        if episode.num_actions < horizon:
            continue
        # copies, because episodes read from disk may not be written to
        obs = {key: torch.from_numpy(np.array(episode.observations[key][None, :1])).to(device) for key in sensors}
        actions = torch.from_numpy(np.array(episode.actions[:horizon])).to(device)
        z = model.encode(obs)  # (1, 1, K, D)
        ahead = model.rollout(z, actions[None, None])[:, 0]  # (1, H, K, D)
        pictures = picture_head(torch.cat([z, ahead], dim=1))  # (1, H + 1, height, width, 3)
        if pictures.dtype != torch.uint8:
            raise DataError(f"the picture head must give uint8 pictures, got {pictures.dtype}")
        real = episode.observations[picture][: horizon + 1]
        strips.append(Strip(real=real, imagined=pictures[0].cpu().numpy(), actions=np.asarray(episode.actions[:horizon])))
    if not strips:
        longest = max((episode.num_actions for episode in episodes), default=0)
        raise DataError(f"no episode has {horizon} actions (longest: {longest}); hand in longer ones or a shorter horizon")
    return strips
