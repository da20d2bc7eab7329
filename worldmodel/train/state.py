"""The state to resume from: one safetensors file, so that one rename replaces all of it at once.

Tensors (weights, moments, random generators) are its tensors; counters and the sampler's place are JSON in its header.
A kill at any moment leaves the previous state or the new one. Nothing is pickled.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from worldmodel.errors import CheckpointError
from worldmodel.train.checkpoint import cpu_copy, cpu_state, load_weights
from worldmodel.train.files import dump_json, write_atomic

STATE = Path("training") / "state.safetensors"
"""Where it lies in the run folder."""


@dataclass(frozen=True)
class TrainingState:
    """Everything that decides how training goes on."""

    step: int
    """Updates done."""
    sampler: str
    """The sampler's state after the last batch that was learned from, as JSON."""
    sums: dict[str, float]
    """Running sums of the metrics since the last row of the log."""
    identity: dict[str, Any]
    """What must be the same on resuming: the settings that shape the weights, and the data."""
    tensors: dict[str, Tensor]
    """Weights, moments and random generators."""
    cpu_seconds: float = 0.0
    """Processor time that the updates have taken [s]."""


def save_state(run_dir: Path, state: TrainingState) -> None:
    """Replace the state of `run_dir`."""
    header = {"step": state.step, "sampler": state.sampler, "sums": state.sums, "identity": state.identity}
    header["cpu_seconds"] = state.cpu_seconds
    content = safetensors.torch.save(state.tensors, metadata={"state": dump_json(header, indent=None)})
    write_atomic(run_dir / STATE, content)


def load_state(run_dir: Path) -> TrainingState | None:
    """The state of `run_dir`; None when training never saved one. CheckpointError when it is damaged."""
    path = run_dir / STATE
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})["state"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (safe_open is no mapping)
        spent = header.get("cpu_seconds", 0.0)  # states from before it was counted go on too
        return TrainingState(header["step"], header["sampler"], header["sums"], header["identity"], tensors, spent)
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path} is damaged ({error}); delete it to train anew") from None


def pack(
    model: nn.Module, objective: nn.Module | None, optimizer: torch.optim.Optimizer, generators: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Copies of every tensor that changes while training, under names that say whose they are."""
    tensors = {f"model.{name}": value for name, value in cpu_state(model).items()}
    if objective is not None:
        tensors |= {f"objective.{name}": value for name, value in cpu_state(objective).items()}
    for number, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": cpu_copy(value) for name, value in moments.items()}
    return tensors | {f"generator.{name}": value.clone() for name, value in generators.items()}


def unpack(
    tensors: dict[str, Tensor], source: str, model: nn.Module, objective: nn.Module | None, optimizer: torch.optim.Optimizer
) -> dict[str, Tensor]:
    """The inverse of `pack`, in place; returns the generators. CheckpointError when it belongs to another model."""
    load_weights(model, _part(tensors, "model"), source)
    if objective is not None:
        load_weights(objective, _part(tensors, "objective"), source)
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in _part(tensors, "optimizer").items():
        number, key = name.split(".", 1)
        moments.setdefault(int(number), {})[key] = value
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    # In the layout of their weights (channels_last, say): another one is another order of rounding.
    for parameter, own in optimizer.state.items():
        own |= {key: torch.empty_like(parameter).copy_(m) if m.shape == parameter.shape else m for key, m in own.items()}
    return _part(tensors, "generator")


def _part(tensors: dict[str, Tensor], owner: str) -> dict[str, Tensor]:
    """The tensors of one owner, without its name before theirs."""
    return {name.removeprefix(owner + "."): value for name, value in tensors.items() if name.startswith(owner + ".")}
