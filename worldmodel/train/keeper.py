"""What is put into the run folder to go on from, and back: weights, moments, generators, and the place in the data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from worldmodel.errors import ConfigError, MismatchError
from worldmodel.train.ranks import Ranks
from worldmodel.train.sharded_state import find_state, keep_state
from worldmodel.train.state import STATE, TrainingState, differences, pack, unpack


class Keeper:
    """Keeps the state of a training: of what it is given, in place."""

    def __init__(
        self,
        run_dir: Path,
        learner: nn.Module,
        optimizer: torch.optim.Optimizer,
        generator: torch.Generator,
        device: torch.device,
        seed: int,
        identity: Mapping[str, Any],
    ) -> None:
        """`identity`: plain values that must be the same on resuming; `seed`: of processes that were not there before."""
        self.run_dir, self.learner, self.optimizer, self.generator = run_dir, learner, optimizer, generator
        self.device, self.seed, self.ranks = device, seed, Ranks()
        self.identity: dict[str, Any] = json.loads(json.dumps(identity))

    def find(self, resume: bool) -> TrainingState | None:
        """The state to go on from; None to begin anew.

        ConfigError for one that is there and not to be resumed, MismatchError for that of another training.
        """
        state = find_state(self.run_dir)
        if state is None:
            return None
        if not resume:
            raise ConfigError(f"{self.run_dir} holds a training run (update {state.step}): resume it, or choose another folder")
        lines = differences(state.identity, self.identity)
        if lines:
            raise MismatchError(
                f"{self.run_dir} cannot be resumed, it was started otherwise: {'; '.join(lines)}; set it back to go on, or "
                "choose another folder to begin anew"
            )
        return state

    def restore(self, state: TrainingState) -> None:
        """Put back weights, moments and generators."""
        generators = unpack(state.tensors, str(self.run_dir / STATE.parent), self.learner, self.optimizer)
        self.generator.set_state(generators["objective"])
        own = self._of_rank
        if own("torch") not in generators:  # there were fewer processes
            torch.manual_seed(self.ranks.seed(self.seed, state.step))
            return
        torch.set_rng_state(generators[own("torch")])
        if self.device.type == "cuda" and own("cuda") in generators:
            torch.cuda.set_rng_state(generators[own("cuda")], self.device)

    def save(self, step: int, sampler_state: str, sums: Mapping[str, float], cpu_seconds: float) -> None:
        """Replace the state in the run folder."""
        generators = {name if name == "objective" else self._of_rank(name): value for name, value in self.generators().items()}
        tensors = pack(self.learner, self.optimizer, generators, sharded=self.ranks.world_size > 1)
        state = TrainingState(step, sampler_state, dict(sums), self.identity, tensors, cpu_seconds)
        keep_state(self.run_dir, state, self.ranks)

    def generators(self) -> dict[str, Tensor]:
        """Where all random draws are: the objective's, and torch's and cuda's, which each process has for itself."""
        states = {"objective": self.generator.get_state(), "torch": torch.get_rng_state()}
        if self.device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state(self.device)
        return states

    def _of_rank(self, name: str) -> str:
        """Under which the state keeps a generator that each process has for itself."""
        return name if self.ranks.first else f"{name}.{self.ranks.rank}"
