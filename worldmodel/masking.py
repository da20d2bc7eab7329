"""Multi-block masks over space and time: which tokens of a film are shown, and which have to be predicted.

A mask is the union of a few blocks, rectangles that reach through some frames in a row (V-JEPA, arXiv:2404.08471, section
3.2): many small ones, or few large ones. What is left is shown. Pictures are painted over where a token is hidden, so that
an encoder whose tokens overlap learns nothing of it either.

B batch   T time   N cameras   G grid side   R masks   L = T * N * G * G placed tokens   V visible tokens   M hidden tokens
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from worldmodel.checks import require_at_least
from worldmodel.errors import ConfigError
from worldmodel.layout import TokenLayout

GREY = 128
"""What hidden places are painted with: 0 once a picture is centred. (Black would be a dead camera.)"""
TRIES = 1000
"""Blocks drawn for a mask before its bounds count as impossible."""


@dataclass(frozen=True)
class BlockMaskConfig:
    """One kind of mask."""

    num_blocks: int = 8
    """Blocks to begin with; more are drawn while less than the least ratio is hidden."""
    scale: tuple[float, float] = (0.15, 0.15)
    """Area of a block, over that of a frame: least and most."""
    aspect: tuple[float, float] = (0.75, 1.5)
    """Height of a block over its width: least and most."""
    duration: tuple[float, float] = (1.0, 1.0)
    """Frames that a block reaches through, over all frames: least and most."""
    ratio: tuple[float, float] = (0.5, 0.9)
    """Share of the tokens that is hidden, of each window and camera: least and most."""

    def __post_init__(self) -> None:
        """Raise ConfigError for masks that hide nothing, or everything."""
        require_at_least(self, 1, "num_blocks")
        for name in ("scale", "duration", "ratio"):
            low, high = getattr(self, name)
            if not 0 < low <= high <= 1:
                raise ConfigError(f"{name} is {[low, high]}; expected the least and the most share, in (0, 1]")
        if not 0 < self.aspect[0] <= self.aspect[1] < float("inf"):
            raise ConfigError(f"aspect is {list(self.aspect)}; expected the least and the most height over width")
        if self.ratio[1] >= 1:
            raise ConfigError("ratio ends at 1; expected less: something has to be shown")


SHORT_RANGE = BlockMaskConfig(8, (0.15, 0.15))
LONG_RANGE = BlockMaskConfig(2, (0.7, 0.7))
"""V-JEPA's two kinds: eight small blocks, and two large ones."""


@dataclass(frozen=True)
class TokenSplit:
    """Which placed tokens of each window are shown and which are to be predicted; the same number in each row."""

    masks: Tensor
    """(B, T, N, G, G) bool: True where a token is hidden. Some tokens are in neither of the two lists below."""
    visible: Tensor
    """(B, V) int64, rising."""
    hidden: Tensor
    """(B, M) int64, rising."""


def draw_split(
    config: BlockMaskConfig,
    batch: int,
    num_frames: int,
    layout: TokenLayout,
    rng: np.random.Generator,
    rows: slice = slice(None),
) -> TokenSplit:
    """Masks for a batch of windows, each camera's blocks its own, and what they show and hide; of that batch, `rows`.

    Raises ConfigError when blocks of this size cannot hide a share between the bounds.
    """
    masks = draw_masks(config, batch * layout.num_cameras, num_frames, layout.grid, rng)
    masks = masks.reshape(batch, layout.num_cameras, *masks.shape[1:]).swapaxes(1, 2)
    visible, hidden = split(masks, rng)
    return TokenSplit(*(torch.from_numpy(np.ascontiguousarray(part[rows])) for part in (masks, visible, hidden)))


def draw_masks(config: BlockMaskConfig, num: int, num_frames: int, grid: int, rng: np.random.Generator) -> np.ndarray:
    """Masks (R, T, G, G), True where a token is hidden, all drawn at once."""
    masks, num_blocks = np.zeros((num, num_frames, grid, grid), bool), np.zeros(num, np.int64)
    least, most = (share * num_frames * grid**2 for share in config.ratio)
    for _ in range(TRIES):
        covered = masks.sum((1, 2, 3))
        drawn = np.flatnonzero((num_blocks < config.num_blocks) | (covered < least))
        if not len(drawn):
            return masks
        wider = masks[drawn] | draw_blocks(config, len(drawn), num_frames, grid, rng)
        fits, enough = wider.sum((1, 2, 3)) <= most, covered[drawn] >= least
        masks[drawn[fits]] = wider[fits]
        num_blocks[drawn[fits | enough]] += 1  # where there is no room for another one, what is there will do
        masks[drawn[~fits & ~enough]] = False  # a dead end: begin anew
        num_blocks[drawn[~fits & ~enough]] = 0
    raise ConfigError(
        f"blocks of scale {list(config.scale)} cannot hide between {config.ratio[0]:g} and {config.ratio[1]:g} of "
        f"{num_frames} x {grid} x {grid} tokens; widen the ratio, or make blocks smaller"
    )


def draw_blocks(config: BlockMaskConfig, num: int, num_frames: int, grid: int, rng: np.random.Generator) -> np.ndarray:
    """A block each, (R, T, G, G) bool: its size, then its place are uniform (the aspect's logarithm is)."""
    area = rng.uniform(*config.scale, num) * grid**2
    narrow, wide = np.log(config.aspect)
    aspect = np.exp(rng.uniform(narrow, wide, num))
    sides = rng.uniform(*config.duration, num) * num_frames, np.sqrt(area * aspect), np.sqrt(area / aspect)
    inside = []
    for whole, side in zip((num_frames, grid, grid), sides, strict=True):
        part = np.rint(side).astype(np.int64).clip(1, whole)
        first, place = rng.integers(0, whole - part + 1)[:, None], np.arange(whole)
        inside.append((place >= first) & (place < first + part[:, None]))
    frames, rows, columns = inside
    return frames[:, :, None, None] & rows[:, None, :, None] & columns[:, None, None, :]


def split(masks: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Tokens shown (B, V) and hidden (B, M) by masks (B, ...): as many in each row as the row with the fewest has.

    Which are left out of the other rows is drawn; a token that is left out is neither shown nor predicted.
    """
    flat = masks.reshape(len(masks), -1)
    chance = rng.random(flat.shape)

    def some(of: np.ndarray) -> np.ndarray:
        return np.sort(np.where(of, chance, 1.0).argsort(axis=1)[:, : of.sum(1).min()], axis=1)

    return some(~flat), some(flat)


def paint_over(pixels: Tensor, masks: Tensor) -> Tensor:
    """Pictures (B, T, H, W, ...) with what lies under hidden tokens (B, T, G, G) painted over: grey, or 0 where no picture."""
    height, width = pixels.shape[2:4]
    grid = masks.shape[-1]
    rows = torch.arange(height, device=masks.device) * grid // height
    columns = torch.arange(width, device=masks.device) * grid // width
    hidden = masks[:, :, rows][..., columns]  # (B, T, H, W)
    hidden = hidden[..., None] if pixels.ndim == 5 else hidden
    if pixels.dtype == torch.uint16:  # which torch.where does not know
        return (pixels.int() * ~hidden).to(torch.uint16)
    return torch.where(hidden, GREY if pixels.dtype == torch.uint8 else 0, pixels)
