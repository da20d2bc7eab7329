"""SIGReg: keeps the latent from collapsing by testing random projections of it for being standard normal.

Epps-Pulley statistic against N(0, 1) on random unit projections (LeJEPA, sections 4 and 5; the settings are LeWM's):

    statistic = N * integral |ecf(t) - exp(-t^2 / 2)|^2 exp(-t^2 / 2) dt,   ecf(t) = mean_n exp(i t x_n)

The integrand is even in t, so the trapezoid rule runs over [0, 3] and counts twice. It is taken at each place and time
step on its own, over the batch: pooled over places, a token would pass the test by saying where it is. Over several
ranks it is that of the whole batch: the ecf is a mean, so ranks average theirs; all use the first rank's directions.

    B batch   T time   K tokens a frame   D latent width   P sampled places   M projections
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from worldmodel.checks import require_at_least, require_positive
from worldmodel.nn.across import mean_across, num_ranks, same_on_all
from worldmodel.nn.precision import at_least_float32, whole_precision


@dataclass(frozen=True)
class SIGRegConfig:
    """How finely the test looks. What one step leaves out, another one draws."""

    num_places: int = 16
    """Places drawn afresh each step; all of them when there are fewer."""
    num_projections: int = 16
    """Unit directions drawn afresh each step for each drawn place."""
    num_knots: int = 17
    """Points of the trapezoid rule."""
    t_max: float = 3.0
    """Upper end of the integral."""
    pooled: bool = False
    """Whether the tokens of all places are one sample, whatever speaks against it (above)."""

    def __post_init__(self) -> None:
        """Raise ConfigError for a test that looks at nothing."""
        require_at_least(self, 1, "num_places", "num_projections")
        require_at_least(self, 2, "num_knots")
        require_positive(self, "t_max")


def epps_pulley(x: Tensor, num_knots: int = 17, t_max: float = 3.0) -> Tensor:
    """The statistic over the first axis, of all ranks: samples (N, ...) -> (...)."""
    t = torch.linspace(0, t_max, num_knots, device=x.device, dtype=x.dtype)
    normal = torch.exp(-0.5 * t.square())
    step = t_max / (num_knots - 1)
    weight = torch.full_like(t, 2 * step)
    weight[0] = weight[-1] = step
    angle = x.unsqueeze(-1) * t  # (N, ..., knots)
    real, imaginary = mean_across(angle.cos().mean(0)), mean_across(angle.sin().mean(0))
    distance = (real - normal).square() + imaginary.square()
    return len(x) * num_ranks() * (distance * (weight * normal)).sum(-1)


class SIGReg(nn.Module):
    """Mean statistic over drawn places, times and projections: z (B, T, K, D) -> scalar."""

    def __init__(self, config: SIGRegConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, z: Tensor, generator: torch.Generator) -> Tensor:
        """The generator draws places and directions on its own device, so that one seed is one run everywhere."""
        if self.config.pooled:
            z = z.transpose(1, 2).flatten(0, 1).unsqueeze(2)  # (B * K, T, 1, D)
        num_places, width = z.shape[-2:]
        drawn = torch.randperm(num_places, generator=generator, device=generator.device)[: self.config.num_places]
        directions = torch.randn(
            len(drawn), width, self.config.num_projections, generator=generator, device=generator.device
        )  # (P, D, M)
        z = at_least_float32(z)
        directions = same_on_all((directions / directions.norm(dim=1, keepdim=True)).to(z))
        picked = z.index_select(-2, same_on_all(drawn.to(z.device)))  # (B, T, P, D)
        with whole_precision(z):
            projected = torch.einsum("btpd,pdm->btpm", picked, directions)
            return epps_pulley(projected, self.config.num_knots, self.config.t_max).mean()
