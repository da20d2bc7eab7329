"""Which tokens of a frame lie where: what encoder, predictor and heads have to agree on.

    camera 0's places in row order | camera 1's | ... | tokens without a place

The first camera is the one that the action's calibration (`ActionSpec.image_from_action`) speaks of.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TokenLayout:
    """The K tokens of a frame."""

    grid: int
    """Places along each side of a camera's picture; 0 where no token has a place."""
    num_cameras: int = 1
    """Cameras with a grid each; 0 where no token has a place."""
    num_extra: int = 0
    """Tokens without a place, behind all grids."""

    @property
    def places(self) -> int:
        """Tokens of one camera's grid."""
        return self.grid**2

    @property
    def num_placed(self) -> int:
        """Tokens that have a place, of all cameras together."""
        return self.num_cameras * self.grid**2

    @property
    def num_tokens(self) -> int:
        """K."""
        return self.num_placed + self.num_extra
