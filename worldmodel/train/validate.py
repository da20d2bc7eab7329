"""Loss on windows of held-out episodes: always the same windows, always the same draws."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from worldmodel.data.loading.batches import WindowSource
from worldmodel.data.loading.mixture import by_embodiment
from worldmodel.train.prefetch import move
from worldmodel.types import Window

Diagnose = Callable[[Any, Tensor, Tensor], Mapping[str, float]]
"""Numbers by name, of a model, the latents (B, T, K, D) of some windows, and the actions (B, T - 1, A) between them."""
Objective = Callable[[Any, Window, torch.Generator], tuple[Tensor, dict[str, Tensor]]]


class Validation:
    """A fixed selection of windows, and what a model makes of them. Draws nothing that training draws from."""

    def __init__(
        self,
        windows: WindowSource,
        batch_size: int,
        num_batches: int,
        seed: int,
        diagnose: Diagnose | None,
    ) -> None:
        """Whole batches only, since statistics over the batch depend on its size; one smaller batch when there are too few.

        Each batch is of one embodiment; of each embodiment there are `num_batches`, the first one's first.
        """
        order = np.random.default_rng(seed).permutation(windows.num_windows)
        self.batches: list[np.ndarray] = []
        for part in by_embodiment(windows, order):
            num_whole = min(len(part) // batch_size, num_batches)
            self.batches += np.split(part[: num_whole * batch_size], num_whole) if num_whole else [part]
        self.windows, self.seed, self.diagnose = windows, seed, diagnose

    @torch.no_grad()
    def __call__(self, model: Any, objective: Objective, device: torch.device) -> dict[str, float]:
        """Means over the batches, named val/loss and val/TERM; what `diagnose` finds in the first one besides."""
        generator = torch.Generator().manual_seed(self.seed)
        totals: dict[str, float] = defaultdict(float)
        for indices in self.batches:
            loss, terms = objective(model, move(self.windows.batch(indices), device), generator)
            for name, value in {"loss": loss, **terms}.items():
                totals[name] += float(value)
        row = {f"val/{name}": total / len(self.batches) for name, total in totals.items()}
        if self.diagnose is not None:
            window = move(self.windows.batch(self.batches[0]), device)
            if window.embodiment != getattr(model, "embodiment", window.embodiment):
                model.embody(window.embodiment)
            # eager, since its shapes are others than training's and not worth compiling for
            with torch.compiler.set_stance("force_eager"):
                found = self.diagnose(model, model.encode(window.observations), window.actions)
            row |= {f"val/{name}": float(value) for name, value in found.items()}
        return row
