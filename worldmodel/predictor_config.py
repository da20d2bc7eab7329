"""What a predictor looks like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from worldmodel.checks import require_at_least, require_positive
from worldmodel.errors import ConfigError


@dataclass(frozen=True)
class PredictorConfig:
    """What the predictor looks like."""

    width: int = 96
    """Width of the transformer, C."""
    depth: int = 3
    """Number of blocks."""
    num_heads: int = 4
    """Attention heads a block."""
    mlp_ratio: float = 2.0
    """Hidden width of the MLP over C."""
    merge: int = 2
    """The transformer sees merge x merge neighbouring tokens as one: 2 costs a quarter of 1."""
    action: Literal["auto", "relative", "vector", "adaln", "concat", "token"] = "auto"
    """How actions are told. To each token at the input, and by steering the blocks' normalisation (AdaLN): relative to each
    place, or as a plain vector; auto is relative where the action has points and tokens have places. (The calibration is of
    the first camera: to the others, an action is a vector either way.) By steering alone: adaln, as LeWM. At the input alone,
    beside each token's channels: concat, as DINO-WM. As a token of its own in each frame: token, as V-JEPA 2-AC."""
    action_width: int = 32
    """Width of the action's embedding at each place."""
    modulation: Literal["token", "frame"] = "frame"
    """Whether the action also steers the blocks' normalisation at each token on its own, or in the same way for a frame.
    (It is told to each token at the input either way; token costs a third more, and predicted 3 % better on discs.)"""
    cond_dim: int = 48
    """Width of the condition that steers the blocks."""

    def __post_init__(self) -> None:
        """Raise ConfigError for sizes that make no transformer."""
        require_at_least(self, 1, "width", "depth", "num_heads", "merge", "action_width", "cond_dim")
        require_positive(self, "mlp_ratio")
        if self.width % (2 * self.num_heads):
            raise ConfigError(
                f"width is {self.width}; expected a multiple of {2 * self.num_heads}: {self.num_heads} heads of even width"
            )
        if self.width * self.mlp_ratio < 1:
            raise ConfigError(f"mlp_ratio is {self.mlp_ratio}; expected at least one hidden channel, 1 / width")
        if self.modulation == "token" and not (self.at_input and self.steers):
            raise ConfigError(f"modulation is token and action is {self.action}; expected action: auto, relative or vector")

    @property
    def at_input(self) -> bool:
        """Whether each token is told the action at the input."""
        return self.action not in ("adaln", "token")

    @property
    def steers(self) -> bool:
        """Whether the action steers the blocks' normalisation; otherwise that has gains and biases of its own."""
        return self.action not in ("concat", "token")
