"""Latent and action -> next latent: a transformer over the places of a frame, and over a few frames.

B batch   T time   K tokens a frame   D latent width   A action dim   C transformer width   G grid side   m merge
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import cast

import torch
from torch import Tensor, nn

from worldmodel.errors import ConfigError
from worldmodel.layout import TokenLayout
from worldmodel.nn.actions import RelativeAction, VectorAction, token_centres
from worldmodel.nn.blocks import AdaLNBlock
from worldmodel.nn.embodied import per_body
from worldmodel.nn.masks import FrameMask
from worldmodel.nn.memory import Memory, keep
from worldmodel.nn.merge import merge, unmerge
from worldmodel.nn.rotary import Rotation, angles
from worldmodel.predictor_config import PredictorConfig
from worldmodel.types import ActionSpec

__all__ = ["Predictor", "PredictorConfig"]


class Predictor(nn.Module):
    """Next latents, each from its frame, the frames before it that the blocks reach, and their actions.

    `forward` takes all frames of a window at once. `remember` and `advance` say the same frame by frame: what has been seen
    stays as keys and values, and a new frame costs one frame.
    """

    place_angle: Tensor
    frame_angle: Tensor

    def __init__(
        self,
        config: PredictorConfig,
        actions: Sequence[ActionSpec],
        layout: TokenLayout,
        token_dim: int,
        reaches: tuple[int, ...] | None = None,
    ) -> None:
        """`actions`: of each embodiment.

        `reaches`: earlier frames that each block sees (worldmodel.nn.memory); None means that frames are on their own.
        """
        super().__init__()
        self.config, self.layout = config, layout
        grid = layout.grid
        self.reaches = reaches or (0,) * config.depth
        if len(self.reaches) != config.depth:
            raise ConfigError(f"{len(self.reaches)} reaches do not fit {config.depth} blocks; give one for each")
        if config.action == "relative" and not layout.num_placed:
            raise ConfigError("no token has a place that an action could be relative to; use action: vector, or output: grid")
        width, patch = config.action_width, config.merge**2
        told_width = width if config.at_input else 0
        relative = [_is_relative(config, action) for action in actions]
        if layout.num_placed and config.at_input:
            self.action = per_body(
                [
                    RelativeAction(action, grid, width) if placed else VectorAction(action, width)
                    for action, placed in zip(actions, relative, strict=True)
                ]
            )
        self.action_elsewhere = None
        if any(relative) and layout.num_cameras > 1:  # the calibration is of the first camera
            self.action_elsewhere = per_body([VectorAction(action, width) for action in actions])
        if config.steers:
            self.frame_action = per_body([VectorAction(action, config.cond_dim) for action in actions])
        if config.action == "concat":  # tokens without a place are told it too, since nothing steers
            self.extra_action = per_body([VectorAction(action, width) for action in actions])
        if config.action == "token":
            self.action_token = per_body([VectorAction(action, config.width) for action in actions])

        if layout.num_placed:
            self.embed = nn.Linear(patch * (token_dim + told_width), config.width)
        self.embed_extra = nn.Linear(token_dim + (width if config.action == "concat" else 0), config.width)
        self.num_extra = layout.num_extra
        self.num_places = layout.num_cameras * (grid // config.merge) ** 2
        # the action's own token comes last
        num_tokens = self.num_places + self.num_extra + (config.action == "token")
        self.place = nn.Parameter(0.02 * torch.randn(num_tokens, config.width))
        if layout.num_placed and config.at_input:
            self.condition = nn.Linear(patch * config.action_width, config.cond_dim)
        self.blocks = nn.ModuleList(
            AdaLNBlock(config.width, config.num_heads, config.mlp_ratio, config.cond_dim) for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.width)
        if layout.num_placed:
            self.out = _zeros(nn.Linear(config.width, patch * token_dim))
        self.out_extra = _zeros(nn.Linear(config.width, token_dim))
        # (down, right, frame) of each place in tokens, for each camera the same; extra tokens lie at the picture's centre
        side = grid // config.merge
        of_camera = token_centres(side).flip(-1) * side / 2 if layout.num_placed else torch.zeros(0, 2)
        places = torch.cat([of_camera.repeat(layout.num_cameras, 1), torch.zeros(num_tokens - self.num_places, 2)])
        places = torch.cat([places, torch.zeros(len(places), 1)], dim=-1)
        head_dim = config.width // config.num_heads
        self.register_buffer("place_angle", angles(places, head_dim), persistent=False)
        self.register_buffer("frame_angle", angles(torch.tensor([[0.0, 0.0, 1.0]]), head_dim), persistent=False)

    @property
    def context_length(self) -> int:
        """Frames on which a prediction can depend."""
        return 1 + sum(self.reaches)

    def forward(self, z: Tensor, actions: Tensor) -> Tensor:
        """z (B, T, K, D) and actions (B, T, A) -> z of the frame after each, (B, T, K, D); frame t sees frames <= t."""
        with _precision(z):
            x, cond = self._embed(z, actions)
            turn = self._rotation(0, x.shape[1])
            for block, reach in zip(self.blocks, self.reaches, strict=True):
                x = block(x, cond, turn, FrameMask(x.shape[1], x.shape[2], reach))
            return self._read_out(x, z)

    def remember(self, z: Tensor, actions: Tensor) -> Memory:
        """What is kept of frames z (B, P, K, D) and the actions (B, P, A) after each, for the frames that follow them."""
        memory: Memory = ()
        with _precision(z):
            x, cond = self._embed(z, actions)
            num_frames, size = x.shape[1:3]
            turn = self._rotation(0, num_frames)
            for i, (block, reach) in enumerate(zip(self.blocks, self.reaches, strict=True)):
                needed = sum(self.reaches[i:])  # frames on which this block and those after it depend
                if needed == 0:
                    return (*memory, *(None,) * (len(self.blocks) - i))
                x, cond = x[:, -needed:], cond[:, -needed:]
                recent = turn[0][-x.shape[1] * size :], turn[1][-x.shape[1] * size :]
                mask = FrameMask(x.shape[1], size, reach)
                x, past = cast(AdaLNBlock, block).extend(x, cond, recent, mask)
                memory = (*memory, keep(past, reach * size))
        return memory

    def advance(self, z: Tensor, actions: Tensor, memory: Memory, frame: int) -> tuple[Tensor, Memory]:
        """The latent after a frame and what is kept then: z (R, K, D), actions (R, A), the frame's number in the memory's time.

        The frames in the memory end at `frame` - 1. Equal to `forward` with the frames of the memory before this one.
        """
        with _precision(z):
            x, cond = self._embed(z.unsqueeze(1), actions.unsqueeze(1))
            # frames on their own have no time: the numbers do not depend on when, not even in the last bit
            turn, kept = self._rotation(frame if self.context_length > 1 else 0, 1), []
            for block, reach, seen in zip(self.blocks, self.reaches, memory, strict=True):
                x, past = cast(AdaLNBlock, block).extend(x, cond, turn, past=seen)
                kept.append(keep(past, reach * x.shape[2]))
            return self._read_out(x, z.unsqueeze(1)).squeeze(1), tuple(kept)

    def _embed(self, z: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (B, T, places, C) and what steers them, (B, T, places or 1, cond_dim)."""
        grid, m = self.layout.grid, self.config.merge
        placed, extra = z[:, :, : self.layout.num_placed], z[:, :, self.layout.num_placed :]
        # (B, T, 1, cond_dim): the action, one for the frame; a condition of zero leaves the blocks their own gains and biases
        cond = self.frame_action(actions) if self.config.steers else z.new_zeros(*z.shape[:2], 1, self.config.cond_dim)
        tokens, steering = [], []
        if self.num_places and not self.config.at_input:
            tokens.append(self.embed(merge(placed, grid, m)))
        elif self.num_places:
            # Embed: each place's latent beside its view of the action, merged with its neighbours.
            told = merge(self._told(actions).to(z.dtype), grid, m)  # (B, T, places / m^2, m^2 * action_width)
            tokens.append(self.embed(torch.cat([merge(placed, grid, m), told], dim=-1)))
            if self.config.modulation == "token":
                steering.append(self.condition(told) + cond)
        if self.num_extra:
            if self.config.action == "concat":
                told = self.extra_action(actions).to(z.dtype).expand(-1, -1, self.num_extra, -1)
                extra = torch.cat([extra, told], dim=-1)
            tokens.append(self.embed_extra(extra))
            steering.append(cond.expand(-1, -1, self.num_extra, -1))
        if self.config.action == "token":
            tokens.append(self.action_token(actions).to(tokens[0].dtype))
        x = tokens[0] if len(tokens) == 1 else torch.cat(tokens, dim=2)
        if self.num_places and self.config.modulation == "token":
            cond = steering[0] if len(steering) == 1 else torch.cat(steering, dim=2)
        return x + self.place, nn.functional.silu(cond)

    def _told(self, actions: Tensor) -> Tensor:
        """The action at every place of every camera, (B, T, places, action_width)."""
        told = self.action(actions)  # (B, T, places of a camera or 1, action_width)
        batch, time, _, width = told.shape
        if self.action_elsewhere is None:
            return told.expand(batch, time, self.layout.num_placed, width)
        first = told.expand(batch, time, self.layout.places, width)
        others = self.action_elsewhere(actions).expand(batch, time, self.layout.num_placed - self.layout.places, width)
        return torch.cat([first, others], dim=2)

    def _read_out(self, x: Tensor, z: Tensor) -> Tensor:
        """Residual: most of a table stays as it is."""
        x, changes = self.norm(x), []
        if self.num_places:
            changes.append(unmerge(self.out(x[:, :, : self.num_places]), self.layout.grid, self.config.merge))
        if self.num_extra:
            changes.append(self.out_extra(x[:, :, self.num_places : self.num_places + self.num_extra]))
        change = changes[0] if len(changes) == 1 else torch.cat(changes, dim=2)
        return z + change.to(z.dtype)

    def _rotation(self, first: int, num_frames: int) -> Rotation:
        """Of the tokens of `num_frames` frames from number `first` on, in the order of (frame, place)."""
        frames = torch.arange(first, first + num_frames, device=self.frame_angle.device, dtype=self.frame_angle.dtype)
        angle = (self.place_angle + frames[:, None, None] * self.frame_angle).flatten(0, 1)
        return angle.cos(), angle.sin()


def _precision(z: Tensor) -> AbstractContextManager[object]:
    """Layers of this size lose to the casts what bfloat16 gains them on a CPU (measured); convolutions do not."""
    if z.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
        return torch.autocast("cpu", enabled=False)
    return nullcontext()


def _is_relative(config: PredictorConfig, action: ActionSpec) -> bool:
    """Whether an action is told to each place from where that is."""
    known = len(action.points) >= 2 and action.image_from_action is not None
    return config.action == "relative" or (config.action == "auto" and known)


def _zeros(layer: nn.Linear) -> nn.Linear:
    """The layer with weights of zero: a new predictor says that nothing moves."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
