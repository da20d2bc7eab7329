"""How the heads are fitted."""

from __future__ import annotations

from dataclasses import dataclass

from worldmodel.checks import require_at_least, require_positive, require_share
from worldmodel.errors import ConfigError


@dataclass(frozen=True)
class HeadsConfig:
    """How the heads are fitted."""

    num_labelled_frames: int = 2000
    """Labelled frames used in all, held-out ones included."""
    num_unlabelled_frames: int = 10000
    """Frames without labels on which the head teaches a second one, which takes its place; 0 keeps the first."""
    max_steps_ahead: int = 2
    """Labels are used for latents imagined up to so many actions ahead."""
    progress_steps: int = 2000
    """Optimiser steps of the progress head."""
    progress_width: int = 64
    """Channels of the progress head."""
    batch_size: int = 128
    """Latents a step."""
    learning_rate: float = 2e-3
    """Peak of the one-cycle schedule."""
    weight_decay: float = 0.02
    """AdamW weight decay."""
    latent_noise: float = 0.1
    """Standard deviation of the noise added to latents (which have unit variance)."""
    token_dropout: float = 0.02
    """Share of tokens set to zero."""
    position_coef: float = 4.0
    """Weight of the position error beside the status error."""
    held_out: float = 0.1
    """Share of the labelled episodes that choose the best head and are never trained on."""
    picture_steps: int = 400
    """Optimiser steps of the picture head; zero leaves it untrained."""
    picture_width: int = 32
    """Channels of the picture head."""

    def __post_init__(self) -> None:
        """Raise ConfigError for runs too short to have a warm-up, and for what could not be fitted."""
        require_at_least(self, 20, "num_labelled_frames")
        require_at_least(self, 1, "progress_width", "batch_size", "picture_width")
        require_at_least(self, 0, "num_unlabelled_frames", "max_steps_ahead", "picture_steps")
        require_at_least(self, 0, "weight_decay", "latent_noise", "position_coef")
        require_positive(self, "learning_rate")
        require_share(self, "token_dropout", one=False)
        require_share(self, "held_out", zero=False, one=False)
        if self.progress_steps < 20 or 0 < self.picture_steps < 20:
            raise ConfigError(
                f"heads need 20 steps or more (picture_steps may be 0), got progress_steps {self.progress_steps} "
                f"and picture_steps {self.picture_steps}"
            )
