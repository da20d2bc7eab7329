"""Masked latent prediction: what a film's hidden tokens mean, from the visible ones (V-JEPA, arXiv:2404.08471, eq. 1).

    loss = | P(E(visible), places of the hidden) - sg(target) |_1,    target = latents of the whole film at the hidden places

Actions are not looked at, so that films without any will do. The target is the EMA copy's latent, or the encoder's own
behind a stopped gradient; then something else, SIGReg say, has to keep it from collapsing. P is a narrow transformer that
belongs to the objective: it is thrown away with it. Over several ranks, masks are those of the whole batch.

B batch   T time   N cameras   G grid side   K tokens a frame   D latent width   V visible   M hidden   C width of P
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worldmodel.checks import require_at_least
from worldmodel.encoder import Encoder
from worldmodel.errors import ConfigError
from worldmodel.masking import LONG_RANGE, SHORT_RANGE, BlockMaskConfig, TokenSplit, draw_split, paint_over
from worldmodel.nn.across import num_ranks, own_rows, same_on_all
from worldmodel.nn.actions import token_centres
from worldmodel.nn.rotary import rotation
from worldmodel.nn.vit import ViT
from worldmodel.types import Observation


@dataclass(frozen=True)
class MaskedConfig:
    """Which tokens are hidden, and what predicts them."""

    masks: tuple[BlockMaskConfig, ...] = field(default=(SHORT_RANGE, LONG_RANGE))
    """Kinds of masks; each update draws one of each."""
    width: int = 96
    """Width of the predicting transformer, C."""
    depth: int = 3
    """Its blocks."""
    num_heads: int = 4
    """Its attention heads."""

    def __post_init__(self) -> None:
        """Raise ConfigError for sizes that make no transformer, and for no mask."""
        require_at_least(self, 1, "width", "depth", "num_heads")
        if not self.masks:
            raise ConfigError("masks is []; expected one kind of mask or more")
        if self.width % (2 * self.num_heads):
            raise ConfigError(
                f"width is {self.width}; expected a multiple of {2 * self.num_heads}: {self.num_heads} heads of even width"
            )


class MaskedPrediction(nn.Module):
    """The loss, and the transformer that predicts."""

    place_positions: Tensor

    def __init__(self, config: MaskedConfig, encoder: Encoder, token_dim: int) -> None:
        super().__init__()
        self.config, self.layout = config, encoder.layout
        if not self.layout.num_placed:
            raise ConfigError("masked prediction hides tokens that have a place; use model.encoder.output: grid")
        width = config.width
        self.embed = nn.Linear(token_dim, width)
        self.hidden = nn.Parameter(0.02 * torch.randn(width))
        self.camera = nn.Parameter(0.02 * torch.randn(self.layout.num_cameras, width))
        self.trunk = ViT(width, config.depth, config.num_heads, mlp_ratio=4.0)
        self.out = nn.Linear(width, token_dim)
        centres = token_centres(self.layout.grid).flip(-1) * self.layout.grid / 2  # (down, right) in tokens
        self.register_buffer("place_positions", centres.repeat(self.layout.num_cameras, 1), persistent=False)

    def forward(self, encoder: Encoder, obs: Observation, target: Tensor, generator: torch.Generator) -> Tensor:
        """Mean absolute error (scalar) over the kinds of masks, for a film `obs` and its latents `target` (B, T, K, D)."""
        placed = target[:, :, : self.layout.num_placed].detach().flatten(1, 2)  # (B, L, D)
        batch, num_frames = target.shape[:2]
        losses = []
        for tokens in self.draw(batch, num_frames, generator, target.device):
            context = encoder.visible(hide(encoder, obs, tokens.masks), tokens.visible)
            predicted = self.predict(context, tokens.visible, tokens.hidden)
            wanted = take(placed, tokens.hidden)
            losses.append(F.l1_loss(predicted.to(torch.promote_types(predicted.dtype, wanted.dtype)), wanted))
        return torch.stack(losses).mean()

    def draw(self, batch: int, num_frames: int, generator: torch.Generator, device: torch.device) -> list[TokenSplit]:
        """What each kind of mask shows and hides of B windows of T frames."""
        seed = torch.randint(2**62, (1,), generator=generator, device=generator.device).to(device)
        rng = np.random.default_rng(int(same_on_all(seed)))
        everyone, own = batch * num_ranks(), own_rows(batch)
        splits = [draw_split(kind, everyone, num_frames, self.layout, rng, own) for kind in self.config.masks]
        return [TokenSplit(*(part.to(device) for part in (s.masks, s.visible, s.hidden))) for s in splits]

    def predict(self, context: Tensor, visible: Tensor, hidden: Tensor) -> Tensor:
        """Latents of the hidden tokens (B, M, D), from those of the visible ones (B, V, D) and where both are."""
        everywhere = torch.cat([visible, hidden], dim=1)  # (B, V + M)
        x = self.embed(context)
        x = torch.cat([x, self.hidden.to(x.dtype).expand(*hidden.shape, -1)], dim=1)
        place = everywhere % self.layout.num_placed
        x = x + self.camera[place // self.layout.places]
        frame = (everywhere // self.layout.num_placed).float().unsqueeze(-1)
        positions = torch.cat([frame, self.place_positions[place]], dim=-1)  # (B, V + M, 3): time, y, x
        head_dim = self.config.width // self.config.num_heads
        turn = rotation(positions.flatten(0, 1), head_dim)
        turn = tuple(part.unflatten(0, place.shape).unsqueeze(1) for part in turn)
        return self.out(self.trunk(x, turn)[:, visible.shape[1] :])  # type: ignore[arg-type]


def hide(encoder: Encoder, obs: Observation, masks: Tensor) -> Observation:
    """The observation with its pictures painted over where `masks` (B, T, N, G, G) hide them."""
    covered = {key: paint_over(obs[key], masks[:, :, i]) for i, key in enumerate(encoder.cameras) if key in obs}
    return {**obs, **covered}


def take(tokens: Tensor, chosen: Tensor) -> Tensor:
    """Rows (B, M) of tokens (B, L, D), (B, M, D)."""
    return tokens.gather(1, chosen.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]))
